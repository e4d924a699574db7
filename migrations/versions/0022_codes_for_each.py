"""Codes that pay each person once, and codes that rotate."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    op.add_column("code_batch", sa.Column("pays", sa.Text(), server_default="first", nullable=False), schema="rewards")
    op.add_column("code_batch", sa.Column("rotates_every_s", sa.Integer(), nullable=True), schema="rewards")
    op.create_check_constraint(
        "code_batch_pays_whoever_comes_first_or_each", "code_batch", "pays IN ('first', 'each')", schema="rewards"
    )
    op.create_check_constraint(
        "code_batch_that_rotates_pays_each", "code_batch", "rotates_every_s IS NULL OR pays = 'each'", schema="rewards"
    )
