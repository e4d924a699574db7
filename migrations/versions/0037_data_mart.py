"""Export jobs that the worker orders itself, one for each business date, and what they read of links."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ledger import schema

revision = "0037"
down_revision = "0036"

_RIGHTS = """
GRANT INSERT (
    brand_id, business_date, formats, customers, sub_accounts, since_name, since_seq, since_posted_at, cut_name, cut_seq,
    cut_posted_at, request_hash
) ON rewards.export_job TO rewards_worker;
GRANT SELECT (
    link_id, brand_id, campaign_no, campaign_version, customer, message_id, action, channel, label, kind, mode, minted_by,
    minted_at, sent_at, expires_at
) ON rewards.link TO rewards_reader;
"""


def upgrade() -> None:
    op.add_column("export_job", sa.Column("business_date", sa.Date(), nullable=True), schema="rewards")
    op.alter_column("export_job", "ordered_by", nullable=True, schema="rewards")
    op.create_index(
        "export_job_is_made_once_a_day",
        "export_job",
        ["brand_id", "business_date"],
        unique=True,
        schema="rewards",
        postgresql_where=sa.text("business_date IS NOT NULL AND status IN ('queued', 'running', 'done')"),
    )
    for statement in schema.statements(_RIGHTS):
        op.get_bind().exec_driver_sql(statement)
