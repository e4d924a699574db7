"""Customers by all their names: whom each was merged into, and identities under more than one key."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("customer", sa.Column("merged_into", sa.BigInteger(), nullable=True), schema="rewards")
    op.add_column("customer", sa.Column("absorbed", sa.SmallInteger(), server_default="0", nullable=False), schema="rewards")
    op.create_check_constraint("customer_absorbs_at_most_seven", "customer", "absorbed BETWEEN 0 AND 7", schema="rewards")
    op.create_check_constraint(
        "customer_is_merged_into_the_last_of_the_line", "customer", "merged_into IS NULL OR absorbed = 0", schema="rewards"
    )
    op.create_index(
        "customer_by_survivor",
        "customer",
        ["merged_into"],
        schema="rewards",
        postgresql_where=sa.text("merged_into IS NOT NULL"),
    )
    # An identity that is seen under an old key is stored under the new one, and the old row goes.
    op.get_bind().exec_driver_sql("GRANT UPDATE (merged_into, absorbed) ON rewards.customer TO rewards_application")
    op.get_bind().exec_driver_sql("GRANT DELETE ON rewards.identity TO rewards_application")
