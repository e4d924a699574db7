"""A store may have a budget of its own."""

from __future__ import annotations

from alembic import op

from ledger import schema

revision = "0060"
down_revision = "0059"


def upgrade() -> None:
    for statement in schema.schema_statements("0024_group_caps"):
        op.get_bind().exec_driver_sql(statement)
