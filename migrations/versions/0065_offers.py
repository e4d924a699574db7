"""Offers that several messages make."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

from ledger import schema

revision = "0065"
down_revision = "0064"

_STATEMENTS = Path(__file__).with_suffix(".sql")


def upgrade() -> None:
    op.create_table(
        "offer",
        sa.Column("offer_no", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("brand_id", sa.Integer(), nullable=False),
        sa.Column("offer_group", sa.Text(), nullable=False),
        sa.Column("customer", sa.BigInteger(), nullable=False),
        sa.Column("campaign_no", sa.Integer(), nullable=False),
        sa.Column("state", sa.SmallInteger(), server_default="1", nullable=False),
        sa.Column("offered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lapses_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("is_stated", sa.Boolean(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("registered_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.PrimaryKeyConstraint("brand_id", "offer_group", "customer", name="offer_pkey"),
        schema="rewards",
    )
    op.create_table(
        "offer_message",
        sa.Column("brand_id", sa.Integer(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("customer", sa.BigInteger(), nullable=False),
        sa.Column("offer_group", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("clicked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("brand_id", "message_id", "customer", name="offer_message_pkey"),
        schema="rewards",
    )
    _indexes()
    for statement in schema.statements(_STATEMENTS.read_text()):
        op.get_bind().exec_driver_sql(statement)


def _indexes() -> None:
    in_rewards = {"schema": "rewards"}
    op.create_index("offer_by_number", "offer", ["offer_no"], **in_rewards)
    op.create_index("offer_by_state", "offer", ["brand_id", "state", "offer_no"], **in_rewards)
    op.create_index("offer_by_customer", "offer", ["customer"], **in_rewards)
    op.create_index("offer_to_lapse", "offer", ["lapses_at"], postgresql_where=sa.text("state < 5"), **in_rewards)
    op.create_index("offer_by_registration", "offer", ["registered_at"], postgresql_using="brin", **in_rewards)
    op.create_index("offer_message_by_offer", "offer_message", ["brand_id", "offer_group", "customer", "sent_at"], **in_rewards)
    op.create_index("offer_message_by_customer", "offer_message", ["customer"], **in_rewards)
