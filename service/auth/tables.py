"""API keys. Only the operator's command line writes them, and only a key's hash is kept."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
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
)

from service.database import metadata

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
    ForeignKeyConstraint(["brand_id"], ["rewards.brand.brand_id"], name="api_key_belongs_to_brand"),
    UniqueConstraint("secret_hash", name="api_key_secret_is_unique"),
    CheckConstraint("octet_length(secret_hash) = 32", name="api_key_secret_is_a_sha256"),
    CheckConstraint("max_evidence IN ('A', 'B', 'C', 'D')", name="api_key_evidence_is_a_grade"),
    CheckConstraint(
        "NOT scopes @> ARRAY['funds:write', 'grants:write']",
        name="api_key_never_both_funds_and_grants",
    ),
    Index("api_key_by_brand", "brand_id"),
)
