"""The life of an offer: offered, delivered, opened, clicked, and in the end claimed or lapsed.

    note_stages   how far messages have come: one transaction for many
    note_ended    which offers are claimed or have lapsed, as the book decided

An offer is as far as the furthest of its messages that may still arrive. What is noted here is there to be listed, and decides
nothing; a process that is killed before it notes a claim leaves that to the offer lapser.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from service.offers.queries import SQL

_STAGES = (SQL / "note_stages.sql").read_text()
_MOVE = (SQL / "move_offers.sql").read_text()
_END = (SQL / "end_offers.sql").read_text()


class OfferState(enum.IntEnum):
    """How far an offer has come. The numbers are in the table."""

    OFFERED = 1
    DELIVERED = 2
    OPENED = 3
    CLICKED = 4
    CLAIMED = 5
    LAPSED = 6


class Stage(enum.StrEnum):
    """What happened to a message that makes an offer; the names are those of columns."""

    DELIVERED = "delivered_at"
    OPENED = "opened_at"
    CLICKED = "clicked_at"
    FAILED = "failed_at"


class Told(msgspec.Struct, frozen=True, gc=False):
    """That a message to one of the numbers of a customer has come so far."""

    message_id: str
    numbers: Sequence[int]
    stage: Stage
    at: datetime


class Ended(msgspec.Struct, frozen=True, gc=False):
    """That an offer to a customer, under all their numbers, is claimed or has lapsed."""

    group: str
    numbers: Sequence[int]
    state: OfferState
    at: datetime


async def note_stages(pool: asyncpg.Pool[Any], brand_id: int, told: Iterable[Told]) -> None:
    """Note how far messages have come; of several times of one stage, the first."""
    stages: dict[tuple[str, int], dict[Stage, datetime]] = {}
    for each in told:
        for number in each.numbers:
            of_message = stages.setdefault((each.message_id, number), {})
            of_message[each.stage] = min(each.at, of_message.get(each.stage, each.at))
    if not stages:
        return
    # In one order: two that note the same messages must not wait for each other.
    rows = [(*key, *(stages[key].get(stage) for stage in Stage)) for key in sorted(stages)]
    async with pool.acquire() as connection, connection.transaction():
        changed = await connection.fetch(_STAGES, brand_id, *_columns(rows, 6))
        if changed:
            offers = sorted({(row["offer_group"], row["customer"]) for row in changed})
            await connection.execute(_MOVE, brand_id, *_columns(offers, 2))


async def note_ended(pool: asyncpg.Pool[Any], brand_id: int, ended: Iterable[Ended]) -> None:
    """Note which offers have ended."""
    rows = {(each.group, number): (each.state, each.at) for each in ended for number in each.numbers}
    if rows:
        await pool.execute(_END, brand_id, *_columns([(*key, *rows[key]) for key in sorted(rows)], 4))


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    return [[row[n] for row in rows] for n in range(width)]
