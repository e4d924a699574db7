"""The mart scheduler: an agent that orders, for each brand, the next business date that is missing, once it is complete.

A day has the transfers that count on it, by their accounting dates. It is complete when it is settled, as a close of it is: it
is over, and all that fell due on it has been posted. Nothing counts on it any more then, so its files never change.

One day after the other: the next is ordered when the one before is done, so that there is never a gap. A day that failed is
ordered again after a while.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import structlog
from sqlalchemy import func, literal, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import Cut, Ledger
from service.brands.brand import Brand
from service.brands.queries import list_brands
from service.export_jobs.spans import last_day_over
from service.export_jobs.tables import LOST
from service.export_jobs.tables import export_job as table
from service.settings import Settings

FORMAT = "mart"
TRIED_AGAIN_AFTER = timedelta(hours=1)
LATE_AFTER = timedelta(hours=6)
"""How long after its end a day may wait for what fell due on it before we say so."""
SAID_EVERY = timedelta(hours=1)
LOG_ROWS = 1_000_000
_DAY = timedelta(days=1)
_ORDER_AGAIN = (Path(__file__).with_name("sql") / "order_again.sql").read_text()


class _Day(msgspec.Struct, frozen=True):
    """A day that is missing, and the first accounting date of its transfers."""

    date: date
    counts_from: date


class _Read(msgspec.Struct):
    """How far a book's log was read, and the last transfer that counts on each day."""

    until: int
    last: dict[date, int] = {}


class MartScheduler:
    """Orders days. It remembers what it has read, so that it reads each transfer once."""

    def __init__(self, settings: Settings, pool: asyncpg.Pool[Any], engine: AsyncEngine) -> None:
        self._since = settings.data_mart_begins_on
        # Only its reads are used, so it needs no queues running.
        self._ledger = Ledger(pool)
        self._engine = engine
        self._read: dict[int, _Read] = {}
        self._said: dict[int, datetime] = {}

    async def run_once(self) -> int:
        """Order the next day of each brand whose next day is complete; says of how many."""
        if self._since is None:
            return 0
        return sum([await self._order_next(brand, self._since) for brand in await list_brands(self._engine)])

    async def _order_next(self, brand: Brand, since: date) -> bool:
        if await _is_busy(self._engine, brand):
            return False
        if await _order_again(self._engine, brand):
            return True
        day = await _next_day(self._ledger, self._engine, brand, since)
        now = (await self._ledger.clock(brand.book)).at(datetime.now(UTC))
        if day is None or day.date > last_day_over(brand.calendar, now) or not await self._is_complete(brand, day.date):
            return False
        # What is read from here on has all that counts on the day.
        begin = await self._ledger.cut_before_day(brand.book, day.date)
        return await _order(self._engine, brand, day, begin, await self._end(brand, day, begin))

    async def _is_complete(self, brand: Brand, day: date) -> bool:
        left = await self._ledger.left_open(brand.book, day)
        if left.unsettled and left.at > left.ends_at + LATE_AFTER:
            self._say_late(brand, day, {"holds": left.holds, "held_back": left.held_back, "is_swept": left.is_swept})
        return not left.unsettled

    def _say_late(self, brand: Brand, day: date, waits_for: Mapping[str, int]) -> None:
        now = datetime.now(UTC)
        if now - self._said.get(brand.brand_id, datetime.min.replace(tzinfo=UTC)) >= SAID_EVERY:
            self._said[brand.brand_id] = now
            structlog.get_logger().warning("mart_day_late", brand=brand.code, day=day.isoformat(), **waits_for)

    async def _end(self, brand: Brand, day: _Day, begin: Cut) -> Cut:
        """The last transfer that counts on a day, as a cut: the same whenever it is asked for."""
        read = self._read.setdefault(brand.brand_id, _Read(begin.seq))
        head = await self._ledger.head(brand.book)
        while read.until < head.seq:
            until = min(read.until + LOG_ROWS, head.seq)
            for moved in await self._ledger.movements(brand.book, after=read.until, until=until, with_events=False):
                read.last[moved.day] = max(moved.last_seq, read.last.get(moved.day, 0))
            read.until = until
        seq = max((seq for on, seq in read.last.items() if day.counts_from <= on <= day.date), default=begin.seq)
        if seq <= begin.seq:
            return begin
        [last] = await self._ledger.transfers(brand.book, after=seq - 1, cut=seq, limit=1)
        return Cut("", seq, last.posted_at)


async def _order(engine: AsyncEngine, brand: Brand, day: _Day, begin: Cut, end: Cut) -> bool:
    ordered = insert(table).values(
        brand_id=brand.brand_id,
        business_date=day.date,
        counts_from=day.counts_from,
        formats=[FORMAT],
        customers=False,
        sub_accounts=False,
        since_name="",
        since_seq=begin.seq,
        since_posted_at=begin.posted_at,
        cut_name="",
        cut_seq=end.seq,
        cut_posted_at=end.posted_at,
        request_hash=hashlib.sha256(f"{FORMAT} {day.date}".encode()).digest(),
    )
    async with engine.begin() as connection:
        return (await connection.execute(ordered.on_conflict_do_nothing())).rowcount == 1


async def _is_busy(engine: AsyncEngine, brand: Brand) -> bool:
    """Whether a day is under way, or has failed just now."""
    lately = table.c.ended_at > func.clock_timestamp() - literal(TRIED_AGAIN_AFTER)
    busy = select(func.count()).where(
        table.c.brand_id == brand.brand_id,
        table.c.business_date.is_not(None),
        table.c.status.in_(("queued", "running")) | (table.c.status.in_(("failed", "cancelled")) & lately),
    )
    async with engine.connect() as connection:
        return bool((await connection.execute(busy)).scalar_one())


async def _order_again(engine: AsyncEngine, brand: Brand) -> bool:
    async with engine.begin() as connection:
        return (await connection.execute(text(_ORDER_AGAIN), {"brand_id": brand.brand_id})).rowcount == 1


async def _next_day(ledger: Ledger, engine: AsyncEngine, brand: Brand, since: date) -> _Day | None:
    """The day after the last that is done; ``None`` before the book's first."""
    done = (
        select(table.c.business_date, table.c.counts_from)
        .where(table.c.brand_id == brand.brand_id, table.c.business_date.is_not(None), table.c.status.in_(("done", LOST)))
        .order_by(table.c.business_date.desc())
        .limit(1)
    )
    async with engine.connect() as connection:
        last = (await connection.execute(done)).one_or_none()
    if last is not None:
        day = max(since, last.business_date + _DAY)
        # A day by posting lacks what counts on it and was posted later: the next one has that too.
        return _Day(day, date.min if last.counts_from is None else day)
    first = await ledger.transfers(brand.book, after=0, cut=1, limit=1)
    if not first:
        return None
    day = max(since, brand.calendar.day(first[0].posted_at))
    return _Day(day, day)
