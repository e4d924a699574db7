"""Opening a book, its clock, and cutting it. A cut is an instant made exact: the number of the last transfer in it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import asyncpg

from ledger.errors import BookRefused
from ledger.read_models import AsOf, BookClock, ClockAdvance, ClockOutcome, Cut, InstantOutcome
from ledger.types import Book

_OPEN = "SELECT ledger.open_book_v1($1, $2, $3, $4, $5, $6)"
_HEAD = "SELECT seq, posted_at FROM ledger.head WHERE book_id = $1 AND brand_id = $2"
_CLOCK = "SELECT clock_offset, posted_at FROM ledger.head WHERE book_id = $1 AND brand_id = $2"
_ADVANCE = "SELECT outcome, clock_offset, posted_at FROM ledger.advance_clock_v1($1, $2, $3, $4, $5)"
_TAKE = "SELECT name, seq, posted_at, made FROM ledger.take_cut_v1($1, $2, $3, $4)"
# The day of an instant that the book does not know may be before or after all that a date can be here.
_AS_OF = "SELECT outcome, seq, posted_at, CASE WHEN outcome = $5 THEN day END AS day FROM ledger.as_of_v1($1, $2, $3, $4)"
_POSTED_AT = "SELECT posted_at FROM ledger.transfer WHERE book_id = $1 AND seq = $2"
_NAMED = "SELECT name, seq, posted_at FROM ledger.cut WHERE book_id = $1 AND brand_id = $2 AND name = $3"


async def open_book(
    connection: asyncpg.Connection[Any],
    *,
    brand_id: int,
    unit: str,
    time_zone: str,
    issue_limit: int,
    grace_days: int = 30,
    mode: str = "live",
) -> Book:
    """Open a brand's book with the owner's connection.

    ``issue_limit`` is the most points that may ever be issued. ``grace_days`` is how long points last that come back to a lot
    past its last day. ``time_zone`` is an IANA name. It never changes, and neither does ``mode``: ``live``, or ``test``, whose
    clock can be moved forward.
    """
    book_id = await connection.fetchval(_OPEN, brand_id, unit, time_zone, issue_limit, grace_days, mode)
    return Book(brand_id=brand_id, book_id=book_id)


async def head(pool: asyncpg.Pool[Any], book: Book) -> Cut:
    """The book as it is now: a cut that is not kept. Raises ``BookRefused``."""
    row = await pool.fetchrow(_HEAD, book.book_id, book.brand_id)
    if row is None:
        raise BookRefused.of(book)
    return Cut(name="", seq=row["seq"], posted_at=row["posted_at"])


async def take_cut(pool: asyncpg.Pool[Any], book: Book, name: str) -> tuple[Cut, bool]:
    """Cut the book and keep the cut under ``name``. The flag says whether it is new; if not, it is the one of before."""
    row = await pool.fetchrow(_TAKE, book.brand_id, book.book_id, datetime.now(UTC), name)
    assert row is not None
    return Cut(name=row["name"], seq=row["seq"], posted_at=row["posted_at"]), row["made"]


async def cut_named(pool: asyncpg.Pool[Any], book: Book, name: str) -> Cut | None:
    """The cut kept under ``name``; ``None`` if there is no such."""
    row = await pool.fetchrow(_NAMED, book.book_id, book.brand_id, name)
    return None if row is None else Cut(name=row["name"], seq=row["seq"], posted_at=row["posted_at"])


async def cut_at(pool: asyncpg.Pool[Any], book: Book, seq: int) -> Cut | None:
    """The book up to a ``seq``, as a cut that is not kept; ``None`` if it ends before. Raises ``BookRefused``.

    Nothing was posted by seq 0; its time is that of the first transfer, so that it stays the same too.
    """
    last = await head(pool, book)
    if seq > last.seq:
        return None
    posted_at: datetime | None = await pool.fetchval(_POSTED_AT, book.book_id, max(seq, 1))
    return Cut(name="", seq=seq, posted_at=posted_at or last.posted_at)


async def as_of(pool: asyncpg.Pool[Any], book: Book, at: datetime) -> AsOf | InstantOutcome:
    """The book at an instant up to now; or why there is none."""
    row = await pool.fetchrow(_AS_OF, book.brand_id, book.book_id, datetime.now(UTC), at, InstantOutcome.KNOWN)
    assert row is not None
    outcome = InstantOutcome(row["outcome"])
    if outcome is not InstantOutcome.KNOWN:
        return outcome
    return AsOf(cut=Cut(name="", seq=row["seq"], posted_at=row["posted_at"]), at=at, day=row["day"])


async def clock(pool: asyncpg.Pool[Any], book: Book) -> BookClock:
    """How far the book's clock is ahead of the world's. Raises ``BookRefused``."""
    row = await pool.fetchrow(_CLOCK, book.book_id, book.brand_id)
    if row is None:
        raise BookRefused.of(book)
    return BookClock(offset=row["clock_offset"], posted_at=row["posted_at"])


async def advance_clock(
    pool: asyncpg.Pool[Any], book: Book, *, seconds: int | None = None, to: datetime | None = None
) -> ClockAdvance:
    """Move a test book's clock forward, by ``seconds`` or ``to`` a time: exactly one of them."""
    assert (seconds is None) != (to is None)
    row = await pool.fetchrow(_ADVANCE, book.brand_id, book.book_id, datetime.now(UTC), seconds, to)
    assert row is not None
    return ClockAdvance(ClockOutcome(row["outcome"]), BookClock(offset=row["clock_offset"], posted_at=row["posted_at"]))
