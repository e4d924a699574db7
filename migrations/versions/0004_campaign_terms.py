"""Campaigns that pause and change, and caps over more windows."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("campaign", sa.Column("paused_at", sa.DateTime(timezone=True), nullable=True), schema="rewards")
    # Versions stay without it: they are inserted and never changed.
    op.get_bind().exec_driver_sql("GRANT UPDATE (current_version, paused_at) ON rewards.campaign TO rewards_application")
