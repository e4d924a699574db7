"""The mart scheduler: an agent that orders, for each brand, the next business date that is missing, once it is over.

One day after the other: the next is ordered when the one before is done, so that there is never a gap. A day that failed is
ordered again after a while.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
from sqlalchemy import func, literal, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import Ledger
from service.brands.brand import Brand
from service.brands.queries import list_brands
from service.export_jobs.spans import last_day_over
from service.export_jobs.tables import export_job as table
from service.settings import Settings

FORMAT = "mart"
TRIED_AGAIN_AFTER = timedelta(hours=1)
_DAY = timedelta(days=1)


async def run_once(settings: Settings, pool: asyncpg.Pool[Any], engine: AsyncEngine) -> int:
    """Order the next day of each brand whose next day is over; says of how many."""
    since = settings.data_mart_begins_on
    if since is None:
        return 0
    # Only its reads are used, so it needs no queues running.
    ledger = Ledger(pool)
    return sum([await _order_next(ledger, engine, brand, since) for brand in await list_brands(engine)])


async def _order_next(ledger: Ledger, engine: AsyncEngine, brand: Brand, since: date) -> bool:
    day = await _next_day(ledger, engine, brand, since)
    now = (await ledger.clock(brand.book)).at(datetime.now(UTC))
    if day is None or day > last_day_over(brand.calendar, now):
        return False
    begin, end = await ledger.cut_before_day(brand.book, day), await ledger.cut_before_day(brand.book, day + _DAY)
    ordered = insert(table).values(
        brand_id=brand.brand_id,
        business_date=day,
        formats=[FORMAT],
        customers=False,
        sub_accounts=False,
        since_name="",
        since_seq=begin.seq,
        since_posted_at=begin.posted_at,
        cut_name="",
        cut_seq=end.seq,
        cut_posted_at=end.posted_at,
        request_hash=hashlib.sha256(f"{FORMAT} {day}".encode()).digest(),
    )
    async with engine.begin() as connection:
        return (await connection.execute(ordered.on_conflict_do_nothing())).rowcount == 1


async def _next_day(ledger: Ledger, engine: AsyncEngine, brand: Brand, since: date) -> date | None:
    """The day after the last that is done; ``None`` while one is under way or has failed just now, or before the first."""
    of_brand = table.c.brand_id == brand.brand_id
    done = select(func.max(table.c.business_date)).where(of_brand, table.c.status == "done")
    lately = table.c.ended_at > func.clock_timestamp() - literal(TRIED_AGAIN_AFTER)
    busy = select(func.count()).where(
        of_brand,
        table.c.business_date.is_not(None),
        table.c.status.in_(("queued", "running")) | (table.c.status.in_(("failed", "cancelled")) & lately),
    )
    async with engine.connect() as connection:
        last: date | None = (await connection.execute(done)).scalar_one()
        if (await connection.execute(busy)).scalar_one():
            return None
    if last is not None:
        return max(since, last + _DAY)
    first = await ledger.transfers(brand.book, after=0, cut=1, limit=1)
    return max(since, brand.calendar.day(first[0].posted_at)) if first else None
