"""What a long run shows: disk, log, memory, and the night when a million lots expire."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Iterator, Mapping

import asyncpg
import msgspec

from bench.engine import Posting, Prepared, batches, prepare, settle
from bench.http import compared, singles, tails
from bench.load import drive_at, percentile
from bench.results import Measured
from bench.stage import Bench
from bench.traffic import single_reports
from ledger import GrantOrder

GRANT_BYTES = 500.0
GRANT_WAL_BYTES = 2_000.0
API_MB = 200.0
CONNECTIONS_MAX = 2_000
"""As many as callers keep open in an overload: above that they wait for each other."""

_CHECKPOINTS = 2


class Sustained(msgspec.Struct, frozen=True):
    """What posting 1,000 a batch came to from one checkpoint to the one after the next."""

    granted: int
    seconds: float
    wal_bytes: int
    log_bytes: int
    """Transfers and events with their indexes."""
    wallet_bytes: int
    """Accounts, customers' sums and uses of caps with their indexes."""


def profile(bench: Bench) -> Mapping[str, str]:
    """Settings under which checkpoints come in time to be measured. No quick run waits for them: it asks for each."""
    return {} if bench.quick else {"checkpoint_timeout": f"{bench.sizes.cycle_s:.0f}s"}


async def sustain(bench: Bench, books: Prepared, work: Iterator[list[GrantOrder]]) -> Sustained:
    """Post from a checkpoint until two more have begun."""
    owner = books.owner
    posting = Posting(books, size=1_000)
    stop = asyncio.Event()

    def until_stopped() -> Iterator[list[GrantOrder]]:
        while not stop.is_set():
            yield next(work)

    for _ in range(2):
        await posting.timed([next(work) for _ in range(5)])
    settle()
    await owner.execute("CHECKPOINT")
    begun, (wal, log, wallets) = await _checkpoints_begun(owner), await _sizes(owner)
    before = posting.granted
    running = asyncio.create_task(posting.turn(until_stopped()))
    started = time.perf_counter()
    asked = 0
    try:
        while await _checkpoints_begun(owner) < begun + _CHECKPOINTS and not running.done():
            await asyncio.sleep(0.1)
            if bench.quick and time.perf_counter() - started > (asked + 1) * bench.sizes.cycle_s:
                asked += 1
                await owner.execute("CHECKPOINT")
    finally:
        stop.set()
        await running
    seconds, granted = time.perf_counter() - started, posting.granted - before
    wal_after, log_after, wallets_after = await _sizes(owner)
    await posting.close()
    return Sustained(granted, seconds, wal_after - wal, log_after - log, wallets_after - wallets)


async def _checkpoints_begun(owner: asyncpg.Connection[asyncpg.Record]) -> int:
    return await owner.fetchval("SELECT num_timed + num_requested FROM pg_stat_checkpointer")


async def _sizes(owner: asyncpg.Connection[asyncpg.Record]) -> tuple[int, int, int]:
    row = await owner.fetchrow(
        """
        SELECT
            (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint,
            pg_total_relation_size('ledger.transfer') + pg_total_relation_size('ledger.event'),
            pg_total_relation_size('ledger.account') + pg_total_relation_size('ledger.customer_state')
                + pg_total_relation_size('ledger.cap_use')
        """
    )
    assert row is not None
    return row[0], row[1], row[2]


async def on_disk(bench: Bench) -> dict[str, Measured]:
    """Bytes that a grant adds to the log, the events and their indexes, and to the write-ahead log, over two checkpoints."""
    await bench.settings(profile(bench))
    customers = bench.sizes.engine_customers
    books = await prepare(bench.server, "bench_disk", customers=customers)
    sustained = await sustain(bench, books, batches(books.book, 1_000, seed=1, customers=customers))
    await books.close()
    per_grant = sustained.log_bytes / sustained.granted
    wallets = sustained.wallet_bytes / sustained.granted
    wal = sustained.wal_bytes / sustained.granted
    over = f"over {sustained.seconds:.0f} s and {sustained.granted:,} grants"
    return {
        "bytes_per_grant": Measured(
            per_grant, GRANT_BYTES, "bytes, of the limit", notes=(f"and {wallets:.0f} of wallets, {over}",)
        ),
        "wal_per_grant": Measured(wal, GRANT_WAL_BYTES, "bytes, of the limit", notes=(over,)),
    }


async def expiry_storm(bench: Bench) -> dict[str, Measured]:
    """Single grants on 64 connections while a worker expires a million lots of their book, against a quiet book."""
    dying = await bench.station("dying", bench.sizes.dying)
    shop = await bench.station("shop", bench.sizes.shop)
    owner = await asyncpg.connect(bench.server.owner_url(dying.name))

    async def expired() -> int:
        return await owner.fetchval("SELECT credits FROM ledger.account WHERE kind = 8") or 0

    async with bench.api(dying) as api, bench.api(shop) as quiet_api:
        grants, quiet = singles(api, dying, 64, 6), singles(quiet_api, shop, 64, 7)
        for side in (grants, quiet):
            await side(bench.sizes.warm_up_s)
        reference = [await quiet(bench.sizes.storm_s / 2)]
        before = await expired()
        async with bench.worker(dying):
            for _ in range(200):
                if await expired() > before:
                    break
                await asyncio.sleep(0.05)
            settle()
            began, points = time.perf_counter(), await expired()
            ours = [await grants(bench.sizes.storm_s / 2), await grants(bench.sizes.storm_s / 2)]
            swept = ((await expired()) - points) / (time.perf_counter() - began) / 10
        settle()
        reference.append(await quiet(bench.sizes.storm_s / 2))
    left = await owner.fetchval(
        "SELECT count(*) FROM ledger.account WHERE kind = 1 AND expires_on < current_date AND credits > debits"
    )
    await owner.close()
    measured = compared(ours, reference, "requests/s")
    note = f"some {swept:,.0f} lots expired a second, and {left:,} were left"
    return {
        "expiry_storm": msgspec.structs.replace(measured, notes=(*measured.notes, note)),
        "expiry_storm_p99": tails(ours, reference),
    }


async def memory(bench: Bench) -> dict[str, Measured]:
    """The API process's most memory, through 256 connections and then an overload of twice what it can do."""
    station = await bench.station("shop", bench.sizes.shop)
    sizes = bench.sizes
    async with bench.api(station) as api:
        load = await singles(api, station, 256, 8)(sizes.turn_s * sizes.turns)
        rate = 2 * load.answers / load.seconds
        samples: list[float] = []

        @contextlib.asynccontextmanager
        async def sampled() -> AsyncGenerator[None]:
            async def sample() -> None:
                while True:
                    samples.append(api.memory_mb())
                    await asyncio.sleep(sizes.overload_s / 60)

            sampling = asyncio.create_task(sample())
            try:
                yield
            finally:
                sampling.cancel()

        settle()
        async with sampled():
            overload = await drive_at(
                api.port,
                single_reports(station, 9),
                rate=rate,
                seconds=sizes.overload_s,
                connections_max=400 if bench.quick else CONNECTIONS_MAX,
            )
        overload.expect(200, 201, 429, 503)
        peak = api.memory_mb("VmHWM")
    third = len(samples) // 3
    answers = ", ".join(f"{count:,} of {status}" for status, count in sorted(overload.statuses.items()))
    times = [
        " / ".join(f"{percentile(of, percent) * 1_000:.0f}" for percent in (50, 99, 100)) if of else "none"
        for of in (overload.latencies_s, overload.refusals_s)
    ]
    return {
        "memory": Measured(
            peak,
            API_MB,
            "MB, of the limit",
            notes=(
                f"overload of {rate:,.0f} requests/s: {answers}, {overload.unsent:,} found no connection; "
                f"ms p50 / p99 / longest: decisions {times[0]}, refusals {times[1]}",
            ),
        ),
        "memory_growth": Measured(
            max(samples[2 * third :]), max(samples[third : 2 * third]), "MB, last third of the one before"
        ),
    }
