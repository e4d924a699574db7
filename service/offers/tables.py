"""The tables of offers. Whether an offer is claimed or has lapsed is decided in the book; here it is noted, to be listed."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    func,
)

from service.storage.database import metadata

# Look-up tables: so no foreign keys.
offer = Table(
    "offer",
    metadata,
    Column("offer_no", BigInteger, Identity(always=True), nullable=False),
    Column("brand_id", Integer, nullable=False),
    # The sender's id of what is offered, which may be the same for everybody to whom it is.
    Column("offer_group", Text, nullable=False),
    Column("customer", BigInteger, nullable=False),
    Column("campaign_no", Integer, nullable=False),
    # See OfferState.
    Column("state", SmallInteger, nullable=False, server_default="1"),
    Column("offered_at", DateTime(timezone=True), nullable=False),
    Column("lapses_at", DateTime(timezone=True), nullable=False),
    # Whether that was said, or follows from the campaign and the links.
    Column("is_stated", Boolean, nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    Column("registered_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    PrimaryKeyConstraint("brand_id", "offer_group", "customer", name="offer_pkey"),
    Index("offer_by_number", "offer_no"),
    Index("offer_by_state", "brand_id", "state", "offer_no"),
    Index("offer_by_group", "brand_id", "offer_group", "state", "offer_no"),
    Index("offer_by_customer", "customer"),
    Index("offer_to_lapse", "brand_id", "lapses_at", postgresql_where="state < 5"),
    # Offers are stored in the order in which they are registered.
    Index("offer_by_registration", "registered_at", postgresql_using="brin"),
)

offer_message = Table(
    "offer_message",
    metadata,
    Column("brand_id", Integer, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("customer", BigInteger, nullable=False),
    Column("offer_group", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("sent_at", DateTime(timezone=True), nullable=False),
    Column("delivered_at", DateTime(timezone=True)),
    Column("opened_at", DateTime(timezone=True)),
    Column("clicked_at", DateTime(timezone=True)),
    # When it was known never to arrive.
    Column("failed_at", DateTime(timezone=True)),
    PrimaryKeyConstraint("brand_id", "message_id", "customer", name="offer_message_pkey"),
    Index("offer_message_by_offer", "brand_id", "offer_group", "customer", "sent_at"),
    Index("offer_message_by_customer", "customer"),
)
