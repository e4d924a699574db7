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
    SmallInteger,
    Table,
    func,
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
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

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
