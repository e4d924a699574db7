"""Corrections of many, and their lines."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from ledger import schema

revision = "0054"
down_revision = "0053"

_WORKED_ON = "status IN ('gathering', 'checking', 'running', 'cancelling')"
_OPEN = "status NOT IN ('done', 'cancelled', 'failed')"

_RIGHTS = """
GRANT SELECT, INSERT, UPDATE (
    status, lines, gathered_to, checked, checked_at, refused, skipped, customers, expected_taken, expected_given,
    expected_shortfall, lines_hash, approval_no, started_at, started_by, begun, settled, made, failed, taken, given, shortfall,
    error, ended_at, leased_until, attempt
) ON rewards.correction_job TO rewards_application;

GRANT SELECT, INSERT, UPDATE (
    kind, customer, points, state, expected, expected_shortfall, moved, shortfall, correction_no, seq, code, detail
) ON rewards.correction_line TO rewards_application;
"""


def upgrade() -> None:
    op.create_table(
        "correction_job",
        sa.Column("job_no", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("brand_id", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text()),
        sa.Column("campaign_no", sa.Integer()),
        sa.Column("selection", postgresql.JSONB()),
        sa.Column("idempotency_key", sa.LargeBinary(), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("ordered_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.clock_timestamp()),
        sa.Column("ordered_by", sa.Integer(), nullable=False),
        sa.Column("lines", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("gathered_to", sa.Text()),
        sa.Column("checked", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("checked_at", sa.DateTime(timezone=True)),
        sa.Column("refused", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("skipped", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("customers", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("expected_taken", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("expected_given", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("expected_shortfall", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("lines_hash", sa.LargeBinary()),
        sa.Column("approval_no", sa.BigInteger()),
        sa.Column("started_at", sa.DateTime(timezone=True)),
        sa.Column("started_by", sa.Integer()),
        sa.Column("begun", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("settled", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("made", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("failed", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("taken", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("given", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("shortfall", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("error", sa.Text()),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("leased_until", sa.DateTime(timezone=True)),
        sa.Column("attempt", sa.Integer(), nullable=False, server_default="0"),
        sa.ForeignKeyConstraint(["brand_id"], ["rewards.brand.brand_id"], name="correction_job_belongs_to_brand"),
        sa.ForeignKeyConstraint(["campaign_no"], ["rewards.campaign.campaign_no"], name="correction_job_is_of_a_campaign"),
        sa.ForeignKeyConstraint(["ordered_by"], ["rewards.api_key.api_key_id"], name="correction_job_was_ordered_by_a_key"),
        sa.ForeignKeyConstraint(["started_by"], ["rewards.api_key.api_key_id"], name="correction_job_was_started_by_a_key"),
        sa.UniqueConstraint("brand_id", "idempotency_key", name="correction_job_is_ordered_once_under_a_key"),
        sa.CheckConstraint(
            "status IN ('receiving', 'gathering', 'checking', 'checked', 'running', 'cancelling', 'done', 'cancelled',"
            " 'failed')",
            name="correction_job_status_is_known",
        ),
        sa.CheckConstraint(f"({_OPEN}) = (ended_at IS NULL)", name="correction_job_has_ended_or_is_open"),
        sa.CheckConstraint("(status = 'failed') = (error IS NOT NULL)", name="correction_job_that_failed_says_why"),
        sa.CheckConstraint("settled <= begun AND begun <= lines", name="correction_job_settles_what_it_began"),
        sa.PrimaryKeyConstraint("job_no", name="correction_job_pkey"),
        schema="rewards",
    )
    op.create_index("correction_job_by_brand", "correction_job", ["brand_id", "job_no"], schema="rewards")
    op.create_index(
        "correction_job_that_is_open", "correction_job", ["brand_id"], schema="rewards", postgresql_where=sa.text(_OPEN)
    )
    op.create_index(
        "correction_job_that_is_worked_on", "correction_job", ["job_no"], schema="rewards", postgresql_where=sa.text(_WORKED_ON)
    )
    op.create_table(
        "correction_line",
        sa.Column("job_no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("line_no", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text()),
        sa.Column("campaign_no", sa.Integer()),
        sa.Column("event_key", sa.LargeBinary()),
        sa.Column("customer", sa.BigInteger()),
        sa.Column("points", sa.BigInteger()),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("expected", sa.BigInteger()),
        sa.Column("expected_shortfall", sa.BigInteger()),
        sa.Column("moved", sa.BigInteger()),
        sa.Column("shortfall", sa.BigInteger()),
        sa.Column("correction_no", sa.BigInteger()),
        sa.Column("seq", sa.BigInteger()),
        sa.Column("code", sa.Text()),
        sa.Column("detail", sa.Text()),
        sa.ForeignKeyConstraint(["job_no"], ["rewards.correction_job.job_no"], name="correction_line_belongs_to_job"),
        sa.CheckConstraint("kind IN ('clawback', 'adjustment')", name="correction_line_kind_is_known"),
        sa.CheckConstraint(
            "state IN ('new', 'checked', 'refused', 'skipped', 'done', 'failed')", name="correction_line_state_is_known"
        ),
        sa.CheckConstraint("(campaign_no IS NULL) = (event_key IS NULL)", name="correction_line_names_a_grant_whole"),
        sa.PrimaryKeyConstraint("job_no", "line_no", name="correction_line_pkey"),
        schema="rewards",
    )
    op.create_index(
        "correction_line_by_grant",
        "correction_line",
        ["campaign_no", "event_key", "job_no"],
        schema="rewards",
        postgresql_where=sa.text("event_key IS NOT NULL"),
    )
    op.create_index(
        "correction_line_by_customer",
        "correction_line",
        ["job_no", "customer"],
        schema="rewards",
        postgresql_where=sa.text("event_key IS NULL"),
    )
    op.create_index(
        "correction_line_that_is_not_to_be_done",
        "correction_line",
        ["job_no", "line_no"],
        schema="rewards",
        postgresql_where=sa.text("state IN ('refused', 'skipped', 'failed')"),
    )
    for statement in schema.statements(_RIGHTS):
        op.get_bind().exec_driver_sql(statement)
