"""The tables of batches of codes."""

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
    text,
)

from service.storage.database import metadata

code_batch = Table(
    "code_batch",
    metadata,
    Column("batch_no", Integer, Identity(always=True), primary_key=True),
    Column("brand_id", Integer, ForeignKey("rewards.brand.brand_id"), nullable=False),
    Column("id", Text, nullable=False),
    Column("campaign_no", Integer, nullable=False),
    Column("campaign_version", Integer, nullable=False),
    Column("action", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("destination_no", Integer, nullable=False),
    Column("codes", Integer, nullable=False),
    Column("control_total", LargeBinary, nullable=False),
    # Which key the codes are made with, again for each file.
    Column("kid", Text, nullable=False),
    Column("made_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("made_by", Integer, nullable=False),
    Column("pays", Text, nullable=False, server_default="first"),
    Column("rotates_every_s", Integer),
    UniqueConstraint("brand_id", "id", name="code_batch_id_is_the_brands_own"),
    CheckConstraint("codes > 0", name="code_batch_has_codes"),
    CheckConstraint("expires_at > made_at", name="code_batch_expires_after_it_is_made"),
    CheckConstraint("pays IN ('first', 'each')", name="code_batch_pays_whoever_comes_first_or_each"),
    CheckConstraint("rotates_every_s IS NULL OR pays = 'each'", name="code_batch_that_rotates_pays_each"),
)

# A look-up table as `link_code` is. A code is whoever's comes first, unless its batch pays each. A batch that rotates has one
# row: the hash of what all its codes begin with.
batch_code = Table(
    "batch_code",
    metadata,
    Column("code_hash", LargeBinary, primary_key=True),
    Column("batch_no", Integer, nullable=False),
    Column("serial", Integer, nullable=False),
    Column("customer", BigInteger),
    Column("claimed_at", DateTime(timezone=True)),
    UniqueConstraint("batch_no", "serial", name="batch_code_has_a_serial_of_its_own"),
    Index("batch_code_by_customer", "customer", "code_hash", postgresql_where=text("customer IS NOT NULL")),
    CheckConstraint("octet_length(code_hash) = 16", name="batch_code_hash_is_16_bytes"),
    CheckConstraint("(customer IS NULL) = (claimed_at IS NULL)", name="batch_code_is_claimed_by_somebody"),
)
