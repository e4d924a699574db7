"""Approvals, what passed without one, and the limits. Only functions of the database decide an approval."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from service.storage.database import metadata

approval = Table(
    "approval",
    metadata,
    Column("approval_no", BigInteger, Identity(always=True), primary_key=True),
    Column("brand_id", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("body", JSONB, nullable=False),
    # What is approved: of all above, and of the amount and customer.
    Column("digest", LargeBinary, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("customer", BigInteger),
    # The Idempotency-Key that it was sent with; empty without one.
    Column("key", Text, nullable=False),
    # The request by its key, or by itself: sent again it finds its approval.
    Column("request_key", LargeBinary, nullable=False),
    Column("exceeds", Text, nullable=False),
    Column("asked_by", Integer, nullable=False),
    Column("asked_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("decision", Text),
    # NULL: it expired.
    Column("decided_by", Integer),
    Column("decided_at", DateTime(timezone=True)),
    Column("note", Text),
    Column("executed_at", DateTime(timezone=True)),
    Column("result", JSONB(none_as_null=True)),
    Column("error", JSONB(none_as_null=True)),
    ForeignKeyConstraint(["brand_id"], ["rewards.brand.brand_id"], name="approval_belongs_to_brand"),
    ForeignKeyConstraint(["asked_by"], ["rewards.api_key.api_key_id"], name="approval_was_asked_by_a_key"),
    ForeignKeyConstraint(["decided_by"], ["rewards.api_key.api_key_id"], name="approval_was_decided_by_a_key"),
    UniqueConstraint("brand_id", "request_key", name="approval_has_a_request_once"),
    CheckConstraint("octet_length(digest) = 32 AND octet_length(request_key) = 32", name="approval_digests_are_sha256"),
    CheckConstraint("amount >= 0", name="approval_amount_is_not_negative"),
    CheckConstraint("decision IN ('approved', 'declined', 'expired')", name="approval_decision_is_known"),
    CheckConstraint("(decision IS NULL) = (decided_at IS NULL)", name="approval_that_is_decided_says_when"),
    CheckConstraint("executed_at IS NULL OR decision = 'approved'", name="approval_is_carried_out_if_approved"),
    Index("approval_by_brand", "brand_id", "approval_no"),
    Index("approval_that_is_open", "brand_id", "approval_no", postgresql_where=text("decision IS NULL")),
    Index("approval_to_carry_out", "approval_no", postgresql_where=text("decision = 'approved' AND executed_at IS NULL")),
)

approval_use = Table(
    "approval_use",
    metadata,
    Column("brand_id", Integer, primary_key=True, autoincrement=False),
    Column("kind", Text, primary_key=True),
    Column("request_key", LargeBinary, primary_key=True),
    # The person, or the first key of a system's chain: a key that it makes has no limit of its own.
    Column("maker", Text, nullable=False),
    Column("customer", BigInteger),
    Column("day", Date, nullable=False),
    Column("amount", BigInteger, nullable=False),
    ForeignKeyConstraint(["brand_id"], ["rewards.brand.brand_id"], name="approval_use_belongs_to_brand"),
    Index("approval_use_by_maker", "brand_id", "kind", "maker", "day"),
    Index("approval_use_by_customer", "brand_id", "kind", "customer", "day", postgresql_where=text("customer IS NOT NULL")),
)

approval_policy = Table(
    "approval_policy",
    metadata,
    Column("brand_id", Integer, primary_key=True, autoincrement=False),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("expires_after_days", SmallInteger, nullable=False),
    Column("limits", JSONB, nullable=False),
    Column("made_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    # NULL: the operator.
    Column("made_by", Integer),
    ForeignKeyConstraint(["brand_id"], ["rewards.brand.brand_id"], name="approval_policy_belongs_to_brand"),
    CheckConstraint("expires_after_days BETWEEN 1 AND 90", name="approval_policy_waits_for_days"),
)
