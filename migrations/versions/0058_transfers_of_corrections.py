"""Lines of corrections are found by their transfers; those named twice are found by reading all lines of a job."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0058"
down_revision = "0057"


def upgrade() -> None:
    op.drop_index("correction_line_by_customer", "correction_line", schema="rewards")
    op.create_index(
        "correction_line_by_seq", "correction_line", ["seq"], schema="rewards", postgresql_where=sa.text("seq IS NOT NULL")
    )
