"""How often customers want to hear of a brand. Where they do is in `consent`."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, Integer, Table, Text

from service.storage.database import metadata

# A look-up table, keyed by the number the customer answered under: a merge leaves it there, and a split finds it again.
preference = Table(
    "preference",
    metadata,
    Column("customer", BigInteger, primary_key=True, autoincrement=False),
    Column("brand_id", Integer, nullable=False),
    Column("frequency", Text),
    Column("answered_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("frequency IN ('any', 'weekly', 'monthly')", name="preference_frequency_is_one_we_know"),
)
