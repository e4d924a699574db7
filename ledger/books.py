"""Opening a book, and cutting it: a cut is an instant made exact, the number of the last transfer that belongs to it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import asyncpg

from ledger.errors import BookRefused
from ledger.types import Book, Cut

_OPEN = "SELECT ledger.open_book_v1($1, $2, $3, $4, $5)"
_HEAD = "SELECT seq, posted_at FROM ledger.head WHERE book_id = $1 AND brand_id = $2"
_TAKE = "SELECT name, seq, posted_at, made FROM ledger.take_cut_v1($1, $2, $3, $4)"
_NAMED = "SELECT name, seq, posted_at FROM ledger.cut WHERE book_id = $1 AND brand_id = $2 AND name = $3"


async def open_book(
    connection: asyncpg.Connection[Any],
    *,
    brand_id: int,
    unit: str,
    time_zone: str,
    issue_limit: int,
    grace_days: int = 30,
) -> Book:
    """Open a brand's book with the owner's connection.

    ``issue_limit`` is the most points that may ever be issued; ``grace_days`` is how long points last that come back to a lot
    past its last day. ``time_zone`` is an IANA name and never changes.
    """
    book_id = await connection.fetchval(_OPEN, brand_id, unit, time_zone, issue_limit, grace_days)
    return Book(brand_id=brand_id, book_id=book_id)


async def head(pool: asyncpg.Pool[Any], book: Book) -> Cut:
    """The book as it is now: a cut that is not kept."""
    row = await pool.fetchrow(_HEAD, book.book_id, book.brand_id)
    if row is None:
        raise BookRefused(f"book {book.book_id} is not a book of brand {book.brand_id}")
    return Cut(name="", seq=row["seq"], posted_at=row["posted_at"])


async def take_cut(pool: asyncpg.Pool[Any], book: Book, name: str) -> tuple[Cut, bool]:
    """Cut the book and keep the cut under ``name``; the flag says whether it is new."""
    row = await pool.fetchrow(_TAKE, book.brand_id, book.book_id, datetime.now(UTC), name)
    assert row is not None
    return Cut(name=row["name"], seq=row["seq"], posted_at=row["posted_at"]), row["made"]


async def cut_named(pool: asyncpg.Pool[Any], book: Book, name: str) -> Cut | None:
    """The cut kept under ``name``."""
    row = await pool.fetchrow(_NAMED, book.book_id, book.brand_id, name)
    return None if row is None else Cut(name=row["name"], seq=row["seq"], posted_at=row["posted_at"])
