"""Reads: the offers that messages make."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

SQL = Path(__file__).with_name("sql")
_OF_MESSAGES = (SQL / "offers_of_messages.sql").read_text()
_MAKES_OFFERS = "SELECT EXISTS (SELECT FROM rewards.offer WHERE offer.brand_id = $1)"

MESSAGES_MAX = 20
"""Messages of one offer that are looked at."""


class Offer(msgspec.Struct, frozen=True, gc=False):
    """An offer to a customer: its group, when it lapses, and the messages that make it."""

    group: str
    lapses_at: datetime
    message_ids: tuple[str, ...]


class Offered(msgspec.Struct, frozen=True, gc=False):
    """A message whose offer is wanted: to one of the numbers of a customer, the first that it was made to."""

    message_id: str
    numbers: Sequence[int]
    campaign_no: int


async def makes_offers(pool: asyncpg.Pool[Any], brand_id: int) -> bool:
    """Whether the brand has made any offer."""
    return await pool.fetchval(_MAKES_OFFERS, brand_id)


async def offers_of_messages(pool: asyncpg.Pool[Any], brand_id: int, wanted: Sequence[Offered]) -> list[Offer | None]:
    """The offer that each message makes, in order; ``None`` for one that makes none."""
    asked = [
        (n, each.message_id, customer, each.campaign_no) for n, each in enumerate(wanted) for customer in reversed(each.numbers)
    ]
    columns = ([row[column] for row in asked] for column in range(4))
    found: list[Offer | None] = [None] * len(wanted)
    for n, group, lapses_at, message_ids in await pool.fetch(_OF_MESSAGES, brand_id, *columns, MESSAGES_MAX):
        found[n] = Offer(group, lapses_at, tuple(message_ids))
    return found
