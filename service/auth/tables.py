"""API keys, what they have used of their quotas, and the audit trail.

The application may append to the trail and say when a key was last used. Everything else it does through functions of the
database, which see to it that a key gives nothing it does not hold.
"""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
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

api_key = Table(
    "api_key",
    metadata,
    Column("api_key_id", Integer, Identity(always=True), primary_key=True),
    Column("brand_id", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    Column("secret_hash", LargeBinary, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("max_evidence", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("expires_at", DateTime(timezone=True)),
    Column("revoked_at", DateTime(timezone=True)),
    Column("last_used_at", DateTime(timezone=True)),
    Column("quota_per_minute", Integer),
    Column("lateness_hours", SmallInteger, nullable=False, server_default="72"),
    # NULL: the operator made it.
    Column("made_by", Integer),
    # The keys on whose quotas it draws beside its own: its maker, and whom that draws on.
    Column("quota_of", ARRAY(Integer), nullable=False, server_default="{}"),
    # NULL: a system's. A key that a person's key makes is the same person's.
    Column("person_id", Integer),
    ForeignKeyConstraint(["brand_id"], ["rewards.brand.brand_id"], name="api_key_belongs_to_brand"),
    ForeignKeyConstraint(["made_by"], ["rewards.api_key.api_key_id"], name="api_key_was_made_by_a_key"),
    ForeignKeyConstraint(["person_id"], ["rewards.person.person_id"], name="api_key_belongs_to_person"),
    UniqueConstraint("secret_hash", name="api_key_secret_is_unique"),
    CheckConstraint("octet_length(secret_hash) = 32", name="api_key_secret_is_a_sha256"),
    CheckConstraint("max_evidence IN ('A', 'B', 'C', 'D')", name="api_key_evidence_is_a_grade"),
    CheckConstraint(
        "NOT (scopes && ARRAY['grants:write', 'links:write', 'sources:write']"
        " AND scopes && ARRAY['funds:write', 'grants:approve', 'approvals:write'])"
        " AND NOT (scopes @> ARRAY['funds:write'] AND scopes && ARRAY['grants:approve', 'approvals:write'])",
        name="api_key_mints_or_funds_or_approves",
    ),
    CheckConstraint(
        "NOT (scopes && ARRAY['corrections:write', 'returns:write'] AND scopes && ARRAY['grants:write', 'links:write',"
        " 'sources:write', 'funds:write', 'grants:approve', 'approvals:write'])",
        name="api_key_corrects_or_has_another_duty",
    ),
    CheckConstraint("quota_per_minute BETWEEN 1 AND 100000000", name="api_key_quota_is_a_number_of_items"),
    CheckConstraint("lateness_hours BETWEEN 0 AND 72", name="api_key_lateness_is_at_most_72_hours"),
    Index("api_key_by_brand", "brand_id"),
    Index("api_key_by_person", "person_id", postgresql_where=text("person_id IS NOT NULL")),
)

key_quota = Table(
    "key_quota",
    metadata,
    Column("api_key_id", Integer, primary_key=True, autoincrement=False),
    Column("minute", DateTime(timezone=True), nullable=False),
    Column("used", Integer, nullable=False),
    ForeignKeyConstraint(["api_key_id"], ["rewards.api_key.api_key_id"], name="key_quota_belongs_to_key"),
    CheckConstraint("used >= 0", name="key_quota_used_is_an_amount"),
    postgresql_with={"fillfactor": "50"},
)

audit_trail = Table(
    "audit_trail",
    metadata,
    Column("entry_no", BigInteger, Identity(always=True), primary_key=True),
    Column("brand_id", Integer, nullable=False),
    Column("api_key_id", Integer),
    Column("by_operator", Boolean, nullable=False, server_default="false"),
    Column("happened_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("act", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("before", JSONB(none_as_null=True)),
    Column("after", JSONB(none_as_null=True)),
    Column("request", LargeBinary),
    ForeignKeyConstraint(["brand_id"], ["rewards.brand.brand_id"], name="audit_trail_belongs_to_brand"),
    ForeignKeyConstraint(["api_key_id"], ["rewards.api_key.api_key_id"], name="audit_trail_names_a_key"),
    UniqueConstraint("brand_id", "act", "request", name="audit_trail_has_a_request_once"),
    CheckConstraint("by_operator = (api_key_id IS NULL)", name="audit_trail_is_by_a_key_or_the_operator"),
    Index("audit_trail_by_brand", "brand_id", "entry_no"),
    Index("audit_trail_by_subject", "brand_id", "subject", "entry_no"),
)
