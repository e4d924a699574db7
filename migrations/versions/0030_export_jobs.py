"""Exports as jobs that the worker makes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from ledger import schema

revision = "0030"
down_revision = "0029"

_UNDER_WAY = "status IN ('queued', 'running')"
_RIGHTS = """
GRANT SELECT, INSERT, UPDATE (status, ended_at, deleted_at) ON rewards.export_job TO rewards_application;
GRANT SELECT, UPDATE (
    status, leased_until, attempt, rows_read, rows_of, files, error, ended_at, deleted_at, stored
) ON rewards.export_job TO rewards_worker;
"""


def upgrade() -> None:
    op.create_table(
        "export_job",
        sa.Column("export_no", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("brand_id", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False, server_default="queued"),
        sa.Column("formats", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("customers", sa.Boolean(), nullable=False),
        sa.Column("sub_accounts", sa.Boolean(), nullable=False),
        sa.Column("since_name", sa.Text(), nullable=False),
        sa.Column("since_seq", sa.BigInteger(), nullable=False),
        sa.Column("since_posted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cut_name", sa.Text(), nullable=False),
        sa.Column("cut_seq", sa.BigInteger(), nullable=False),
        sa.Column("cut_posted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("idempotency_key", sa.LargeBinary(), nullable=True),
        sa.Column("ordered_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.clock_timestamp()),
        sa.Column("ordered_by", sa.Integer(), nullable=False),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("rows_read", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("rows_of", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("files", postgresql.JSONB(), nullable=False, server_default="[]"),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("stored", sa.Boolean(), nullable=False, server_default="false"),
        sa.PrimaryKeyConstraint("export_no", name="export_job_pkey"),
        sa.ForeignKeyConstraint(["brand_id"], ["rewards.brand.brand_id"], name="export_job_belongs_to_brand"),
        sa.CheckConstraint("status IN ('queued', 'running', 'done', 'failed', 'cancelled')", name="export_job_status_is_known"),
        sa.CheckConstraint("since_seq <= cut_seq", name="export_job_ends_after_it_begins"),
        sa.CheckConstraint("(status = 'failed') = (error IS NOT NULL)", name="export_job_that_failed_says_why"),
        sa.CheckConstraint(f"({_UNDER_WAY}) = (ended_at IS NULL)", name="export_job_has_ended_or_is_under_way"),
        schema="rewards",
    )
    _index(
        "export_job_is_asked_for_once_under_a_key", ["brand_id", "idempotency_key"], "idempotency_key IS NOT NULL", unique=True
    )
    _index("export_job_is_under_way_once", ["brand_id", "request_hash"], _UNDER_WAY, unique=True)
    _index("export_job_by_brand", ["brand_id", "export_no"])
    _index("export_job_that_is_stored", ["export_no"], "stored")
    _index("export_job_that_is_under_way", ["export_no"], _UNDER_WAY)
    for statement in schema.statements(_RIGHTS):
        op.get_bind().exec_driver_sql(statement)


def _index(name: str, columns: list[str], where: str | None = None, *, unique: bool = False) -> None:
    condition = None if where is None else sa.text(where)
    op.create_index(name, "export_job", columns, unique=unique, schema="rewards", postgresql_where=condition)
