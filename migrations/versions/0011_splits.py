"""Customers who were merged by mistake are split: the books know since when who is one with whom, the look-ups who was once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ledger import schema

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("customer", sa.Column("generation", sa.BigInteger(), server_default="0", nullable=False), schema="rewards")
    op.add_column(
        "customer", sa.Column("parted", sa.Boolean(), server_default=sa.text("false"), nullable=False), schema="rewards"
    )
    op.create_table(
        "parted",
        sa.Column("customer", sa.BigInteger(), nullable=False),
        sa.Column("other", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("customer", "other", name="parted_pkey"),
        sa.CheckConstraint("customer <> other", name="parted_are_two"),
        schema="rewards",
    )
    execute = op.get_bind().exec_driver_sql
    # Beyond all that merges of before have, which is how many were merged.
    execute("CREATE SEQUENCE rewards.customer_generation START WITH 16")
    execute("UPDATE rewards.customer SET generation = 1 WHERE merged_into IS NOT NULL")
    execute("UPDATE rewards.customer SET generation = absorbed WHERE absorbed > 0")
    execute("GRANT USAGE ON SEQUENCE rewards.customer_generation TO rewards_application")
    execute("GRANT UPDATE (generation, parted) ON rewards.customer TO rewards_application")
    execute("GRANT SELECT, INSERT ON rewards.parted TO rewards_application")
    for statement in schema.schema_statements("0007_splits"):
        execute(statement)
