"""The agent that keeps, for every book, which grants each redemption, expiry and merge moved.

Nobody waits for it: what it has not read yet, a request reads for the customer it is about. It holds no lock that
posting needs.
"""

from __future__ import annotations

from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import track_layers
from service.brands.queries import list_brands


async def run_once(pool: asyncpg.Pool[Any], engine: AsyncEngine) -> int:
    """Read a stretch of every book's log. Returns how many transfers are left; 0 when all books are read to their end."""
    return sum([await track_layers(pool, brand.book) for brand in await list_brands(engine)])
