"""How much of a customer's attention a brand has asked for: the messages they were reported on, and what those earned them.

    lookback    how far back a span of time goes in a book; asked once for any number of customers
    attention   what each of many customers has within it, in one statement
    responders  who acted within it, in one statement

A book's transfers are in the order of their times, and so are its decisions that moved no points. So the beginning of a span is
found by binary search (some twenty look-ups in a book of a million transfers), and of each customer only what is within it is
read, newest first: at most ``SCAN_ROWS_MAX`` transfers and as many decisions. Nothing is precomputed, and nothing is locked.

A report counts from when it was decided, because that is when it enters the book: an event that waited and is paid later counts
then. Held-back points are earned when they mature.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg

from ledger.errors import BookRefused
from ledger.read_models import Attention, Lookback, MessageAttention, Responders
from ledger.types import Book

SCAN_ROWS_MAX = 1_000
"""How many transfers of a customer are read, and how many decisions that moved no points. Older ones are left out."""

ACTS_SCAN_ROWS_MAX = 200_000
"""How many grants of a book are read for its responders, and how many decisions that moved no points."""

_SQL = Path(__file__).with_name("sql")
_LOOKBACK = (_SQL / "lookback.sql").read_text()
_ATTENTION = (_SQL / "attention.sql").read_text()
_RESPONDERS = (_SQL / "responders.sql").read_text()


async def responders(pool: asyncpg.Pool[Any], within: Lookback) -> Responders:
    """Who acted ``within`` a lookback, and which of them are proved to be persons."""
    row: Any = await pool.fetchrow(_RESPONDERS, within.book.book_id, within.seq, within.place, ACTS_SCAN_ROWS_MAX)
    return Responders(
        acted=frozenset(row["acted"]),
        proved=frozenset(row["proved"]),
        complete=max(row["moved"], row["decided"]) < ACTS_SCAN_ROWS_MAX,
    )


async def lookback(pool: asyncpg.Pool[Any], book: Book, span: timedelta) -> Lookback:
    """How far back ``span`` goes from now by the book's clock. What is exactly that old is outside. Raises ``BookRefused``."""
    row = await pool.fetchrow(_LOOKBACK, book.book_id, book.brand_id, span)
    if row is None:
        raise BookRefused.of(book)
    return Lookback(book=book, since=row["since"], until=row["until"], seq=row["seq"], place=row["place"])


async def attention(pool: asyncpg.Pool[Any], within: Lookback, customers: Sequence[int]) -> list[Attention]:
    """What each of ``customers`` has ``within`` a lookback, in order. A merged customer keeps their own past: ask for the
    survivor too.
    """
    rows: list[Any] = await pool.fetch(_ATTENTION, within.book.book_id, customers, within.seq, within.place, SCAN_ROWS_MAX)
    messages: dict[int, list[MessageAttention]] = {n: [] for n, _ in enumerate(customers, 1)}
    cut: set[int] = set()
    for n, channel, message_id, reported_at, rewards, points, rewarded_at, rows_read in rows:
        if rows_read >= SCAN_ROWS_MAX:
            cut.add(n)
        # What has no channel is no report: a redemption, say.
        if channel is not None:
            messages[n].append(MessageAttention(channel, message_id, reported_at, rewards, points, rewarded_at))
    return [Attention(tuple(seen), complete=n not in cut) for n, seen in messages.items()]
