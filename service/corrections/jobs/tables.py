"""Corrections of many, and their lines. A line names a grant or a customer by our numbers, and nobody by name."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from service.storage.database import metadata

WORKED_ON = "status IN ('gathering', 'checking', 'running', 'cancelling')"
"""Jobs that the worker has something to do for."""
OPEN = "status NOT IN ('done', 'cancelled', 'failed')"

correction_job = Table(
    "correction_job",
    metadata,
    Column("job_no", BigInteger, Identity(always=True), primary_key=True),
    Column("brand_id", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("reference", Text),
    # Whose grants it corrects, and which of them; NULL: those that its list names.
    Column("campaign_no", Integer),
    Column("selection", JSONB(none_as_null=True)),
    # The hashes of the caller's own name for the request, and of the request.
    Column("idempotency_key", LargeBinary, nullable=False),
    Column("request_hash", LargeBinary, nullable=False),
    Column("ordered_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("ordered_by", Integer, nullable=False),
    Column("lines", Integer, nullable=False, server_default="0"),
    # Where in the feed of events, newest first, a campaign's grants have been gathered down to.
    Column("gathered_to", Text),
    Column("checked", Integer, nullable=False, server_default="0"),
    Column("checked_at", DateTime(timezone=True)),
    Column("refused", Integer, nullable=False, server_default="0"),
    Column("skipped", Integer, nullable=False, server_default="0"),
    Column("customers", Integer, nullable=False, server_default="0"),
    # What the check expects.
    Column("expected_taken", BigInteger, nullable=False, server_default="0"),
    Column("expected_given", BigInteger, nullable=False, server_default="0"),
    Column("expected_shortfall", BigInteger, nullable=False, server_default="0"),
    # Of all lines that are to be carried out, and of what each is to do.
    Column("lines_hash", LargeBinary),
    Column("approval_no", BigInteger),
    Column("started_at", DateTime(timezone=True)),
    # In whose name it is carried out.
    Column("started_by", Integer),
    # Lines up to this one may have been posted; those up to `settled` were, and say what came of it.
    Column("begun", Integer, nullable=False, server_default="0"),
    Column("settled", Integer, nullable=False, server_default="0"),
    Column("made", Integer, nullable=False, server_default="0"),
    Column("failed", Integer, nullable=False, server_default="0"),
    Column("taken", BigInteger, nullable=False, server_default="0"),
    Column("given", BigInteger, nullable=False, server_default="0"),
    Column("shortfall", BigInteger, nullable=False, server_default="0"),
    Column("error", Text),
    Column("ended_at", DateTime(timezone=True)),
    # A worker has it until then; another takes it on afterwards, and what the first still says is not listened to.
    Column("leased_until", DateTime(timezone=True)),
    Column("attempt", Integer, nullable=False, server_default="0"),
    ForeignKeyConstraint(["brand_id"], ["rewards.brand.brand_id"], name="correction_job_belongs_to_brand"),
    ForeignKeyConstraint(["campaign_no"], ["rewards.campaign.campaign_no"], name="correction_job_is_of_a_campaign"),
    ForeignKeyConstraint(["ordered_by"], ["rewards.api_key.api_key_id"], name="correction_job_was_ordered_by_a_key"),
    ForeignKeyConstraint(["started_by"], ["rewards.api_key.api_key_id"], name="correction_job_was_started_by_a_key"),
    UniqueConstraint("brand_id", "idempotency_key", name="correction_job_is_ordered_once_under_a_key"),
    CheckConstraint(
        "status IN ('receiving', 'gathering', 'checking', 'checked', 'running', 'cancelling', 'done', 'cancelled', 'failed')",
        name="correction_job_status_is_known",
    ),
    CheckConstraint(f"({OPEN}) = (ended_at IS NULL)", name="correction_job_has_ended_or_is_open"),
    CheckConstraint("(status = 'failed') = (error IS NOT NULL)", name="correction_job_that_failed_says_why"),
    CheckConstraint("settled <= begun AND begun <= lines", name="correction_job_settles_what_it_began"),
    Index("correction_job_by_brand", "brand_id", "job_no"),
    Index("correction_job_that_is_open", "brand_id", postgresql_where=text(OPEN)),
    Index("correction_job_that_is_worked_on", "job_no", postgresql_where=text(WORKED_ON)),
)

correction_line = Table(
    "correction_line",
    metadata,
    Column("job_no", BigInteger, primary_key=True, autoincrement=False),
    Column("line_no", Integer, primary_key=True, autoincrement=False),
    # NULL of one that could not be read.
    Column("kind", Text),
    # The grant it is about; NULL: an adjustment of a customer whom the list names.
    Column("campaign_no", Integer),
    Column("event_key", LargeBinary),
    Column("customer", BigInteger),
    # Below 0 they are taken by an adjustment; NULL: a claw-back of all that is left.
    Column("points", BigInteger),
    Column("state", Text, nullable=False),
    Column("expected", BigInteger),
    Column("expected_shortfall", BigInteger),
    Column("moved", BigInteger),
    Column("shortfall", BigInteger),
    Column("correction_no", BigInteger),
    Column("seq", BigInteger),
    # Why it is refused or skipped, or has failed.
    Column("code", Text),
    Column("detail", Text),
    ForeignKeyConstraint(["job_no"], ["rewards.correction_job.job_no"], name="correction_line_belongs_to_job"),
    CheckConstraint("kind IN ('clawback', 'adjustment')", name="correction_line_kind_is_known"),
    CheckConstraint(
        "state IN ('new', 'checked', 'refused', 'skipped', 'done', 'failed')", name="correction_line_state_is_known"
    ),
    CheckConstraint("(campaign_no IS NULL) = (event_key IS NULL)", name="correction_line_names_a_grant_whole"),
    Index("correction_line_by_grant", "campaign_no", "event_key", "job_no", postgresql_where=text("event_key IS NOT NULL")),
    Index("correction_line_by_seq", "seq", postgresql_where=text("seq IS NOT NULL")),
    Index(
        "correction_line_that_is_not_to_be_done",
        "job_no",
        "line_no",
        postgresql_where=text("state IN ('refused', 'skipped', 'failed')"),
    ),
)
