"""Which key made what: so that a quota is not multiplied, and what a key made can be taken back with it."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from ledger import schema

revision = "0026"
down_revision = "0025"

_STATEMENTS = Path(__file__).with_suffix(".sql")


def upgrade() -> None:
    op.add_column("api_key", sa.Column("made_by", sa.Integer(), nullable=True), schema="rewards")
    op.add_column(
        "api_key",
        sa.Column("quota_of", postgresql.ARRAY(sa.Integer()), server_default=sa.text("'{}'::integer[]"), nullable=False),
        schema="rewards",
    )
    op.create_foreign_key(
        "api_key_was_made_by_a_key",
        "api_key",
        "api_key",
        ["made_by"],
        ["api_key_id"],
        source_schema="rewards",
        referent_schema="rewards",
    )
    op.add_column("minting_key", sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True), schema="rewards")
    op.add_column("consent", sa.Column("link_made_by", sa.Integer(), nullable=True), schema="rewards")
    # The operator has no key.
    op.alter_column("link_revocation", "revoked_by", nullable=True, schema="rewards")
    for statement in schema.statements(_STATEMENTS.read_text()):
        op.get_bind().exec_driver_sql(statement)
