"""Persons. The application may read all of it but the hashes of invitations, and writes through functions of the database."""

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

from service.storage.database import metadata

person = Table(
    "person",
    metadata,
    Column("person_id", Integer, Identity(always=True), primary_key=True),
    Column("brand_id", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("roles", ARRAY(Text), nullable=False),
    # What the roles stood for when the person was invited: what the keys they enrol with hold.
    Column("scopes", ARRAY(Text), nullable=False),
    Column("invited_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    # NULL once it was used.
    Column("invitation_hash", LargeBinary),
    Column("invitation_expires_at", DateTime(timezone=True)),
    Column("enrolled_at", DateTime(timezone=True)),
    Column("disabled_at", DateTime(timezone=True)),
    ForeignKeyConstraint(["brand_id"], ["rewards.brand.brand_id"], name="person_belongs_to_brand"),
    UniqueConstraint("invitation_hash", name="person_invitation_is_unique"),
    CheckConstraint("octet_length(invitation_hash) = 32", name="person_invitation_is_a_sha256"),
    CheckConstraint("(invitation_hash IS NULL) = (invitation_expires_at IS NULL)", name="person_invitation_has_a_time"),
    CheckConstraint("cardinality(roles) > 0 AND cardinality(scopes) > 0", name="person_has_a_role"),
    Index("person_by_brand", "brand_id", "person_id"),
)
