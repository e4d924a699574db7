"""Exports whose files are gone, and can be made again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0046"
down_revision = "0045"


def upgrade() -> None:
    op.drop_constraint("export_job_status_is_known", "export_job", schema="rewards", type_="check")
    known = "status IN ('queued', 'running', 'done', 'failed', 'cancelled', 'lost')"
    op.create_check_constraint("export_job_status_is_known", "export_job", known, schema="rewards")
    op.drop_index("export_job_is_made_once_a_day", "export_job", schema="rewards")
    op.create_index(
        "export_job_is_made_once_a_day",
        "export_job",
        ["brand_id", "business_date"],
        unique=True,
        schema="rewards",
        postgresql_where=sa.text("business_date IS NOT NULL AND status IN ('queued', 'running', 'done', 'lost')"),
    )
    op.execute("GRANT UPDATE (files, attempt) ON rewards.export_job TO rewards_application")
