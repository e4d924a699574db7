"""The tables of messages. A row is never changed by the application: a message is what it was registered as.

Messages with a reward link need no row here: the link's says as much of them.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    func,
    text,
)

from service.storage.database import metadata

# A look-up table: so no foreign keys.
message = Table(
    "message",
    metadata,
    Column("brand_id", Integer, nullable=False),
    # The sender's id, which may be the same for everybody who got the message.
    Column("message_id", Text, nullable=False),
    Column("customer", BigInteger, nullable=False),
    Column("campaign_no", Integer, nullable=False),
    Column("channel", Text, nullable=False),
    Column("conversation", Text),
    Column("offer_group", Text),
    Column("provider", Text, nullable=False),
    Column("provider_message_id", Text),
    Column("sent_at", DateTime(timezone=True), nullable=False),
    Column("registered_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("registered_by", Integer, nullable=False),
    PrimaryKeyConstraint("brand_id", "message_id", "customer", name="message_pkey"),
    Index("message_by_customer", "customer", "channel", "sent_at"),
    Index(
        "message_by_provider_id",
        "brand_id",
        "provider",
        # A Message-ID and what is before its @ are one id.
        text("split_part(provider_message_id, '@', 1)"),
        "customer",
        postgresql_where="provider_message_id IS NOT NULL",
    ),
    Index("message_by_time", "brand_id", "sent_at", "customer"),
    Index("message_by_conversation", "brand_id", "conversation", "sent_at", postgresql_where="conversation IS NOT NULL"),
    # Messages are stored in the order in which they are registered.
    Index("message_by_registration", "registered_at", postgresql_using="brin"),
)

# Which message a reply that names none was taken to answer: for good, whatever is sent afterwards and however often the reply
# comes. What is forgotten keeps its row without the message.
answered_message = Table(
    "answered_message",
    metadata,
    Column("brand_id", Integer, nullable=False),
    # A hash of the provider and its key of the reply.
    Column("reply", LargeBinary, nullable=False),
    Column("customer", BigInteger, nullable=False),
    Column("campaign_no", Integer, nullable=False),
    Column("message_id", Text),
    Column("answered_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    PrimaryKeyConstraint("brand_id", "reply", name="answered_message_pkey"),
    CheckConstraint("octet_length(reply) = 16", name="answered_message_reply_is_16_bytes"),
    Index("answered_message_by_customer", "customer"),
    Index("answered_message_to_forget", "answered_at", postgresql_where="message_id IS NOT NULL"),
)
