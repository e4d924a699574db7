"""Exports with transfers in detail."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"


def upgrade() -> None:
    op.add_column("export_job", sa.Column("details", sa.Boolean(), nullable=False, server_default="false"), schema="rewards")
