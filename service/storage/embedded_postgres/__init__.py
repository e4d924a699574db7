"""A PostgreSQL server in a local directory, started by us."""
