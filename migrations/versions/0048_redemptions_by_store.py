"""Redemptions are found by their store."""

from __future__ import annotations

from alembic import op

from ledger import schema

revision = "0048"
down_revision = "0047"


def upgrade() -> None:
    for statement in schema.schema_statements("0019_redemptions_by_store"):
        op.get_bind().exec_driver_sql(statement)
