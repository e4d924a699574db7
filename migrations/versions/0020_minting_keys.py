"""Keys with which a brand's own systems sign links."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ledger import schema

revision = "0020"
down_revision = "0019"

_RIGHTS = """
GRANT SELECT, INSERT ON rewards.minting_key TO rewards_application;
GRANT UPDATE (retired_at, revoked_at) ON rewards.minting_key TO rewards_application;
"""


def upgrade() -> None:
    op.create_table(
        "minting_key",
        sa.Column("key_no", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("brand_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("registered_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("registered_by", sa.Integer(), nullable=False),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("key_no", name="minting_key_pkey"),
        sa.ForeignKeyConstraint(["brand_id"], ["rewards.brand.brand_id"], name="minting_key_belongs_to_brand"),
        sa.UniqueConstraint("brand_id", "public_key", name="minting_key_is_registered_once"),
        sa.CheckConstraint("octet_length(public_key) = 32", name="minting_key_is_an_ed25519_key"),
        schema="rewards",
    )
    for statement in schema.statements(_RIGHTS):
        op.get_bind().exec_driver_sql(statement)
