"""`rewards serve`: the command, and an API process."""
