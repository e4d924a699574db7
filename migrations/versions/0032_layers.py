"""Which grant was spent: tables that an agent derives from the log."""

from __future__ import annotations

from alembic import op

from ledger import schema

revision = "0032"
down_revision = "0031"


def upgrade() -> None:
    for statement in schema.schema_statements("0014_layers"):
        op.get_bind().exec_driver_sql(statement)
