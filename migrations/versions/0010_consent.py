"""Where a customer may be contacted: what was said, and what follows for her. And which links were minted for her of late."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from ledger import schema

revision = "0010"
down_revision = "0009"

# What was said is appended to, and nobody of the service changes it.
_RIGHTS = """
GRANT SELECT, INSERT ON rewards.consent TO rewards_application;
GRANT UPDATE (refused, consent_no) ON rewards.customer TO rewards_application;
GRANT UPDATE (consent_no) ON rewards.brand TO rewards_application;
"""


def upgrade() -> None:
    op.create_table(
        "consent",
        sa.Column("consent_no", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("brand_id", sa.Integer(), nullable=False),
        sa.Column("customer", sa.BigInteger(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("refused", sa.Boolean(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("consent_no", name="consent_pkey"),
        sa.UniqueConstraint("customer", "channel", "at", "refused", "source", name="consent_is_stated_once"),
        schema="rewards",
    )
    op.add_column("customer", sa.Column("refused", postgresql.JSONB(), nullable=True), schema="rewards")
    op.add_column("customer", sa.Column("consent_no", sa.BigInteger(), nullable=True), schema="rewards")
    op.add_column(
        "brand", sa.Column("consent_no", sa.BigInteger(), server_default=sa.text("0"), nullable=False), schema="rewards"
    )
    op.create_index(
        "customer_by_consent",
        "customer",
        ["brand_id", "consent_no"],
        schema="rewards",
        postgresql_where=sa.text("consent_no IS NOT NULL"),
    )
    # Some 32 bytes and 2 µs more for each link that is minted (10 before); nothing for a visit, which changes no link.
    op.create_index("link_by_customer", "link", ["customer", "minted_at"], schema="rewards")
    for statement in schema.statements(_RIGHTS):
        op.get_bind().exec_driver_sql(statement)
