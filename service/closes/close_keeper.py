"""The agent that stores closes, a little at a time, and settles them once what they reckoned has been posted."""

from __future__ import annotations

from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import Book, Ledger
from service.brands.queries import list_brands


class CloseKeeper:
    """Goes round all books."""

    def __init__(self, pool: asyncpg.Pool[Any], engine: AsyncEngine) -> None:
        self._ledger = Ledger(pool)
        self._engine = engine

    async def run_once(self) -> int:
        """Bring each close that is not settled one step on. Returns how many got further; 0 when there is nothing to do."""
        return sum([await self._advance(brand.book) for brand in await list_brands(self._engine)])

    async def _advance(self, book: Book) -> int:
        unsettled = await self._ledger.unsettled_closes(book)
        return sum([await self._ledger.advance_close(book, close) != close for close in unsettled])
