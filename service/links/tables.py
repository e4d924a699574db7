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

from service.database import metadata

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

# A look-up table, keyed by the hash it is looked up by: so no foreign keys. The other index counts a customer's messages.
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
)
