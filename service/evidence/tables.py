"""The tables of the click log: requests for links, and what they came to."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    func,
)
from sqlalchemy.dialects.postgresql import CIDR

from service.storage.database import metadata

# One partition a day, forty in turn. A click is stored in the partition of the day on which it is recorded, which is a little
# after it happened.
touch = Table(
    "touch",
    metadata,
    Column("slot", SmallInteger, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("brand_id", Integer, nullable=False),
    Column("campaign_no", Integer, nullable=False),
    Column("points", Integer, nullable=False),
    Column("since_sent_s", Integer, nullable=False),
    Column("link_id", LargeBinary, nullable=False),
    Column("message", LargeBinary, nullable=False),
    Column("way", Text, nullable=False),
    Column("grade", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("network", CIDR),
    Column("agent", LargeBinary),
    CheckConstraint("grade IN ('A', 'B', 'C', 'D', 'X')", name="touch_grade_is_known"),
    CheckConstraint("masklen(network) = CASE family(network) WHEN 4 THEN 24 ELSE 48 END", name="touch_network_is_no_address"),
    Index("touch_by_message", "message", "at"),
    Index("touch_by_recording", "recorded_at"),
    postgresql_partition_by="LIST (slot)",
)

# What is left of clicks. A link's first click is where a design that pays whoever comes first would have paid.
touch_count = Table(
    "touch_count",
    metadata,
    Column("brand_id", Integer, primary_key=True, autoincrement=False),
    Column("day", Date, primary_key=True),
    Column("campaign_no", Integer, primary_key=True, autoincrement=False),
    Column("way", Text, primary_key=True),
    Column("grade", Text, primary_key=True),
    Column("why", Text, primary_key=True),
    Column("touches", BigInteger, nullable=False),
    Column("firsts", BigInteger, nullable=False),
    Column("first_points", BigInteger, nullable=False),
    Column("followed", BigInteger, nullable=False),
    Column("followed_points", BigInteger, nullable=False),
)

touch_reader = Table(
    "touch_reader",
    metadata,
    Column("only_one", Boolean, primary_key=True),
    Column("counted_until", DateTime(timezone=True), nullable=False),
    CheckConstraint("only_one", name="touch_reader_is_one_row"),
)
