"""Adjustments that were made, newest first; and what all corrections of a part of the log come to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg

from ledger.read_models import Adjustment, CorrectionsMade
from ledger.types import Book, Verb

_SQL = Path(__file__).with_name("sql")
_ALL = (_SQL / "adjustments.sql").read_text()
_OF_CUSTOMERS = (_SQL / "adjustments_of_customers.sql").read_text()
_BY_REASON = (_SQL / "adjustments_by_reason.sql").read_text()
_MADE = (_SQL / "corrections_made.sql").read_text()
_NUMBERS = (_SQL / "correction_numbers.sql").read_text()
_LOG_ROWS = 150_000
"""How much of the log one statement sums up."""
_END = 2**63 - 1


async def adjustments(
    pool: asyncpg.Pool[Any], book: Book, *, customers: Sequence[int], reason: str | None, before: int | None, limit: int
) -> list[Adjustment]:
    """A page of them: all, those of some customers, or those for a reason."""
    page = (book.book_id, book.brand_id, _END if before is None else before, limit)
    if customers:
        rows = await pool.fetch(_OF_CUSTOMERS, *page, customers)
    elif reason is not None:
        rows = await pool.fetch(_BY_REASON, *page, reason)
    else:
        rows = await pool.fetch(_ALL, *page)
    return [Adjustment(*row) for row in rows]


async def correction_numbers(pool: asyncpg.Pool[Any], book: Book, *, after: int, until: int) -> tuple[int | None, int | None]:
    """The numbers of the first that moved points after one ``seq``, and of the last that did up to another."""
    first, last = await pool.fetchrow(_NUMBERS, book.book_id, after, until) or (None, None)
    return first, last


async def adjustment(pool: asyncpg.Pool[Any], book: Book, correction_no: int) -> Adjustment | None:
    """One of them."""
    found = await adjustments(pool, book, customers=(), reason=None, before=correction_no + 1, limit=1)
    return found[0] if found and found[0].number == correction_no else None


async def corrections_made(pool: asyncpg.Pool[Any], book: Book, *, after: int, until: int) -> list[CorrectionsMade]:
    """What those with ``after < seq <= until`` moved, by verb, direction and reason, each piece of the log apart."""
    pieces = [(begin, min(begin + _LOG_ROWS, until)) for begin in range(after, until, _LOG_ROWS)]
    rows = [row for piece in pieces for row in await pool.fetch(_MADE, book.book_id, *piece)]
    return [CorrectionsMade(Verb(verb), *told) for verb, *told in rows]
