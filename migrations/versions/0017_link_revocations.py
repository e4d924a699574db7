"""What of a brand's links is revoked: one of them, a message's, a campaign's, those that a key minted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ledger import schema

revision = "0017"
down_revision = "0016"

_RIGHTS = "GRANT SELECT, INSERT, DELETE ON rewards.link_revocation TO rewards_application;"


def upgrade() -> None:
    op.create_table(
        "link_revocation",
        sa.Column("revocation_no", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("brand_id", sa.Integer(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("named", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("revoked_by", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("revocation_no", name="link_revocation_pkey"),
        sa.UniqueConstraint("brand_id", "subject", name="link_revocation_is_said_once"),
        schema="rewards",
    )
    for statement in schema.statements(_RIGHTS):
        op.get_bind().exec_driver_sql(statement)
