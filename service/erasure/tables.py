"""The table of erasures. A row has our numbers alone, and stays: a backup from before it is erased again by it."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
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
    func,
    text,
)

from service.storage.database import metadata

OPEN = "state IN ('waiting', 'erasing')"

erasure = Table(
    "erasure",
    metadata,
    Column("erasure_no", BigInteger, Identity(always=True), primary_key=True),
    Column("brand_id", Integer, nullable=False),
    Column("customer", BigInteger, nullable=False),
    Column("state", Text, nullable=False, server_default="waiting"),
    Column("asked_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    # NULL: the customer, or a backup from before the erasure was restored.
    Column("asked_by", Integer),
    Column("approval_no", BigInteger),
    Column("by_customer", Boolean, nullable=False, server_default="false"),
    # Until then the customer may use what they have.
    Column("erases_at", DateTime(timezone=True), nullable=False),
    # All numbers of the customer, once they are erased.
    Column("numbers", ARRAY(BigInteger), nullable=False, server_default="{}"),
    # What the clicks on their links are found by, until these are deleted.
    Column("messages", ARRAY(LargeBinary), nullable=False, server_default="{}"),
    Column("points", BigInteger),
    Column("erased_at", DateTime(timezone=True)),
    ForeignKeyConstraint(["brand_id"], ["rewards.brand.brand_id"], name="erasure_belongs_to_brand"),
    CheckConstraint("state IN ('waiting', 'erasing', 'erased')", name="erasure_state_is_known"),
    CheckConstraint("(state = 'erased') = (erased_at IS NOT NULL)", name="erasure_that_is_done_says_when"),
    Index("erasure_is_asked_for_once", "customer", unique=True, postgresql_where=text(OPEN)),
    Index("erasure_that_is_open", "erases_at", postgresql_where=text(OPEN)),
    Index("erasure_by_brand", "brand_id", "erasure_no"),
)
