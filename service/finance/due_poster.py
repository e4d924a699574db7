"""The agent that posts what is due on its own: holds that timed out go back, lots past their last day go to breakage.

Nobody waits for it. Every debit of a wallet posts what is due on it first, and every balance is read as if that had been done,
so being late changes nothing. It works in small batches, one a book, so that no posting waits long behind it.
"""

from __future__ import annotations

from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import sweep
from service.brands.queries import list_brands

CUSTOMERS_A_BATCH = 50


async def run_once(pool: asyncpg.Pool[Any], engine: AsyncEngine, *, limit: int = CUSTOMERS_A_BATCH) -> int:
    """Post one batch for every book. Returns for how many customers; 0 means that nothing was due anywhere."""
    return sum([await sweep(pool, brand.book, limit=limit) for brand in await list_brands(engine)])
