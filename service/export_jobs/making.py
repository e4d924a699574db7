"""What an export reads: shared by the worker's jobs and `rewards export`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import Cut, Ledger
from service.brands.brand import Brand
from service.campaigns.queries import campaign_ids
from service.exports.account_codes import NO_CODES, AccountCodes
from service.exports.book_at_cut import BookAtCut, unwatched
from service.finance.bookkeeping import read_bookkeeping


async def book_at_cut(
    pool: asyncpg.Pool[Any],
    engine: AsyncEngine,
    brand: Brand,
    cut: Cut,
    *,
    since: Cut | None = None,
    sub_accounts: bool = False,
    codes: AccountCodes = NO_CODES,
    restated: int = 0,
    on_rows: Callable[[int], None] = unwatched,
) -> BookAtCut:
    """A brand's book, to be read through ``pool`` and ``engine``."""
    return BookAtCut(
        # Only its reads are used, so it needs no queues running.
        log=Ledger(pool),
        pool=pool,
        book=brand.book,
        cut=cut,
        brand=brand.code,
        points_code=brand.points_code,
        calendar=brand.calendar,
        campaigns=await campaign_ids(engine, brand.brand_id),
        bookkeeping=await read_bookkeeping(engine, brand, cut, sub_accounts=sub_accounts, codes=codes, restated=restated),
        since=since,
        on_rows=on_rows,
    )
