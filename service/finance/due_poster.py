"""The agent that posts what is due on its own: holds that timed out go back, lots past their last day go to breakage.

Nobody waits for it. Every debit of a wallet posts what is due on it first, and every balance is read as if that had been done,
so being late changes nothing. It works in small batches, one a book, so that no posting waits long behind it.
"""

from __future__ import annotations

from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import Book, Sweeper
from service.brands.queries import list_brands

CUSTOMERS_A_BATCH = 20


class DuePoster:
    """Goes round all books. It remembers how far it has come in each, and no more."""

    def __init__(self, pool: asyncpg.Pool[Any], engine: AsyncEngine, *, limit: int = CUSTOMERS_A_BATCH) -> None:
        self._pool = pool
        self._engine = engine
        self._limit = limit
        self._sweepers: dict[Book, Sweeper] = {}

    async def run_once(self) -> int:
        """Post one batch for every book. Returns for how many customers; 0 means that nothing was due anywhere."""
        books = [brand.book for brand in await list_brands(self._engine)]
        self._sweepers = {book: self._sweepers.get(book) or Sweeper(self._pool, book) for book in books}
        return sum([await sweeper.run_once(limit=self._limit) for sweeper in self._sweepers.values()])
