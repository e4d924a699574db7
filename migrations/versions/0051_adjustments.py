"""Adjustments, and the reasons that a brand has for them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ledger import schema

revision = "0051"
down_revision = "0050"

_RIGHTS = """
GRANT SELECT, INSERT, UPDATE (name, campaign_no, withdrawn, changed_at, changed_by) ON rewards.adjustment_reason
TO rewards_application;
GRANT SELECT ON rewards.adjustment_reason TO rewards_reader;
"""


def upgrade() -> None:
    for statement in schema.schema_statements("0020_adjustments"):
        op.get_bind().exec_driver_sql(statement)
    op.create_table(
        "adjustment_reason",
        sa.Column("brand_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("campaign_no", sa.Integer(), nullable=True),
        sa.Column("withdrawn", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("changed_by", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("brand_id", "code", name="adjustment_reason_pkey"),
        sa.ForeignKeyConstraint(["brand_id"], ["rewards.brand.brand_id"], name="adjustment_reason_belongs_to_brand"),
        sa.ForeignKeyConstraint(
            ["campaign_no"], ["rewards.campaign.campaign_no"], name="adjustment_reason_pays_from_a_campaign"
        ),
        sa.CheckConstraint("code ~ '^[a-z][a-z0-9_]{0,63}$'", name="adjustment_reason_code_is_a_lower_case_name"),
        schema="rewards",
    )
    for statement in schema.statements(_RIGHTS):
        op.get_bind().exec_driver_sql(statement)
