"""`rewards up`: the command, and what keeps its PostgreSQL and its child processes running."""
