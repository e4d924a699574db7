"""Messages by the provider's id, with or without what follows its @."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0066"
down_revision = "0065"


def upgrade() -> None:
    op.drop_index("message_by_provider_id", "message", schema="rewards")
    op.create_index(
        "message_by_provider_id",
        "message",
        ["brand_id", "provider", sa.text("split_part(provider_message_id, '@', 1)"), "customer"],
        postgresql_where=sa.text("provider_message_id IS NOT NULL"),
        schema="rewards",
    )
