"""Messages that were sent, and which of them replies answer."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

from ledger import schema

revision = "0062"
down_revision = "0061"

_STATEMENTS = Path(__file__).with_suffix(".sql")


def upgrade() -> None:
    op.create_table(
        "message",
        sa.Column("brand_id", sa.Integer(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("customer", sa.BigInteger(), nullable=False),
        sa.Column("campaign_no", sa.Integer(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("conversation", sa.Text(), nullable=True),
        sa.Column("offer_group", sa.Text(), nullable=True),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("provider_message_id", sa.Text(), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("registered_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("registered_by", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("brand_id", "message_id", "customer", name="message_pkey"),
        schema="rewards",
    )
    op.create_table(
        "answered_message",
        sa.Column("brand_id", sa.Integer(), nullable=False),
        sa.Column("reply", sa.LargeBinary(), nullable=False),
        sa.Column("customer", sa.BigInteger(), nullable=False),
        sa.Column("campaign_no", sa.Integer(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.PrimaryKeyConstraint("brand_id", "reply", name="answered_message_pkey"),
        sa.CheckConstraint("octet_length(reply) = 16", name="answered_message_reply_is_16_bytes"),
        schema="rewards",
    )
    _indexes()
    for statement in schema.statements(_STATEMENTS.read_text()):
        op.get_bind().exec_driver_sql(statement)


def _indexes() -> None:
    in_rewards = {"schema": "rewards"}
    op.create_index("message_by_customer", "message", ["customer", "channel", "sent_at"], **in_rewards)
    op.create_index(
        "message_by_provider_id",
        "message",
        ["brand_id", "provider", "provider_message_id", "customer"],
        postgresql_where=sa.text("provider_message_id IS NOT NULL"),
        **in_rewards,
    )
    op.create_index(
        "message_by_conversation",
        "message",
        ["brand_id", "conversation", "sent_at"],
        postgresql_where=sa.text("conversation IS NOT NULL"),
        **in_rewards,
    )
    op.create_index("message_by_registration", "message", ["registered_at"], postgresql_using="brin", **in_rewards)
    op.create_index("answered_message_by_customer", "answered_message", ["customer"], **in_rewards)
    op.create_index(
        "answered_message_to_forget",
        "answered_message",
        ["answered_at"],
        postgresql_where=sa.text("message_id IS NOT NULL"),
        **in_rewards,
    )
