"""One tree's side of a comparison (see `versus`): takes a turn of a benchmark when it is asked to.

    python -m bench.side DIRECTORY

A line is a JSON document. The first one in is a `Setup`, answered by a `Ready`; each one after it a `Request`, answered by a
`Turn`. All data are in DIRECTORY, and everything it starts ends with its standard input.

`versus` lends this tree's `bench` to the other one, so that both are asked the same. A tree that cannot run it is measured by
its own, and one from before this file with the first version of it in front of its own.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import itertools
import re
import resource
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import asyncpg
import msgspec
import uvloop

from bench import ingest
from bench.engine import BRANDS, Posting, Prepared, batches, one_by_one, prepare, settle
from bench.load import Conversation, Load, drive, drive_open, processor_ms, until_idle
from bench.server import Server
from bench.stage import Bench, Process, Station
from bench.traffic import Batches, Tills, bursts, claims, follows, mintings, poisson, reads, single_reports
from ledger import Ledger

_CLIENTS = 4
_CONNECTIONS = 64
_REDEEMING_CUSTOMERS = 10_000
_LINKS_A_CALL = 10_000
_CUSTOMERS_A_BRAND = 20
_SINCE_CUT = 0.01
_OPEN_CONNECTIONS = 256


class Setup(msgspec.Struct):
    """What will be asked for."""

    benchmarks: list[str]
    quick: bool = False


class Ready(msgspec.Struct):
    """Those of the benchmarks that this side knows. Their databases are filled, and their processes run."""

    benchmarks: list[str]


class Request(msgspec.Struct):
    """``amount`` is in what the benchmark counts its turns in: seconds, batches, grants of each brand, links, or requests."""

    benchmark: str
    amount: float
    rate: float = 0.0
    """How many arrive a second, of an open load."""


class Turn(msgspec.Struct):
    """What was done, in how many seconds of the clock and of processors; ``process_s`` is of the code without its database."""

    work: float
    seconds: float
    process_s: float
    postgres_s: float
    memory_mb: float
    """Of the API process, if there is one, after the turn."""
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    """How long an answer took, half of them and all but one in a hundred; nothing where nobody waits for one."""


class Done(msgspec.Struct):
    """How much was done, in how many seconds, and what that took of processors."""

    work: float
    seconds: float
    process_ms: float
    postgres_ms: float
    p50_ms: float = 0.0
    p99_ms: float = 0.0


Benchmark = Callable[..., Awaitable[Done]]
"""Takes an amount; an open load also a rate."""
Arrivals = Callable[[float, float, int], Iterator[float]]
"""Instants, of a rate, so many seconds, and a seed."""
_T = TypeVar("_T")


class _Posting:
    """The posting engine inside this process, on one book. ``amount`` is batches."""

    def __init__(self, book: Prepared, *, size: int, customers: int) -> None:
        self._work = batches(book.book, size, seed=1, customers=customers)
        self._queue = Posting(book, size=size)

    async def take_turn(self, amount: float) -> Done:
        ready = list(itertools.islice(self._work, round(amount)))
        settle()
        granted, before = self._queue.granted, processor_ms()
        seconds = await self._queue.turn(ready)
        return _in_process(self._queue.granted - granted, seconds, before)


class _PostingToMany:
    """The same on many brands' books, one grant a call. ``amount`` is grants of each brand."""

    def __init__(self, books: Prepared) -> None:
        self._books = books.books
        self._queue = Posting(books, size=1_000)
        self._seeds = itertools.count()

    async def take_turn(self, amount: float) -> Done:
        work = one_by_one(self._books, round(amount), seed=next(self._seeds), customers=_CUSTOMERS_A_BRAND)
        settle()
        before = processor_ms()
        granted, seconds = await self._queue.one_at_a_time(work)
        return _in_process(granted, seconds, before)


async def _engines(bench: Bench, wanted: Collection[str]) -> dict[str, Benchmark]:
    """Those of the engine's benchmarks that are wanted. Each has a database and a connection of its own."""
    benchmarks: dict[str, Benchmark] = {}
    customers = bench.sizes.engine_customers // 2
    for name, size in {"engine_batch": 1_000, "engine_small": 64}.items():
        if name in wanted:
            book = await prepare(bench.server, name, customers=customers)
            benchmarks[name] = _Posting(book, size=size, customers=customers).take_turn
    if "engine_brands" in wanted:
        books = await prepare(bench.server, "engine_brands", books=BRANDS, customers=_CUSTOMERS_A_BRAND)
        benchmarks["engine_brands"] = _PostingToMany(books).take_turn
    return benchmarks


class _Http:
    """One API process on the shop's database."""

    def __init__(self, api: Process, station: Station) -> None:
        self._api = api
        self._station = station
        self._reports = single_reports(station)
        self._batches = Batches(station, 1_000)
        self._tills = Tills(station, _REDEEMING_CUSTOMERS)
        self._reads = {what: reads(station, what) for what in ("balance", "statement")}
        self._seeds = itertools.count()
        self._turns = itertools.count()

    async def single(self, connections: int, seconds: float) -> Done:
        return _over_http(await self._drive(self._reports, connections, seconds), 200, 201)

    async def arriving(self, arrivals: Arrivals, seconds: float, rate: float) -> Done:
        """Single grants that come when they come. Both sides get the same, turn by turn."""
        due = arrivals(rate, seconds, next(self._turns))
        load = await drive_open(self._api.port, self._reports, due, connections_max=_OPEN_CONNECTIONS)
        return _over_http(load, 200, 201)

    async def read(self, what: str, seconds: float) -> Done:
        return _over_http(await self._drive(self._reads[what], _CONNECTIONS, seconds), 200)

    async def batch(self, seconds: float) -> Done:
        before = self._batches.granted
        load = await drive(self._api.port, [self._batches.conversation() for _ in range(_CLIENTS)], seconds=seconds)
        return _over_http(load, 200, work=self._batches.granted - before)

    async def redeem(self, seconds: float) -> Done:
        before = self._tills.pairs
        load = await drive(self._api.port, [self._tills.conversation() for _ in range(_CONNECTIONS)], seconds=seconds)
        return _over_http(load, 201, work=self._tills.pairs - before)

    async def redeem_under_load(self, seconds: float) -> Done:
        """Authorizations, and for how long they were waited for, while others report batches to the same book."""
        saturating = [self._batches.conversation() for _ in range(_CLIENTS)]
        tills = [self._tills.authorizing(0.02) for _ in range(_CLIENTS)]
        async with asyncio.TaskGroup() as both:
            campaign = both.create_task(drive(self._api.port, saturating, seconds=seconds + 0.5))
            await asyncio.sleep(0.4)
            till = both.create_task(drive(self._api.port, tills, seconds=seconds))
        campaign.result().expect(200)
        done = _over_http(till.result(), 201)
        return msgspec.structs.replace(done, seconds=sum(till.result().latencies_s))

    async def mint(self, links: float) -> Done:
        _, load = await self._minted(round(links), "page", clients=1, at_once=_LINKS_A_CALL)
        return _over_http(load, 200, work=round(links))

    async def claim(self, links: float) -> Done:
        tokens, _ = await self._minted(round(links), "page")
        settle()
        return _over_http(await self._drive(claims(tokens), _CONNECTIONS), 303)

    async def redirect(self, links: float) -> Done:
        """The acts are settled meanwhile and afterwards. All of it counts as processor time, and the turn ends with it."""
        tokens, _ = await self._minted(round(links), "redirect")
        settle()
        before = processor_ms()
        load = await self._drive(follows(tokens), _CONNECTIONS)
        await until_idle()
        load.processor_ms = processor_ms() - before
        return _over_http(load, 302)

    async def _drive(self, requests: Iterator[bytes], connections: int, seconds: float | None = None) -> Load:
        return await drive(self._api.port, [_each(requests) for _ in range(connections)], seconds=seconds)

    async def _minted(self, count: int, mode: str, *, clients: int = 2, at_once: int = 500) -> tuple[list[str], Load]:
        answers: list[bytes] = []

        def minting(requests: Iterator[bytes]) -> Conversation:
            for each in requests:
                _, body = yield each
                answers.append(body)

        requests = iter(list(mintings(self._station, count, seed=next(self._seeds), mode=mode, at_once=at_once)))
        load = (await drive(self._api.port, [minting(requests) for _ in range(clients)])).expect(200)
        return [url.decode() for body in answers for url in re.findall(rb'"url":"[^"]*/([^"/]+)"', body)], load

    def benchmarks(self) -> dict[str, Benchmark]:
        return {
            "http_batch": self.batch,
            "http_single_64": partial(self.single, 64),
            "http_single_256": partial(self.single, 256),
            "http_idle": partial(self.single, 1),
            "http_open_poisson": partial(self.arriving, poisson),
            "http_open_bursts": partial(self.arriving, bursts),
            "links_mint": self.mint,
            "link_claim": self.claim,
            "link_redirect": self.redirect,
            "redeem": self.redeem,
            "redeem_under_load": self.redeem_under_load,
            "balance_read": partial(self.read, "balance"),
            "statement": partial(self.read, "statement"),
        }


class _Provider:
    """SendGrid, which sends to the API, and a worker during each turn. ``amount`` is requests."""

    def __init__(self, bench: Bench, api: Process, station: Station, sendgrid: ingest.SendGrid) -> None:
        self._bench = bench
        self._api = api
        self._station = station
        self._sendgrid = sendgrid

    async def take_turn(self, amount: float) -> Done:
        async with self._bench.worker(self._station, self._api):
            await self._worked_off(ingest.WINDOW)  # so that it is there
            done = await self._worked_off(round(amount))
        return _over_http(done.load, 200, work=done.events)

    async def _worked_off(self, count: int) -> ingest.WorkedOff:
        requests = iter(list(self._sendgrid.requests(count)))
        settle()
        return await self._sendgrid.worked_off(drive(self._api.port, [_each(requests) for _ in range(_CLIENTS)]))

    def benchmarks(self) -> dict[str, Benchmark]:
        return {"ingest_sendgrid": self.take_turn}


class _Reader:
    """The ledger's own reads of the shop's book, inside this process."""

    def __init__(self, ledger: Ledger, station: Station) -> None:
        self._ledger = ledger
        self._station = station

    async def trial_balance(self, times: float) -> Done:
        """At a cut: the first 99% of the log."""
        now = await self._ledger.head(self._station.book)
        cut = type(now)("", now.seq - round(now.seq * _SINCE_CUT), now.posted_at)
        began, before = time.perf_counter(), processor_ms()
        for _ in range(round(times)):
            balance = await self._ledger.trial_balance(self._station.book, cut)
            assert balance.debits == balance.credits
        return _in_process(round(times), time.perf_counter() - began, before)

    def benchmarks(self) -> dict[str, Benchmark]:
        return {"trial_balance_at_cut": self.trial_balance}


class Side:
    """What was set up, ready for turns."""

    def __init__(self, benchmarks: dict[str, Benchmark], api: Process | None) -> None:
        self.benchmarks = benchmarks
        self._api = api

    async def take_turn(self, request: Request) -> Turn:
        """Take one turn."""
        settle()
        take = self.benchmarks[request.benchmark]
        done = await (take(request.amount, request.rate) if request.rate else take(request.amount))
        memory_mb = 0.0 if self._api is None else self._api.memory_mb()
        took_s = done.process_ms / 1_000, done.postgres_ms / 1_000
        return Turn(done.work, done.seconds, *took_s, memory_mb, done.p50_ms, done.p99_ms)


@contextlib.asynccontextmanager
async def side(bench: Bench, wanted: list[str]) -> AsyncGenerator[Side]:
    """Fill the databases and start the API process."""
    over_http = not all(name.startswith("engine_") for name in wanted)
    # First, because the server is started again after a book was filled.
    station = await bench.station("shop", bench.sizes.shop) if over_http else None
    benchmarks = await _engines(bench, wanted)
    async with contextlib.AsyncExitStack() as stack:
        api = None
        if station is not None:
            reader = await stack.enter_async_context(
                asyncpg.create_pool(bench.server.owner_url("shop"), min_size=1, max_size=1)
            )
            api = await stack.enter_async_context(bench.api(station))
            benchmarks |= _Reader(Ledger(reader), station).benchmarks() | _Http(api, station).benchmarks()
            if "ingest_sendgrid" in wanted and ingest.IS_THERE:
                sendgrid = await stack.enter_async_context(ingest.sendgrid(bench.server, station, api))
                benchmarks |= _Provider(bench, api, station, sendgrid).benchmarks()
        yield Side({name: benchmarks[name] for name in wanted if name in benchmarks}, api)


async def main(directory: Path) -> None:
    """Set up what the first line asks for, then take a turn a line."""
    setup = await _line(Setup)
    assert setup is not None
    directory.mkdir(exist_ok=True)
    directory.chmod(0o711)
    server = Server(directory / "postgres")
    try:
        await asyncio.to_thread(server.start)
        async with side(Bench(server, directory, quick=setup.quick), setup.benchmarks) as ready:
            _say(Ready(list(ready.benchmarks)))
            while request := await _line(Request):
                _say(await ready.take_turn(request))
    finally:
        await asyncio.to_thread(server.stop)


def _over_http(load: Load, *statuses: int, work: int | None = None) -> Done:
    took = load.expect(*statuses).processor_ms
    done = load.answers if work is None else work
    waited_ms = load.percentile_ms(50), load.percentile_ms(99)
    return Done(done, load.seconds, took["process"], took["PostgreSQL"], *waited_ms)


def _in_process(work: int, seconds: float, before: collections.Counter[str]) -> Done:
    took = processor_ms() - before
    return Done(work, seconds, took["client"], took["PostgreSQL"])


def _each(requests: Iterator[bytes]) -> Conversation:
    # What is shared must not be closed with one of those who share it, as `yield from` would.
    for each in requests:  # noqa: UP028
        yield each


async def _line(what: type[_T]) -> _T | None:
    said = await asyncio.to_thread(sys.stdin.readline)
    return msgspec.json.decode(said, type=what) if said else None


def _say(what: msgspec.Struct) -> None:
    print(msgspec.json.encode(what).decode(), flush=True)


if __name__ == "__main__":
    # Clients hold more connections than most systems allow a process at first.
    _, allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, allowed))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(Path(sys.argv[1])))
