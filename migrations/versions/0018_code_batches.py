"""Codes for packs and print, a batch at a time, for whoever comes first."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ledger import schema

revision = "0018"
down_revision = "0017"

_RIGHTS = """
GRANT SELECT, INSERT ON rewards.code_batch, rewards.batch_code TO rewards_application;
GRANT UPDATE (customer, claimed_at) ON rewards.batch_code TO rewards_application;
"""


def upgrade() -> None:
    op.create_table(
        "code_batch",
        sa.Column("batch_no", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("brand_id", sa.Integer(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("campaign_no", sa.Integer(), nullable=False),
        sa.Column("campaign_version", sa.Integer(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("destination_no", sa.Integer(), nullable=False),
        sa.Column("codes", sa.Integer(), nullable=False),
        sa.Column("control_total", sa.LargeBinary(), nullable=False),
        sa.Column("kid", sa.Text(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("made_by", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("batch_no", name="code_batch_pkey"),
        sa.ForeignKeyConstraint(["brand_id"], ["rewards.brand.brand_id"], name="code_batch_belongs_to_brand"),
        sa.UniqueConstraint("brand_id", "id", name="code_batch_id_is_the_brands_own"),
        sa.CheckConstraint("codes > 0", name="code_batch_has_codes"),
        sa.CheckConstraint("expires_at > made_at", name="code_batch_expires_after_it_is_made"),
        schema="rewards",
    )
    op.create_table(
        "batch_code",
        sa.Column("code_hash", sa.LargeBinary(), nullable=False),
        sa.Column("batch_no", sa.Integer(), nullable=False),
        sa.Column("serial", sa.Integer(), nullable=False),
        sa.Column("customer", sa.BigInteger(), nullable=True),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("code_hash", name="batch_code_pkey"),
        sa.UniqueConstraint("batch_no", "serial", name="batch_code_has_a_serial_of_its_own"),
        sa.CheckConstraint("octet_length(code_hash) = 16", name="batch_code_hash_is_16_bytes"),
        sa.CheckConstraint("(customer IS NULL) = (claimed_at IS NULL)", name="batch_code_is_claimed_by_somebody"),
        schema="rewards",
    )
    for statement in schema.statements(_RIGHTS):
        op.get_bind().exec_driver_sql(statement)
