"""Periods can be closed: what the books were at the end of each is kept."""

from __future__ import annotations

from alembic import op

from ledger import schema

revision = "0031"
down_revision = "0030"


def upgrade() -> None:
    for statement in schema.schema_statements("0013_closes"):
        op.get_bind().exec_driver_sql(statement)
