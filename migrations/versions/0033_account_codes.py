"""Exports are ordered with account codes of the general ledger."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0033"
down_revision = "0032"


def upgrade() -> None:
    codes = sa.Column("account_codes", postgresql.JSONB(), nullable=False, server_default="[]")
    op.add_column("export_job", codes, schema="rewards")
