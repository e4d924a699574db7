"""Storage: the database, the embedded PostgreSQL, and the spool on the local disk."""
