"""Claimed codes are found by their customer."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0059"
down_revision = "0058"


def upgrade() -> None:
    op.create_index(
        "batch_code_by_customer",
        "batch_code",
        ["customer", "code_hash"],
        schema="rewards",
        postgresql_where=sa.text("customer IS NOT NULL"),
    )
