"""A hold that has timed out may be captured late; for how long, a brand says."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ledger import schema

revision = "0057"
down_revision = "0056"


def upgrade() -> None:
    for statement in schema.schema_statements("0023_late_captures"):
        op.get_bind().exec_driver_sql(statement)
    op.add_column(
        "brand", sa.Column("late_capture_grace_s", sa.Integer(), server_default="0", nullable=False), schema="rewards"
    )
    op.get_bind().exec_driver_sql("GRANT UPDATE (late_capture_grace_s) ON rewards.brand TO rewards_application")
