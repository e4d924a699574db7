"""A customer's state knows when their held-back points fall due."""

from __future__ import annotations

from alembic import op

from ledger import schema

revision = "0034"
down_revision = "0033"


def upgrade() -> None:
    for statement in schema.schema_statements("0015_held_back_points_fall_due"):
        op.get_bind().exec_driver_sql(statement)
