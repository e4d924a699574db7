"""The customer's tables: a number for the books, keyed hashes of what the brand calls her, and where she may be contacted.

All are look-up tables. No name, address or telephone number is stored: ``identity.mac`` is an HMAC of a normal form.
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
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

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
    # When she began to refuse each channel, ended, began again ...: what follows from the rows of ``consent``, see refused.py.
    Column("refused", JSONB, nullable=True),
    # Which of the brand's changes of consents the last was that concerns her; NULL for nearly everybody.
    Column("consent_no", BigInteger, nullable=True),
    CheckConstraint("absorbed BETWEEN 0 AND 7", name="customer_absorbs_at_most_seven"),
    CheckConstraint("merged_into IS NULL OR absorbed = 0", name="customer_is_merged_into_the_last_of_the_line"),
    Index("customer_by_survivor", "merged_into", postgresql_where=text("merged_into IS NOT NULL")),
    Index("customer_by_consent", "brand_id", "consent_no", postgresql_where=text("consent_no IS NOT NULL")),
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

# What was said, when, and who told us; only ever added to. A merge leaves a row with the number it was said of.
consent = Table(
    "consent",
    metadata,
    Column("consent_no", BigInteger, Identity(always=True), primary_key=True),
    Column("brand_id", Integer, nullable=False),
    Column("customer", BigInteger, nullable=False),
    Column("channel", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("refused", Boolean, nullable=False),
    Column("source", Text, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Column("recorded_by", Integer, nullable=False),
    UniqueConstraint("customer", "channel", "at", "refused", "source", name="consent_is_stated_once"),
)
