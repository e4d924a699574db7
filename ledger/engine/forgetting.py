"""Forgetting what is older than it has to be kept, a little at a time. The log, and every figure, stay as they are.

    forget_details   one round trip   texts and salts of old events, redemptions, steps and corrections
    forget_answers   one round trip   old answers under idempotency keys

Each may be called again, after a crash too. Needs the worker's role.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import asyncpg

from ledger.types import Book

_DETAILS = "SELECT ledger.forget_details_v1($1, $2, $3, $4, $5)"
_ANSWERS = "SELECT operation, key FROM ledger.forget_answers_v1($1, $2, $3, $4, $5, $6)"
_PAGE_ROWS = 500
"""The book is locked meanwhile."""
_ANSWERS_PAGE_ROWS = 5_000

FIRST_ANSWER = (0, b"")


async def forget_details(pool: asyncpg.Pool[Any], book: Book, before: datetime) -> bool:
    """Remove what is personal of the next details from before a time. Returns whether there were any."""
    return await pool.fetchval(_DETAILS, book.brand_id, book.book_id, datetime.now(UTC), before, _PAGE_ROWS)


async def forget_answers(
    pool: asyncpg.Pool[Any], book: Book, before: datetime, after: tuple[int, bytes]
) -> tuple[int, bytes] | None:
    """Delete the answers from before a time, of those that follow one. Returns the last that was looked at; ``None``: there are
    no more.
    """
    row = await pool.fetchrow(_ANSWERS, book.brand_id, book.book_id, before, *after, _ANSWERS_PAGE_ROWS)
    assert row is not None
    return None if row["operation"] is None else (row["operation"], row["key"])
