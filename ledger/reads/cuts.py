"""Where a business date begins in the log, and among the decisions that moved no points."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import asyncpg

from ledger.errors import BookRefused
from ledger.read_models import Cut
from ledger.types import Book

_SQL = Path(__file__).with_name("sql")
_BEFORE_DAY = (_SQL / "before_day.sql").read_text()


async def cut_before_day(pool: asyncpg.Pool[Any], book: Book, day: date) -> Cut:
    """All that was posted before a business date, as a cut that is not kept. Raises ``BookRefused``."""
    row = await _before_day(pool, book, day)
    return Cut(name="", seq=row["seq"], posted_at=row["posted_at"])


async def place_before_day(pool: asyncpg.Pool[Any], book: Book, day: date) -> int:
    """The last place that was given before a business date. Raises ``BookRefused``."""
    return (await _before_day(pool, book, day))["place"]


async def _before_day(pool: asyncpg.Pool[Any], book: Book, day: date) -> asyncpg.Record:
    row = await pool.fetchrow(_BEFORE_DAY, book.book_id, book.brand_id, day)
    if row is None:
        raise BookRefused.of(book)
    return row
