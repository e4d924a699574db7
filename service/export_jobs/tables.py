"""The table of export jobs."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from service.storage.database import metadata

LOST = "lost"
"""It was done, and files of it are gone from the store."""
UNDER_WAY = "status IN ('queued', 'running')"

export_job = Table(
    "export_job",
    metadata,
    Column("export_no", BigInteger, Identity(always=True), primary_key=True),
    Column("brand_id", Integer, ForeignKey("rewards.brand.brand_id"), nullable=False),
    Column("status", Text, nullable=False, server_default="queued"),
    # Of the data mart: the day that it is of.
    Column("business_date", Date),
    # The first accounting date of the transfers in it. NULL: all that were posted on the day, as it was once.
    Column("counts_from", Date),
    Column("formats", ARRAY(Text), nullable=False),
    Column("details", Boolean, nullable=False, server_default="false"),
    Column("customers", Boolean, nullable=False),
    Column("sub_accounts", Boolean, nullable=False),
    Column("account_codes", JSONB, nullable=False, server_default="[]"),
    # How many of the brand's restatements its money and codes have.
    Column("restatements", Integer, nullable=False, server_default="0"),
    Column("since_name", Text, nullable=False),
    Column("since_seq", BigInteger, nullable=False),
    # NULL: from the book's beginning.
    Column("since_posted_at", DateTime(timezone=True)),
    Column("cut_name", Text, nullable=False),
    Column("cut_seq", BigInteger, nullable=False),
    Column("cut_posted_at", DateTime(timezone=True), nullable=False),
    Column("request_hash", LargeBinary, nullable=False),
    # The hash of the caller's own name for the request.
    Column("idempotency_key", LargeBinary),
    Column("ordered_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    # NULL: the worker itself.
    Column("ordered_by", Integer),
    # A worker has it until then; another takes it on afterwards, and what the first still says is not listened to.
    Column("leased_until", DateTime(timezone=True)),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("rows_read", BigInteger, nullable=False, server_default="0"),
    Column("rows_of", BigInteger, nullable=False, server_default="0"),
    # Lines of the manifest, each as soon as its file is whole; the manifest is the last.
    Column("files", JSONB, nullable=False, server_default="[]"),
    Column("error", Text),
    Column("ended_at", DateTime(timezone=True)),
    Column("deleted_at", DateTime(timezone=True)),
    # Whether there may be something of it in the store.
    Column("stored", Boolean, nullable=False, server_default="false"),
    CheckConstraint(
        "status IN ('queued', 'running', 'done', 'failed', 'cancelled', 'lost')", name="export_job_status_is_known"
    ),
    CheckConstraint("since_seq <= cut_seq", name="export_job_ends_after_it_begins"),
    CheckConstraint("(status = 'failed') = (error IS NOT NULL)", name="export_job_that_failed_says_why"),
    CheckConstraint(f"({UNDER_WAY}) = (ended_at IS NULL)", name="export_job_has_ended_or_is_under_way"),
    Index(
        "export_job_is_asked_for_once_under_a_key",
        "brand_id",
        "idempotency_key",
        unique=True,
        postgresql_where=text("idempotency_key IS NOT NULL"),
    ),
    Index("export_job_is_under_way_once", "brand_id", "request_hash", unique=True, postgresql_where=text(UNDER_WAY)),
    Index(
        "export_job_is_made_once_a_day",
        "brand_id",
        "business_date",
        unique=True,
        postgresql_where=text("business_date IS NOT NULL AND status IN ('queued', 'running', 'done', 'lost')"),
    ),
    Index("export_job_by_brand", "brand_id", "export_no"),
    Index("export_job_that_is_stored", "export_no", postgresql_where=text("stored")),
    Index("export_job_that_is_under_way", "export_no", postgresql_where=text(UNDER_WAY)),
)
