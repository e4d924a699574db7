"""The tables of links. A row is never changed by the application: a link is what it was when it was minted."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
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

destination = Table(
    "destination",
    metadata,
    Column("destination_no", Integer, Identity(always=True), primary_key=True),
    Column("brand_id", Integer, ForeignKey("rewards.brand.brand_id"), nullable=False),
    Column("url", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    UniqueConstraint("brand_id", "url", name="destination_has_one_number_for_a_brand"),
    CheckConstraint("length(url) <= 2048", name="destination_url_is_at_most_2048_characters"),
)

# Look-up tables, keyed by the hash they are looked up by: so no foreign keys. The other index counts a customer's messages.
link = Table(
    "link",
    metadata,
    Column("link_id", LargeBinary, primary_key=True),
    Column("brand_id", Integer, nullable=False),
    Column("campaign_no", Integer, nullable=False),
    Column("campaign_version", Integer, nullable=False),
    Column("customer", BigInteger, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("destination_no", Integer, nullable=False),
    Column("sent_at", DateTime(timezone=True)),
    Column("minted_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("revoked_at", DateTime(timezone=True)),
    Column("minted_by", Integer, nullable=False),
    Column("kind", Text, nullable=False, server_default="claim"),
    Column("mode", Text, nullable=False, server_default="page"),
    CheckConstraint("kind IN ('claim', 'open')", name="link_kind_is_claim_or_open"),
    CheckConstraint("mode IN ('page', 'handoff', 'redirect')", name="link_mode_is_page_handoff_or_redirect"),
    CheckConstraint("(kind = 'open') = (destination_no = 0)", name="link_leads_somewhere_unless_it_is_an_open"),
    CheckConstraint("octet_length(link_id) = 20", name="link_id_is_20_bytes"),
    CheckConstraint("expires_at > minted_at", name="link_expires_after_it_is_minted"),
    Index("link_by_customer", "customer", "minted_at"),
    # Links are stored in the order in which they are minted, so this is some bytes for a thousand of them.
    Index("link_by_minting", "minted_at", postgresql_using="brin"),
)


link_code = Table(
    "link_code",
    metadata,
    Column("code_hash", LargeBinary, primary_key=True),
    Column("link_id", LargeBinary, nullable=False),
    CheckConstraint("octet_length(code_hash) = 16", name="link_code_hash_is_16_bytes"),
    CheckConstraint("octet_length(link_id) = 20", name="link_code_stands_for_a_link_id"),
)

# What was revoked, and is not any more, is in the audit trail.
link_revocation = Table(
    "link_revocation",
    metadata,
    Column("revocation_no", Integer, Identity(always=True), primary_key=True),
    Column("brand_id", Integer, nullable=False),
    # See `revocation_subjects`: what is looked up with every link.
    Column("subject", Text, nullable=False),
    # As the one who revoked it called it.
    Column("named", Text, nullable=False),
    Column("reason", Text),
    Column("revoked_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    # NULL: the operator.
    Column("revoked_by", Integer),
    UniqueConstraint("brand_id", "subject", name="link_revocation_is_said_once"),
)


# Public keys alone. A key is never removed: what it signed is told apart from forgeries also after it is revoked.
minting_key = Table(
    "minting_key",
    metadata,
    Column("key_no", Integer, Identity(always=True), primary_key=True),
    Column("brand_id", Integer, ForeignKey("rewards.brand.brand_id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("public_key", LargeBinary, nullable=False),
    Column("registered_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("registered_by", Integer, nullable=False),
    # When the key that registered it expires.
    Column("expires_at", DateTime(timezone=True)),
    Column("retired_at", DateTime(timezone=True)),
    Column("revoked_at", DateTime(timezone=True)),
    UniqueConstraint("brand_id", "public_key", name="minting_key_is_registered_once"),
    CheckConstraint("octet_length(public_key) = 32", name="minting_key_is_an_ed25519_key"),
)
