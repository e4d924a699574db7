"""The customer's tables: a number for the books, keyed hashes of the brand's names for the customer, proofs of these names, and
where the customer may be contacted.

All are look-up tables. No name, address or telephone number is stored: ``identity.mac`` is an HMAC of a normal form. What the
brand says of its proof and its reasons is: to erase it, ``verification.proof`` and ``reason`` are set to null.
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
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from service.storage.database import metadata

customer = Table(
    "customer",
    metadata,
    Column("customer", BigInteger, Identity(always=True), primary_key=True),
    Column("brand_id", Integer, nullable=False),
    Column("book_id", Integer, nullable=False),
    # Known by the brand's own id, not by other names alone: may redeem.
    Column("confirmed", Boolean, nullable=False),
    # A name of the customer's, or of one merged into it, is verified: the customer may redeem under that name.
    Column("verified", Boolean, nullable=False, server_default=text("false")),
    # The survivor of a merge, never itself merged. Identities keep their number and lead to the survivor through this.
    Column("merged_into", BigInteger, nullable=True),
    # How many customers were merged into this one; nearly always none, which costs no look-up.
    Column("absorbed", SmallInteger, nullable=False, server_default="0"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    # When the customer refused each channel and allowed it again, derived from the rows of ``consent``; see opt_outs.py.
    Column("refused", JSONB, nullable=True),
    # The brand's latest change of consents that concerns the customer; NULL for nearly everybody.
    Column("consent_no", BigInteger, nullable=True),
    # Grows with every merge and split; the book and every cache say which generation they know.
    Column("generation", BigInteger, nullable=False, server_default="0"),
    # Whether any of the customer's numbers was ever split off, or had one split off from it.
    Column("parted", Boolean, nullable=False, server_default=text("false")),
    # The number stays in the books and names nobody any more.
    Column("erased_at", DateTime(timezone=True), nullable=True),
    CheckConstraint("absorbed BETWEEN 0 AND 7", name="customer_absorbs_at_most_seven"),
    CheckConstraint("merged_into IS NULL OR absorbed = 0", name="customer_is_merged_into_the_last_of_the_line"),
    Index("customer_by_survivor", "merged_into", postgresql_where=text("merged_into IS NOT NULL")),
    Index("customer_by_consent", "brand_id", "consent_no", postgresql_where=text("consent_no IS NOT NULL")),
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
    # Lets the brand refer to the name without repeating it. Rehashing keeps it.
    Column("identity_no", BigInteger, Identity(always=True), nullable=False),
    # The first proof since it was last withdrawn; null: unverified.
    Column("verified_by", BigInteger, nullable=True),
    CheckConstraint("kind BETWEEN 1 AND 4", name="identity_is_id_email_phone_or_device"),
    UniqueConstraint("identity_no", name="identity_has_a_number_of_its_own"),
    Index("identity_by_customer", "customer"),
)

# What the names of erased customers were stored as. Whose they were is not kept.
tombstone = Table(
    "tombstone",
    metadata,
    Column("mac", LargeBinary, primary_key=True),
    Column("brand_id", Integer, nullable=False),
    Column("key_no", SmallInteger, nullable=False),
    Column("erased_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("octet_length(mac) = 16", name="tombstone_mac_is_16_bytes"),
)

# What was proved, and withdrawn, of a name; only ever added to.
verification = Table(
    "verification",
    metadata,
    Column("verification_no", BigInteger, Identity(always=True), primary_key=True),
    Column("brand_id", Integer, nullable=False),
    Column("identity_no", BigInteger, nullable=False),
    # Null: what was proved before is withdrawn.
    Column("method", Text, nullable=True),
    Column("proof", Text, nullable=True),
    Column("reason", Text, nullable=True),
    Column("happened_at", DateTime(timezone=True), nullable=False),
    Column("api_key_id", Integer, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    CheckConstraint(
        "method IN ('otp', 'sign_on', 'double_opt_in', 'document', 'in_person')", name="verification_method_is_one_we_know"
    ),
    CheckConstraint("length(proof) BETWEEN 1 AND 200", name="verification_proof_is_1_to_200_characters"),
    CheckConstraint("length(reason) BETWEEN 1 AND 200", name="verification_reason_is_1_to_200_characters"),
    CheckConstraint(
        "CASE WHEN method IS NULL THEN proof IS NULL ELSE reason IS NULL END",
        name="verification_without_a_method_is_a_withdrawal",
    ),
    UniqueConstraint("identity_no", "method", "proof", name="verification_has_a_proof_once"),
    Index("verification_by_identity", "identity_no", "verification_no"),
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
    # Which key made the link by which the customer said so; NULL where nobody came by a link.
    Column("link_made_by", Integer),
    # Why a customer refuses, where that stops what is held back; NULL for everything else.
    Column("reason", Text),
    CheckConstraint("reason IS NULL OR (refused AND reason IN ('complaint', 'stop'))", name="consent_reason_is_of_a_refusal"),
    UniqueConstraint("customer", "channel", "at", "refused", "source", name="consent_is_stated_once"),
)
