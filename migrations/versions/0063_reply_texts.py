"""What customers have replied with, as keyed hashes: the same words again earn nothing."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

from ledger import schema

revision = "0063"
down_revision = "0062"

_STATEMENTS = Path(__file__).with_suffix(".sql")


def upgrade() -> None:
    op.create_table(
        "reply_text",
        sa.Column("text", sa.LargeBinary(), nullable=False),
        sa.Column("customer", sa.BigInteger(), nullable=False),
        sa.Column("reply", sa.LargeBinary(), nullable=False),
        sa.Column("said_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.PrimaryKeyConstraint("text", name="reply_text_pkey"),
        sa.CheckConstraint("octet_length(text) = 16", name="reply_text_is_a_hash"),
        sa.CheckConstraint("octet_length(reply) = 16", name="reply_text_reply_is_a_hash"),
        schema="rewards",
    )
    op.create_index("reply_text_by_customer", "reply_text", ["customer"], schema="rewards")
    op.create_index("reply_text_to_forget", "reply_text", ["said_at"], schema="rewards")
    for statement in schema.statements(_STATEMENTS.read_text()):
        op.get_bind().exec_driver_sql(statement)
