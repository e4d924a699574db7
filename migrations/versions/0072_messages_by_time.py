"""Registered messages of a brand by the time at which they were sent: whom it wrote to recently."""

from __future__ import annotations

from alembic import op

revision = "0072"
down_revision = "0071"


def upgrade() -> None:
    op.create_index("message_by_time", "message", ["brand_id", "sent_at", "customer"], schema="rewards")
