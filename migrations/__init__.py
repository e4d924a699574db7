"""Migrations: Alembic revisions in ``versions/``, and ``upgrade`` to run them."""
