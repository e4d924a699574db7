"""How much of a customer's attention was asked for of late: which messages she was reported on, and what they earned her.

    reach       how far back a span of time goes in a book: one statement, once for any number of customers
    attention   what lies within it of each of many customers, in one statement
    responders  whose acts lie within it, in one statement

A book's transfers are in the order of their times, and so are its decisions that moved no points. So where a span begins is
found by halving (some twenty looks at a book of a million transfers), and of each customer only what lies within is read,
newest first, and of that at most ``LOOKED_AT_MAX`` transfers and as many decisions. Nothing is kept for it, and nobody waits.

A report counts when it was decided, for it is then that it is in the book: what waited and was paid later counts then. Points
that were held back are earned when they mature.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg

from ledger.errors import BookRefused
from ledger.read_models import Attention, Reach, Responders, Sighting
from ledger.types import Book

LOOKED_AT_MAX = 1_000
"""So many of a customer's transfers are looked at, and of her decisions that moved no points; what is older is left out."""

_SQL = Path(__file__).with_name("sql")
_REACH = (_SQL / "reach.sql").read_text()

_ATTENTION = (_SQL / "attention.sql").read_text()
ACTS_LOOKED_AT_MAX = 200_000
"""So many of a book's grants are looked at for who responds, and of its decisions that moved no points."""

_RESPONDERS = (_SQL / "responders.sql").read_text()


async def responders(pool: asyncpg.Pool[Any], within: Reach) -> Responders:
    """Whose acts lie ``within``, and of whom it is proved that they are persons."""
    row: Any = await pool.fetchrow(_RESPONDERS, within.book.book_id, within.seq, within.place, ACTS_LOOKED_AT_MAX)
    return Responders(
        acted=frozenset(row["acted"]),
        proved=frozenset(row["proved"]),
        complete=max(row["moved"], row["decided"]) < ACTS_LOOKED_AT_MAX,
    )


async def reach(pool: asyncpg.Pool[Any], book: Book, span: timedelta) -> Reach:
    """How far back a span of time goes, from now on by the book's clock: what is exactly as old does not lie within."""
    row = await pool.fetchrow(_REACH, book.book_id, book.brand_id, span)
    if row is None:
        raise BookRefused(f"book {book.book_id} is not a book of brand {book.brand_id}")
    return Reach(book=book, since=row["since"], until=row["until"], seq=row["seq"], place=row["place"])


async def attention(pool: asyncpg.Pool[Any], within: Reach, customers: Sequence[int]) -> list[Attention]:
    """What lies ``within`` of each of ``customers``, in order. Who was merged into another has her own past; ask for both."""
    rows: list[Any] = await pool.fetch(_ATTENTION, within.book.book_id, customers, within.seq, within.place, LOOKED_AT_MAX)
    sightings: dict[int, list[Sighting]] = {n: [] for n, _ in enumerate(customers, 1)}
    cut: set[int] = set()
    for n, channel, message_id, reported_at, rewards, points, rewarded_at, looked_at in rows:
        if looked_at >= LOOKED_AT_MAX:
            cut.add(n)
        # What has no channel is no report: a redemption, say.
        if channel is not None:
            sightings[n].append(Sighting(channel, message_id, reported_at, rewards, points, rewarded_at))
    return [Attention(tuple(seen), complete=n not in cut) for n, seen in sightings.items()]
