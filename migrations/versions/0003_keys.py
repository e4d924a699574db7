"""Quotas of keys, and the trail of administrative acts."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from ledger import schema

revision = "0003"
down_revision = "0002"

_FUNCTIONS_AND_RIGHTS = Path(__file__).with_suffix(".sql")


def upgrade() -> None:
    op.add_column("api_key", sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True), schema="rewards")
    op.add_column("api_key", sa.Column("quota_per_minute", sa.Integer(), nullable=True), schema="rewards")
    op.create_check_constraint(
        "api_key_quota_is_a_number_of_items", "api_key", "quota_per_minute BETWEEN 1 AND 100000000", schema="rewards"
    )
    op.create_table(
        "key_quota",
        sa.Column("api_key_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("minute", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.CheckConstraint("used >= 0", name="key_quota_used_is_an_amount"),
        sa.ForeignKeyConstraint(["api_key_id"], ["rewards.api_key.api_key_id"], name="key_quota_belongs_to_key"),
        sa.PrimaryKeyConstraint("api_key_id", name="key_quota_pkey"),
        schema="rewards",
        postgresql_with={"fillfactor": "50"},
    )
    op.create_table(
        "audit_trail",
        sa.Column("entry_no", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("brand_id", sa.Integer(), nullable=False),
        sa.Column("api_key_id", sa.Integer(), nullable=True),
        sa.Column("by_operator", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("happened_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("before", postgresql.JSONB(), nullable=True),
        sa.Column("after", postgresql.JSONB(), nullable=True),
        sa.Column("request", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint("by_operator = (api_key_id IS NULL)", name="audit_trail_is_by_a_key_or_the_operator"),
        sa.ForeignKeyConstraint(["api_key_id"], ["rewards.api_key.api_key_id"], name="audit_trail_names_a_key"),
        sa.ForeignKeyConstraint(["brand_id"], ["rewards.brand.brand_id"], name="audit_trail_belongs_to_brand"),
        sa.PrimaryKeyConstraint("entry_no", name="audit_trail_pkey"),
        sa.UniqueConstraint("brand_id", "act", "request", name="audit_trail_has_a_request_once"),
        schema="rewards",
    )
    op.create_index("audit_trail_by_brand", "audit_trail", ["brand_id", "entry_no"], schema="rewards")
    for statement in schema.statements(_FUNCTIONS_AND_RIGHTS.read_text()):
        op.get_bind().exec_driver_sql(statement)
