"""The table of estimates. One is never changed: a later one takes its place from a day on."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKeyConstraint,
    Integer,
    SmallInteger,
    Table,
    Text,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB

from service.storage.database import metadata

estimate = Table(
    "estimate",
    metadata,
    Column("brand_id", Integer, primary_key=True, autoincrement=False),
    Column("estimate_no", Integer, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("account_class", SmallInteger),
    Column("value", BigInteger, nullable=False),
    Column("effective_on", Date, nullable=False),
    Column("method", Text, nullable=False),
    Column("inputs", JSONB, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("created_by", Integer, nullable=False),
    # NULL: recorded in an open period, by no restatement.
    Column("restatement_no", Integer),
    ForeignKeyConstraint(["brand_id"], ["rewards.brand.brand_id"], name="estimate_belongs_to_brand"),
    CheckConstraint("kind IN ('expected_redemption', 'acquisition_cost')", name="estimate_kind_is_known"),
    CheckConstraint("(kind = 'expected_redemption') = (account_class IS NOT NULL)", name="estimate_has_a_class_if_of_points"),
    CheckConstraint(
        "value BETWEEN 1 AND CASE kind WHEN 'expected_redemption' THEN 10000 ELSE 1000000000000 END",
        name="estimate_value_is_possible",
    ),
)
