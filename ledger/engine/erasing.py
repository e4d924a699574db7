"""Erasing a customer from a book: what they have is forfeited, and their details lose what is personal. The log stays as it is.

    erase_customer   one round trip   what is left goes to breakage; nothing is posted to the customer any more
    erase_details    one a page       texts and salts of events, redemptions and steps
    erase_answers    one a page       what was kept under the idempotency keys of their redemptions

``customers`` are the customer and all who were merged into them. Each can be called again, after a crash too.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg
import msgspec

from ledger.types import Book, EraseOutcome

_CUSTOMER = "SELECT outcome, points FROM ledger.erase_customer_v1($1, $2, $3, $4)"
_DETAILS = "SELECT ledger.erase_details_v1($1, $2, $3, $4, $5)"
_ANSWERS = "SELECT operation, key FROM ledger.erase_answers_v1($1, $2, $3, $4, $5, $6)"
_PAGE_ROWS = 500
"""The book is locked meanwhile."""
_ANSWERS_PAGE_ROWS = 5_000


class Erased(msgspec.Struct, frozen=True):
    """How an erasure was decided, and the points that were forfeited."""

    outcome: EraseOutcome
    points: int


async def erase_customer(pool: asyncpg.Pool[Any], book: Book, customers: Sequence[int]) -> Erased:
    """Forfeit what the first of ``customers`` has, and close all of them for good. Needs the worker's role."""
    row = await pool.fetchrow(_CUSTOMER, book.brand_id, book.book_id, datetime.now(UTC), customers)
    assert row is not None
    return Erased(EraseOutcome(row["outcome"]), row["points"])


async def erase_details(pool: asyncpg.Pool[Any], book: Book, customers: Sequence[int]) -> int:
    """Erase what is personal of the details of erased customers. Returns of how many."""
    erased = 0
    while page := await pool.fetchval(_DETAILS, book.brand_id, book.book_id, datetime.now(UTC), customers, _PAGE_ROWS):
        erased += page
    return erased


async def erase_answers(pool: asyncpg.Pool[Any], book: Book, customers: Sequence[int]) -> None:
    """Delete what was answered to the steps of the redemptions of erased customers. Reads all answers of the book."""
    operation, key = 0, b""
    while operation is not None:
        row = await pool.fetchrow(_ANSWERS, book.brand_id, book.book_id, customers, operation, key, _ANSWERS_PAGE_ROWS)
        assert row is not None
        operation, key = row
