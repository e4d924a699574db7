"""Reports on a closed month of a book of 20 million transfers, as finance asks for them: over HTTP.

The book is a filled year, with redemptions of this month on top. The worker's tracker follows them to their grants, the clock
goes on to the next month, and the last one is closed. So a report reads what is added up by day and what a close has
stored. A note says how much that is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from time import perf_counter
from typing import Any

import asyncpg
import msgspec

from bench.console import console_pages
from bench.load import ask, request
from bench.results import Measured
from bench.stage import Bench, Station
from ledger import Book, Ledger, RedemptionOutcome, Sweeper, month_end, track_layers
from ledger.testing import authorize, set_clock
from service.storage import database

SECONDS_MAX = 3.0
REPORTS: Mapping[str, str] = {
    "roll_forward_month": "roll-forward?by=class",
    "roll_forward_month_by_campaign": "roll-forward?by=campaign,channel",
}
_OTHERS = ("roll-forward?by=origin", "vintages?by=campaign", "breakage?by=class,month")
_AT_ONCE = 1_000
_ONE_DAY = timedelta(days=1)
_NOON = time(12)
_KEPT = """SELECT format('%s rows of daily movements in %s kB', count(*), pg_table_size('ledger.daily_movement') / 1000
    + pg_indexes_size('ledger.daily_movement') / 1000) FROM ledger.daily_movement"""


async def roll_forward_month(bench: Bench) -> dict[str, Measured]:
    """The roll-forward of a closed month by class, and by campaign and channel, against three seconds."""
    station = await bench.station("year", bench.sizes.year)
    owner = await asyncpg.connect(bench.server.owner_url(station.name))
    month = datetime.now(UTC).date().replace(day=1)
    notes = [await _redeemed(bench, station)]
    await set_clock(owner, station.book, datetime.combine(month_end(month, 0) + _ONE_DAY, _NOON, UTC))
    notes.append(await _closed(bench, station, month))
    notes.append(f"{await owner.fetchval('SELECT seq FROM ledger.head'):,} transfers, {await owner.fetchval(_KEPT)}")
    await owner.close()
    async with bench.api(station) as api:
        took = {name: await _seconds(bench, api.port, station, report, month) for name, report in REPORTS.items()}
        pages = await console_pages(bench, station, api.port, month)
        others = [f"{report} {await _seconds(bench, api.port, station, report, month):.2f} s" for report in _OTHERS]
    measured = {name: Measured(seconds, SECONDS_MAX, "s, of the limit") for name, seconds in took.items()}
    measured["roll_forward_month"] = msgspec.structs.replace(measured["roll_forward_month"], notes=(*notes, ", ".join(others)))
    return measured | {"console_pages": pages}


async def _redeemed(bench: Bench, station: Station) -> str:
    """Let customers redeem, and have it followed to their grants."""
    redemptions = bench.sizes.month_redemptions
    async with _pool(bench, station, database.APPLICATION_ROLE) as pool, Ledger(pool) as ledger:
        for begin in range(0, redemptions, _AT_ONCE):
            customers = range(begin, min(begin + _AT_ONCE, redemptions))
            await asyncio.gather(*(_redeem(ledger, station.book, 1 + n % station.population.customers) for n in customers))
    started = perf_counter()
    async with _pool(bench, station, database.WORKER_ROLE) as worker:
        while await track_layers(worker, station.book):
            pass
    return f"{redemptions:,} redemptions were followed to their grants in {perf_counter() - started:.1f} s"


async def _redeem(ledger: Ledger, book: Book, customer: int) -> None:
    redeemed = await ledger.redeem(authorize(book, customer, 25, capture=True))
    assert redeemed.outcome is RedemptionOutcome.DONE


async def _closed(bench: Bench, station: Station, month: date) -> str:
    """Close a month."""
    started = perf_counter()
    async with _pool(bench, station, database.WORKER_ROLE) as pool:
        sweeper, ledger = Sweeper(pool, station.book), Ledger(pool)  # closing needs no queues
        while await sweeper.run_once(limit=_AT_ONCE):
            pass
        await ledger.begin_close(station.book, begins_on=month, ends_on=month_end(month, 0))
        while unsettled := await ledger.unsettled_closes(station.book):
            await ledger.advance_close(station.book, unsettled[0])
    return f"the month was closed in {perf_counter() - started:.1f} s"


async def _seconds(bench: Bench, port: int, station: Station, report: str, month: date) -> float:
    """How long a report takes, the first time not counted."""
    path = f"/v1/reports/{report}&from={month}&to={month_end(month, 0)}"
    seconds: list[float] = []
    for _ in range(bench.sizes.reads_of_all + 1):
        started = perf_counter()
        status, body = await ask(port, request("GET", path, key=station.keys["finance"]))
        seconds.append(perf_counter() - started)
        assert status == 200, body
    return max(seconds[1:])


def _pool(bench: Bench, station: Station, role: str) -> Any:
    settings = {"role": role, "statement_timeout": str(database.STATEMENT_TIMEOUT_MS)}
    return asyncpg.create_pool(bench.server.owner_url(station.name), min_size=1, max_size=2, server_settings=settings)
