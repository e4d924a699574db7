"""Closed periods, as they are stored."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import asyncpg

from ledger.errors import BookRefused
from ledger.read_models import LEFT_OPEN_MAX, Close, CloseState, CloseTotals, Cut, LeftOpen
from ledger.types import Book

_SQL = Path(__file__).with_name("sql")
_CLOSES = (_SQL / "closes.sql").read_text()
_BALANCES = (_SQL / "close_balances.sql").read_text()
_LEFT_OPEN = (_SQL / "left_open.sql").read_text()
_DECISIONS_SEARCHED = 100_000
_UNSETTLED_MAX = 1_000


async def close(pool: asyncpg.Pool[Any], book: Book, ends_on: date) -> Close | None:
    """The close of the period that ends on a day."""
    found = await closes(pool, book, until=ends_on, limit=1)
    return found[0] if found and found[0].ends_on == ends_on else None


async def closes(pool: asyncpg.Pool[Any], book: Book, *, until: date = date.max, limit: int = 100) -> list[Close]:
    """Closes of periods that end on the day ``until`` or before, newest first."""
    return [_close(row) for row in await pool.fetch(_CLOSES, book.book_id, book.brand_id, until, limit, False)]


async def unsettled(pool: asyncpg.Pool[Any], book: Book) -> list[Close]:
    """Closes that are still being stored, or whose postings are not all in the log, oldest first."""
    rows = await pool.fetch(_CLOSES, book.book_id, book.brand_id, date.max, _UNSETTLED_MAX, True)
    return [_close(row) for row in reversed(rows)]


async def left_open(pool: asyncpg.Pool[Any], book: Book, ends_on: date) -> LeftOpen:
    """What is still to be decided or posted of a period that ends on a day. Raises ``BookRefused``."""
    row = await pool.fetchrow(_LEFT_OPEN, book.book_id, book.brand_id, ends_on, LEFT_OPEN_MAX, _DECISIONS_SEARCHED)
    if row is None:
        raise BookRefused.of(book)
    return LeftOpen(**row)


async def close_balances(
    pool: asyncpg.Pool[Any], book: Book, of: Close, *, after: bytes = b"", limit: int = 10_000
) -> list[tuple[bytes, int]]:
    """A page of the balances that a close has stored, by account. ``after`` is the last account of the page before."""
    rows = await pool.fetch(_BALANCES, book.book_id, of.ends_on, of.version, after, limit)
    return [(account, balance) for account, balance in rows]


def _close(row: asyncpg.Record) -> Close:
    return Close(
        begins_on=row["begins_on"],
        ends_on=row["ends_on"],
        version=row["version"],
        state=CloseState(row["state"]),
        ends_at=row["ends_at"],
        closed_at=row["closed_at"],
        cut=Cut(name="", seq=row["seq"], posted_at=row["posted_at"]),
        settled_seq=row["settled_seq"],
        stored_through=row["stored_through"],
        totals=None if row["lines"] is None else _totals(row),
    )


def _totals(row: asyncpg.Record) -> CloseTotals:
    sums = zip(row["lines"], row["debits"], row["credits"], strict=True)
    return CloseTotals(
        lines={line: (debits, credits_) for line, debits, credits_ in sums},
        accounts=row["accounts"],
        customers=row["customers"],
        lines_digest=row["lines_digest"],
        balances_digest=row["balances_digest"],
    )
