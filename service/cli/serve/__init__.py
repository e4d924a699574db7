"""`rewards serve`: the command, one API process, and what keeps several of them on one port."""
