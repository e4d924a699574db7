"""What a brand says of the JSON that it sends to a source of its own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0061"
down_revision = "0060"


def upgrade() -> None:
    op.add_column("source", sa.Column("shape", postgresql.JSONB(), nullable=True), schema="rewards")
    op.get_bind().exec_driver_sql("GRANT UPDATE (shape) ON rewards.source TO rewards_application")
