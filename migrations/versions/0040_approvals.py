"""Approvals: requests that wait for another person, and the limits above which they do."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from ledger import schema

revision = "0040"
down_revision = "0039"

_STATEMENTS = Path(__file__).with_suffix(".sql")


def upgrade() -> None:
    op.create_table(
        "approval",
        sa.Column("approval_no", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("brand_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("body", postgresql.JSONB(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("customer", sa.BigInteger(), nullable=True),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_key", sa.LargeBinary(), nullable=False),
        sa.Column("exceeds", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.Integer(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), server_default=sa.func.clock_timestamp(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decision", sa.Text(), nullable=True),
        sa.Column("decided_by", sa.Integer(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("executed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("result", postgresql.JSONB(), nullable=True),
        sa.Column("error", postgresql.JSONB(), nullable=True),
        sa.PrimaryKeyConstraint("approval_no", name="approval_pkey"),
        sa.ForeignKeyConstraint(["brand_id"], ["rewards.brand.brand_id"], name="approval_belongs_to_brand"),
        sa.ForeignKeyConstraint(["asked_by"], ["rewards.api_key.api_key_id"], name="approval_was_asked_by_a_key"),
        sa.ForeignKeyConstraint(["decided_by"], ["rewards.api_key.api_key_id"], name="approval_was_decided_by_a_key"),
        sa.UniqueConstraint("brand_id", "request_key", name="approval_has_a_request_once"),
        sa.CheckConstraint("octet_length(digest) = 32 AND octet_length(request_key) = 32", name="approval_digests_are_sha256"),
        sa.CheckConstraint("amount >= 0", name="approval_amount_is_not_negative"),
        sa.CheckConstraint("decision IN ('approved', 'declined', 'expired')", name="approval_decision_is_known"),
        sa.CheckConstraint("(decision IS NULL) = (decided_at IS NULL)", name="approval_that_is_decided_says_when"),
        sa.CheckConstraint("executed_at IS NULL OR decision = 'approved'", name="approval_is_carried_out_if_approved"),
        schema="rewards",
    )
    op.create_index("approval_by_brand", "approval", ["brand_id", "approval_no"], schema="rewards")
    op.create_index(
        "approval_that_is_open",
        "approval",
        ["brand_id", "approval_no"],
        schema="rewards",
        postgresql_where=sa.text("decision IS NULL"),
    )
    op.create_index(
        "approval_to_carry_out",
        "approval",
        ["approval_no"],
        schema="rewards",
        postgresql_where=sa.text("decision = 'approved' AND executed_at IS NULL"),
    )
    op.create_table(
        "approval_use",
        sa.Column("brand_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("request_key", sa.LargeBinary(), nullable=False),
        sa.Column("maker", sa.Text(), nullable=False),
        sa.Column("customer", sa.BigInteger(), nullable=True),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("brand_id", "kind", "request_key", name="approval_use_pkey"),
        sa.ForeignKeyConstraint(["brand_id"], ["rewards.brand.brand_id"], name="approval_use_belongs_to_brand"),
        schema="rewards",
    )
    op.create_index("approval_use_by_maker", "approval_use", ["brand_id", "kind", "maker", "day"], schema="rewards")
    op.create_index(
        "approval_use_by_customer",
        "approval_use",
        ["brand_id", "kind", "customer", "day"],
        schema="rewards",
        postgresql_where=sa.text("customer IS NOT NULL"),
    )
    op.create_table(
        "approval_policy",
        sa.Column("brand_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("expires_after_days", sa.SmallInteger(), nullable=False),
        sa.Column("limits", postgresql.JSONB(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), server_default=sa.func.clock_timestamp(), nullable=False),
        sa.Column("made_by", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("brand_id", "version", name="approval_policy_pkey"),
        sa.ForeignKeyConstraint(["brand_id"], ["rewards.brand.brand_id"], name="approval_policy_belongs_to_brand"),
        sa.CheckConstraint("expires_after_days BETWEEN 1 AND 90", name="approval_policy_waits_for_days"),
        schema="rewards",
    )
    for statement in schema.statements(_STATEMENTS.read_text()):
        op.get_bind().exec_driver_sql(statement)
