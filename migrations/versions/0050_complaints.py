"""Why a customer refuses a channel: a complaint stops what is held back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0050"
down_revision = "0049"


def upgrade() -> None:
    op.add_column("consent", sa.Column("reason", sa.Text(), nullable=True), schema="rewards")
    op.create_check_constraint(
        "consent_reason_is_of_a_refusal",
        "consent",
        "reason IS NULL OR (refused AND reason IN ('complaint', 'stop'))",
        schema="rewards",
    )
