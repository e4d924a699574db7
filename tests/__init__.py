"""The specification. `make test` runs it on a PostgreSQL of its own."""
