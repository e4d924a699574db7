"""Reads of a large book, and exports of a long one."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from bench.http import by_turns, compared, repeated, singles, tails
from bench.load import Load, ask, drive, request
from bench.results import Measured, Turn, rates
from bench.stage import Bench, Station
from bench.traffic import reads
from ledger import Book, Ledger
from service.storage import database

EXPORT_MB = {"csv": 200.0, "parquet": 250.0}
_AT_ONCE = 64
_LOOKS_EVERY_S = 0.01
_SINCE_CUT = 0.01
"""How much of the log is younger than the cut whose trial balance is asked for."""


async def read(
    bench: Bench, name: str, what: str, alone: Callable[[Ledger, list[tuple[Book, int]]], Awaitable[object]]
) -> dict[str, Measured]:
    """``GET`` of any customer's ``what`` on 64 connections, against the ledger alone, asked of 64 customers at a time."""
    station = await bench.station("large", bench.sizes.large)
    source = random.Random(2)

    async def reference(seconds: float) -> Load:
        load = Load()
        began = time.perf_counter()
        while time.perf_counter() < began + seconds:
            customers = [source.randrange(1, station.population.customers + 1) for _ in range(_AT_ONCE)]
            await alone(ledger, [(station.book, customer) for customer in customers])
            load.statuses[200] += _AT_ONCE
        load.seconds = time.perf_counter() - began
        return load

    async with bench.api(station) as api, _reader(bench.server.owner_url(station.name)) as pool:
        ledger = Ledger(pool)  # reads need no queues

        async def ours(seconds: float) -> Load:
            asked = repeated(reads(station, what, 1), _AT_ONCE)
            return (await drive(api.port, asked, seconds=seconds)).expect(200)

        return {name: compared(*await by_turns(bench, ours, reference, bench.sizes.read_s), "requests/s")}


async def balance_read(bench: Bench) -> dict[str, Measured]:
    """A customer's balance, by lots."""
    return await read(bench, "balance_read", "balance", Ledger.balances)


async def statement(bench: Bench) -> dict[str, Measured]:
    """The newest page of a customer's statement."""
    return await read(bench, "statement", "statement", Ledger.statements)


def _reader(url: str) -> Any:
    """A connection with the rights and the time limit of the API's reads."""
    settings = {"role": database.READER_ROLE, "statement_timeout": str(database.STATEMENT_TIMEOUT_MS)}
    return asyncpg.create_pool(url, min_size=1, max_size=1, server_settings=settings)


async def trial_balance_at_cut(bench: Bench) -> dict[str, Measured]:
    """The trial balance at a cut some days back, against ``COPY`` of all accounts to a file.

    It is taken through the ledger, by a reader with the API's time limit; a note says what the API answers.
    """
    station = await bench.station("large", bench.sizes.large)
    url = bench.server.owner_url(station.name)
    owner = await asyncpg.connect(url)
    accounts = await owner.fetchval("SELECT count(*) FROM ledger.account")
    head = await owner.fetchval("SELECT seq FROM ledger.head")
    cut_seq = head - round(head * _SINCE_CUT)

    turns: list[Turn] = []
    async with _reader(url) as pool:
        ledger = Ledger(pool)  # reads need no queues
        now = await ledger.head(station.book)
        cut = type(now)("", cut_seq, now.posted_at)
        for number in range(bench.sizes.reads_of_all + 1):
            started = time.perf_counter()
            balance = await ledger.trial_balance(station.book, cut)
            ours_s = time.perf_counter() - started
            assert balance.debits == balance.credits
            reference_s = await _copied(owner, "ledger.account")
            if number:
                turns.append(Turn(accounts, ours_s, accounts, reference_s))
    await owner.close()
    async with bench.api(station) as api:
        started = time.perf_counter()
        path = f"/v1/ledger/trial-balance?cut={cut_seq}"
        status, _ = await ask(api.port, request("GET", path, key=station.keys["finance"]))
        note = f"over HTTP it was answered {status} after {time.perf_counter() - started:.1f} s"
    return {"trial_balance_at_cut": rates(turns, "accounts/s", note)}


async def export(bench: Bench, file_format: str) -> dict[str, Measured]:
    """``rewards export`` in one format, against the server's ``COPY`` of the same rows to files; and the exporter's memory.

    The program has been loaded when its time begins, so that a short book measures what a long one does.
    """
    station = await bench.station("long", bench.sizes.long)
    owner = await asyncpg.connect(bench.server.owner_url(station.name))
    rows = await owner.fetchval("SELECT (SELECT count(*) FROM ledger.transfer) + (SELECT count(*) FROM ledger.account)")
    exports: list[Exported] = []
    turns: list[Turn] = []
    for _ in range(bench.sizes.exports):
        exports.append(await _exported(bench, station, file_format))
        reference_s = sum([await _copied(owner, table) for table in ("ledger.transfer", "ledger.account")])
        turns.append(Turn(rows, exports[-1].seconds, rows, reference_s))
    await owner.close()
    note = f"{rows:,} rows, {exports[-1].size_bytes / 1e6:,.0f} MB"
    return {
        f"export_{file_format}": rates(turns, "rows/s", note),
        f"export_{file_format}_memory": Measured(
            max(each.peak_mb for each in exports), EXPORT_MB[file_format], "MB, of the limit"
        ),
    }


class Exported(msgspec.Struct, frozen=True):
    """How an export went."""

    seconds: float
    peak_mb: float
    size_bytes: int


async def _exported(bench: Bench, station: Station, file_format: str) -> Exported:
    directory = bench.scratch("export")
    peak_mb = 0.0
    async with bench.loaded_export(station, directory, file_format) as export:
        assert export.popen.stdin is not None
        started = time.perf_counter()
        export.popen.stdin.close()
        while export.popen.poll() is None:
            peak_mb = max(peak_mb, export.memory_mb("VmHWM"))
            await asyncio.sleep(_LOOKS_EVERY_S)
        seconds = time.perf_counter() - started
    if export.popen.returncode != 0:
        raise RuntimeError(f"the export ended with {export.popen.returncode}")
    size_bytes = sum(file.stat().st_size for file in directory.iterdir())
    _clear(directory)
    return Exported(seconds, peak_mb, size_bytes)


async def grants_during_export(bench: Bench) -> dict[str, Measured]:
    """Single grants on 64 connections while the same book is exported, against the same undisturbed."""
    station = await bench.station("long", bench.sizes.long)
    directory = bench.scratch("export")

    async def disturbed(load: Callable[[], Awaitable[Load]]) -> Load:
        async with bench.export(station, directory) as export:
            await asyncio.sleep(0.0 if bench.quick else 2.0)  # it has to load before it reads
            answered = await load()
            if export.popen.poll() is not None and not bench.quick:
                raise RuntimeError("the export was over before the grants were")
        _clear(directory)
        return answered

    measured = await _disturbed(bench, station, disturbed)
    return {"grants_during_export": measured[0], "grants_during_export_p99": measured[1]}


async def _disturbed(
    bench: Bench, station: Station, disturbed: Callable[[Callable[[], Awaitable[Load]]], Awaitable[Load]]
) -> tuple[Measured, Measured]:
    async with bench.api(station) as api:
        grants = singles(api, station, 64, 5)

        async def ours(seconds: float) -> Load:
            return await disturbed(lambda: grants(seconds))

        loads = await by_turns(bench, ours, grants)
    return compared(*loads, "requests/s"), tails(*loads)


async def _copied(owner: asyncpg.Connection[asyncpg.Record], table: str) -> float:
    """Seconds that the server takes to write a table, or a query in parentheses, into a file of its own."""
    path = Path(await owner.fetchval("SHOW data_directory")) / "bench.copy"
    started = time.perf_counter()
    await owner.execute(f"COPY {table} TO '{path}' WITH (FORMAT csv)")
    took_s = time.perf_counter() - started
    path.unlink()
    return took_s


def _clear(directory: Path) -> None:
    for file in directory.iterdir():
        file.unlink()
