"""Days of the data mart have what counts on them; those that there are keep what was posted on them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0045"
down_revision = "0044"


def upgrade() -> None:
    op.add_column("export_job", sa.Column("counts_from", sa.Date(), nullable=True), schema="rewards")
    op.execute("GRANT INSERT (counts_from) ON rewards.export_job TO rewards_worker")
