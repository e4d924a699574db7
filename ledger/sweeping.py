"""Tidying up: timed-out holds and dead lots. Every posting does this for the wallet it touches, so nobody waits for it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import asyncpg

from ledger.types import Book

_SWEEP = "SELECT ledger.sweep_v1($1, $2, $3, $4)"


async def sweep(pool: asyncpg.Pool[Any], book: Book, *, limit: int = 100) -> int:
    """Post what is due on at most ``limit`` wallets, in one commit; return how many there were, 0 when nothing is due.

    Needs the worker's role. The book is locked meanwhile, so keep ``limit`` small.
    """
    return await pool.fetchval(_SWEEP, book.brand_id, book.book_id, datetime.now(UTC), limit)
