"""What a brand estimates for its reports, with the method and the inputs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from ledger import schema

revision = "0036"
down_revision = "0035"

_RIGHTS = """
GRANT SELECT, INSERT ON rewards.estimate TO rewards_application;
GRANT SELECT ON rewards.estimate TO rewards_reader;
"""


def upgrade() -> None:
    op.create_table(
        "estimate",
        sa.Column("brand_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("estimate_no", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("account_class", sa.SmallInteger(), nullable=True),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.Column("effective_on", sa.Date(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("inputs", postgresql.JSONB(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("created_by", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("brand_id", "estimate_no", name="estimate_pkey"),
        sa.ForeignKeyConstraint(["brand_id"], ["rewards.brand.brand_id"], name="estimate_belongs_to_brand"),
        sa.CheckConstraint("kind IN ('expected_redemption', 'acquisition_cost')", name="estimate_kind_is_known"),
        sa.CheckConstraint(
            "(kind = 'expected_redemption') = (account_class IS NOT NULL)", name="estimate_has_a_class_if_of_points"
        ),
        sa.CheckConstraint(
            "value BETWEEN 1 AND CASE kind WHEN 'expected_redemption' THEN 10000 ELSE 1000000000000 END",
            name="estimate_value_is_possible",
        ),
        schema="rewards",
    )
    for statement in schema.statements(_RIGHTS):
        op.get_bind().exec_driver_sql(statement)
