"""How far forgetting has come, so that it need not begin with the oldest row each time."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Table, Text

from service.storage.database import metadata

retention = Table(
    "retention",
    metadata,
    Column("kind", Text, primary_key=True),
    # The last number that was looked at.
    Column("reached", BigInteger, nullable=False),
)
