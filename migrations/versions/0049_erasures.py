"""Erasures, and the tombstones that they leave of names."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from ledger import schema

revision = "0049"
down_revision = "0048"

_OPEN = "state IN ('waiting', 'erasing')"
_STATEMENTS = Path(__file__).with_suffix(".sql")


def upgrade() -> None:
    op.add_column("customer", sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True), schema="rewards")
    op.create_table(
        "tombstone",
        sa.Column("mac", sa.LargeBinary(), nullable=False),
        sa.Column("brand_id", sa.Integer(), nullable=False),
        sa.Column("key_no", sa.SmallInteger(), nullable=False),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("mac", name="tombstone_pkey"),
        sa.CheckConstraint("octet_length(mac) = 16", name="tombstone_mac_is_16_bytes"),
        schema="rewards",
    )
    op.create_table(
        "erasure",
        sa.Column("erasure_no", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("brand_id", sa.Integer(), nullable=False),
        sa.Column("customer", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), server_default=sa.func.clock_timestamp(), nullable=False),
        sa.Column("asked_by", sa.Integer(), nullable=True),
        sa.Column("approval_no", sa.BigInteger(), nullable=True),
        sa.Column("by_customer", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("erases_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("numbers", postgresql.ARRAY(sa.BigInteger()), server_default="{}", nullable=False),
        sa.Column("messages", postgresql.ARRAY(sa.LargeBinary()), server_default="{}", nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=True),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("erasure_no", name="erasure_pkey"),
        sa.ForeignKeyConstraint(["brand_id"], ["rewards.brand.brand_id"], name="erasure_belongs_to_brand"),
        sa.CheckConstraint("state IN ('waiting', 'erasing', 'erased')", name="erasure_state_is_known"),
        sa.CheckConstraint("(state = 'erased') = (erased_at IS NOT NULL)", name="erasure_that_is_done_says_when"),
        schema="rewards",
    )
    where = sa.text(_OPEN)
    op.create_index("erasure_is_asked_for_once", "erasure", ["customer"], unique=True, schema="rewards", postgresql_where=where)
    op.create_index("erasure_that_is_open", "erasure", ["erases_at"], schema="rewards", postgresql_where=where)
    op.create_index("erasure_by_brand", "erasure", ["brand_id", "erasure_no"], schema="rewards")
    for statement in schema.statements(_STATEMENTS.read_text()):
        op.get_bind().exec_driver_sql(statement)
