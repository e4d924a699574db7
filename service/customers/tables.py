"""The customer's tables: a number for the books, and keyed hashes of what the brand calls her.

Both are look-up tables. No name, address or telephone number is stored: ``identity.mac`` is an HMAC of a normal form.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Sequence,
    SmallInteger,
    Table,
    func,
    text,
)

from service.database import metadata

customer = Table(
    "customer",
    metadata,
    Column("customer", BigInteger, Identity(always=True), primary_key=True),
    Column("brand_id", Integer, nullable=False),
    Column("book_id", Integer, nullable=False),
    # Known by the brand's own id, not by an email or phone alone: may redeem.
    Column("confirmed", Boolean, nullable=False),
    # Who she is one with now: always the last of the line. Her identities keep her number and lead there through this.
    Column("merged_into", BigInteger, nullable=True),
    # How many were merged into her: who has none, nearly everybody, costs no look-up.
    Column("absorbed", SmallInteger, nullable=False, server_default="0"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    # Grows with every merge and split that she takes part in: the book and every memory of her say which one they know.
    Column("generation", BigInteger, nullable=False, server_default="0"),
    # Whether she, or one who is part of her, was one with others once.
    Column("parted", Boolean, nullable=False, server_default=text("false")),
    CheckConstraint("absorbed BETWEEN 0 AND 7", name="customer_absorbs_at_most_seven"),
    CheckConstraint("merged_into IS NULL OR absorbed = 0", name="customer_is_merged_into_the_last_of_the_line"),
    Index("customer_by_survivor", "merged_into", postgresql_where=text("merged_into IS NOT NULL")),
)

# Two numbers that were one once and were split: each has a row of the other, for ever, also when they are one again.
parted = Table(
    "parted",
    metadata,
    Column("customer", BigInteger, primary_key=True),
    Column("other", BigInteger, primary_key=True),
    CheckConstraint("customer <> other", name="parted_are_two"),
)

generations = Sequence("customer_generation", start=16, metadata=metadata)

identity = Table(
    "identity",
    metadata,
    Column("mac", LargeBinary, primary_key=True),
    Column("brand_id", Integer, nullable=False),
    Column("kind", SmallInteger, nullable=False),
    Column("key_no", SmallInteger, nullable=False),
    Column("form", SmallInteger, nullable=False),
    Column("customer", BigInteger, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint("octet_length(mac) = 16", name="identity_mac_is_16_bytes"),
    CheckConstraint("kind BETWEEN 1 AND 3", name="identity_is_id_email_or_phone"),
    Index("identity_by_customer", "customer"),
)
