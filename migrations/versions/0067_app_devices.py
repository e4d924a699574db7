"""Devices on which a brand's own app runs, and the keys that they sign with."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

from ledger import schema

revision = "0067"
down_revision = "0066"

_STATEMENTS = Path(__file__).with_suffix(".sql")


def upgrade() -> None:
    op.create_table(
        "app_device",
        sa.Column("device_no", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("device_id", sa.LargeBinary(), nullable=False),
        sa.Column("brand_id", sa.Integer(), nullable=False),
        sa.Column("customer", sa.BigInteger(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("daily_points_max", sa.BigInteger(), nullable=True),
        sa.Column("enrolled_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("enrolled_by", sa.Integer(), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("day", sa.Date(), nullable=True),
        sa.Column("receipts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("points", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("nonces", sa.LargeBinary(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("device_no", name="app_device_pkey"),
        sa.CheckConstraint("octet_length(device_id) = 12", name="app_device_id_is_12_bytes"),
        sa.CheckConstraint("daily_points_max > 0", name="app_device_daily_points_are_an_amount"),
        schema="rewards",
    )
    op.create_index("app_device_by_id", "app_device", ["device_id"], unique=True, schema="rewards")
    op.create_index("app_device_by_key", "app_device", ["brand_id", "public_key"], unique=True, schema="rewards")
    op.create_index("app_device_by_customer", "app_device", ["customer", "device_no"], schema="rewards")
    for statement in schema.statements(_STATEMENTS.read_text()):
        op.get_bind().exec_driver_sql(statement)
