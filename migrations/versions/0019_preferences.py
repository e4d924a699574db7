"""How often customers want to hear of a brand."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ledger import schema

revision = "0019"
down_revision = "0018"

_RIGHTS = """
GRANT SELECT, INSERT, UPDATE (frequency, answered_at) ON rewards.preference TO rewards_application;
"""


def upgrade() -> None:
    op.create_table(
        "preference",
        sa.Column("customer", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("brand_id", sa.Integer(), nullable=False),
        sa.Column("frequency", sa.Text(), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("customer", name="preference_pkey"),
        sa.CheckConstraint("frequency IN ('any', 'weekly', 'monthly')", name="preference_frequency_is_one_we_know"),
        schema="rewards",
    )
    for statement in schema.statements(_RIGHTS):
        op.get_bind().exec_driver_sql(statement)
