"""What changed what is owed, by day: a table that the worker fills, for existing books from their beginning."""

from __future__ import annotations

from alembic import op

from ledger import schema

revision = "0044"
down_revision = "0043"


def upgrade() -> None:
    for statement in schema.schema_statements("0017_daily_movements"):
        op.get_bind().exec_driver_sql(statement)
