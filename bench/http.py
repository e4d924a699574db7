"""Grants and claims over HTTP: one API process, against the ledger alone in this process.

Both sides take turns, each after a warm-up, on the same two cores and the same PostgreSQL.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import itertools
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

import asyncpg
import msgspec

from bench.engine import Posting, batches, prepare, settle
from bench.load import Answer, Conversation, Load, drive, percentile, request, together, until_idle
from bench.results import Cost, Measured, Turn, rates
from bench.stage import Bench, Process, Station
from bench.traffic import Batches, claims, follows, mintings, saying, single_reports
from service.links.schemas import LINKS_MAX
from service.settings import load_secrets
from service.tokens.link import link_keys

CLIENTS = 4
_LOOKS_EVERY_S = 0.005
Side = Callable[[float], Awaitable[Load]]
"""Makes load for so many seconds."""


def singles(process: Process, station: Station, connections: int, seed: int) -> Side:
    """``POST /v1/grants`` on so many connections."""
    requests = single_reports(station, seed)

    async def load(seconds: float) -> Load:
        return (await drive(process.port, repeated(requests, connections), seconds=seconds)).expect(200, 201)

    return load


def repeated(requests: Iterator[bytes], connections: int) -> list[Conversation]:
    """So many connections that share what there is to say."""
    return [saying(requests) for _ in range(connections)]


async def by_turns(bench: Bench, ours: Side, reference: Side, seconds: float | None = None) -> tuple[list[Load], list[Load]]:
    """Both sides' loads, turn by turn; who begins changes from turn to turn."""
    for side in (ours, reference):
        await side(bench.sizes.warm_up_s)
    loads: tuple[list[Load], list[Load]] = ([], [])
    for number in range(bench.sizes.turns):
        sides = [(ours, loads[0]), (reference, loads[1])]
        for side, taken in sides if number % 2 else reversed(sides):
            settle()
            taken.append(await side(seconds or bench.sizes.turn_s))
    return loads


def cost(load: Load, items: float) -> Cost:
    """What each of so many items took of processors: of what was asked over HTTP, and of PostgreSQL."""
    took = load.processor_ms
    return Cost.of(items, code_ms=took["process"], postgres_ms=took["PostgreSQL"])


def notes(load: Load) -> tuple[str, str]:
    """What there is to say of a load, beside its rate."""
    return (
        f"of a core: {load.shares}",
        f"ms an answer, p50 / p99: {load.percentile_ms(50):.2f} / {load.percentile_ms(99):.2f}",
    )


def compared(ours: list[Load], reference: list[Load], unit: str) -> Measured:
    """Answers a second."""
    turns = [Turn(a.answers, a.seconds, b.answers, b.seconds) for a, b in zip(ours, reference, strict=True)]
    whole = together(ours)
    return rates(turns, unit, *notes(whole), cost=cost(whole, whole.answers))


def tail(loads: list[Load]) -> Measured:
    """The slowest in a hundred, against the usual one."""
    whole = together(loads)
    return Measured(
        ours=whole.percentile_ms(99),
        reference=whole.percentile_ms(50),
        unit="ms, p99 of p50",
        turns=tuple((load.percentile_ms(99), load.percentile_ms(50)) for load in loads),
    )


def tails(ours: list[Load], reference: list[Load]) -> Measured:
    """The slowest in a hundred."""
    return Measured(
        ours=together(ours).percentile_ms(99),
        reference=together(reference).percentile_ms(99),
        unit="ms, p99",
        turns=tuple((a.percentile_ms(99), b.percentile_ms(99)) for a, b in zip(ours, reference, strict=True)),
    )


@contextlib.asynccontextmanager
async def ledger_alone(bench: Bench, size: int) -> AsyncGenerator[Callable[[], Awaitable[Load]]]:
    """The posting engine in this process, on a book of its own, with ``size`` grants a batch, one in ten a duplicate."""
    customers = bench.sizes.engine_customers
    books = await prepare(bench.server, "bench_ours", customers=customers)
    engine = Posting(books, size=size)
    work = batches(books.book, size, seed=1, customers=customers)
    count = max(bench.sizes.engine_items // size, 2)

    async def post() -> Load:
        granted, seconds = await engine.timed(list(itertools.islice(work, count)))
        return Load(statuses=collections.Counter({201: granted, 200: count * size - granted}), seconds=seconds)

    yield post
    await engine.close()
    await books.close()


async def against_ledger(bench: Bench, size: int, ours: Callable[[], Awaitable[Load]]) -> tuple[list[Load], list[Load]]:
    """Loads of ours and of the ledger alone, turn by turn. The first turn of each warms up."""
    loads: tuple[list[Load], list[Load]] = ([], [])
    async with ledger_alone(bench, size) as post:
        for number in range(bench.sizes.turns + 1):
            both = await ours(), await post()
            if number:
                loads[0].append(both[0])
                loads[1].append(both[1])
    return loads


async def http_batch(bench: Bench) -> dict[str, Measured]:
    """``POST /v1/grants/batch``, 1,000 a call, four clients, against the ledger alone with 1,000 a batch."""
    station = await bench.station("shop", bench.sizes.shop)
    calls = Batches(station, 1_000)
    granted: list[int] = []
    async with bench.api(station) as api:

        async def ours() -> Load:
            before = calls.granted
            conversations = [calls.conversation() for _ in range(CLIENTS)]
            load = (await drive(api.port, conversations, seconds=bench.sizes.turn_s)).expect(200)
            granted.append(calls.granted - before)
            return load

        loads, alone = await against_ledger(bench, 1_000, ours)
    each = zip(granted[1:], loads, alone, strict=True)
    turns = [Turn(number, load.seconds, other.statuses[201], other.seconds) for number, load, other in each]
    whole = together(loads)
    return {"http_batch": rates(turns, "grants/s", *notes(whole), cost=cost(whole, sum(granted[1:])))}


async def http_single(bench: Bench, connections: int) -> dict[str, Measured]:
    """``POST /v1/grants`` on so many connections, against the ledger alone with as many a batch; and the slowest."""
    station = await bench.station("shop", bench.sizes.shop)
    async with bench.api(station) as api:
        grants = singles(api, station, connections, 1)

        async def ours() -> Load:
            settle()
            return await grants(bench.sizes.turn_s)

        loads, alone = await against_ledger(bench, connections, ours)
    name = f"http_single_{connections}"
    return {name: compared(loads, alone, "requests/s"), f"{name}_p99": tail(loads)}


async def two_processes(bench: Bench, connections: int) -> dict[str, Measured]:
    """``http_single`` on two processes, against one."""
    station = await bench.station("shop", bench.sizes.shop)
    async with bench.api(station, processes=2) as two, bench.api(station) as one:
        ours, reference = await by_turns(bench, singles(two, station, connections, 1), singles(one, station, connections, 2))
    name = f"two_processes_{connections}"
    return {name: compared(ours, reference, "requests/s"), f"{name}_p99": tails(ours, reference)}


async def http_idle(bench: Bench) -> dict[str, Measured]:
    """One grant at a time on one connection, against the commit of one bare ``INSERT``."""
    station = await bench.station("shop", bench.sizes.shop)
    owner = await asyncpg.connect(bench.server.owner_url(station.name))
    await owner.execute("CREATE SCHEMA bench; CREATE TABLE bench.bare (n bigint PRIMARY KEY, at timestamptz NOT NULL)")
    numbers = itertools.count(1)
    insert = await owner.prepare("INSERT INTO bench.bare (n, at) VALUES ($1, clock_timestamp())")

    async def bare(seconds: float) -> Load:
        load = Load()
        began = time.perf_counter()
        while (at := time.perf_counter()) < began + seconds:
            await insert.fetch(next(numbers))
            load.latencies_s.append(time.perf_counter() - at)
        load.seconds = time.perf_counter() - began
        return load

    async with bench.api(station) as api:
        ours, reference = await by_turns(bench, singles(api, station, 1, 3), bare, bench.sizes.turn_s / 2)
    await owner.execute("DROP SCHEMA bench CASCADE")
    await owner.close()
    whole = together(ours)
    return {
        "http_idle": Measured(
            ours=whole.percentile_ms(50),
            reference=together(reference).percentile_ms(50),
            unit="ms, p50",
            turns=tuple(
                (percentile(a.latencies_s, 50) * 1_000, percentile(b.latencies_s, 50) * 1_000)
                for a, b in zip(ours, reference, strict=True)
            ),
            cost=cost(whole, whole.answers),
        )
    }


class _Minted(msgspec.Struct):
    url: str


class _MintedLinks(msgspec.Struct):
    results: list[_Minted]


async def link_claim(bench: Bench) -> dict[str, Measured]:
    """``POST /r/{token}`` on 64 connections, each token new, against the ledger alone with 64 grants a batch."""
    return {"link_claim": await _once_each(bench, "page", claims, status=303)}


async def link_redirect(bench: Bench) -> dict[str, Measured]:
    """``GET /r/{token}`` of links that redirect, on 64 connections, each token new, against the ledger alone as above.

    Each act is on the disk when it is answered; those of a turn are judged and paid while the turn goes on, and after it.
    """
    return {"link_redirect": await _once_each(bench, "redirect", follows, status=302)}


async def _once_each(bench: Bench, mode: str, requests: Callable[[list[str]], Iterator[bytes]], *, status: int) -> Measured:
    station = await bench.station("shop", bench.sizes.shop)
    async with bench.api(station) as api:

        async def ours() -> Load:
            tokens = await mint(api, station, bench.sizes.links, mode)
            settle()
            load = (await drive(api.port, repeated(requests(tokens), 64))).expect(status)
            await until_idle()
            return load

        return compared(*await against_ledger(bench, 64, ours), "requests/s")


async def mint(api: Process, station: Station, count: int, mode: str) -> list[str]:
    """Tokens of so many new links."""
    tokens: list[str] = []

    def minting(requests: Iterator[bytes]) -> Conversation:
        for each in requests:
            tokens.extend(_tokens_in((yield each)))

    shared = mintings(station, count, seed=len(tokens), mode=mode)
    (await drive(api.port, [minting(shared) for _ in range(2)])).expect(200)
    return tokens


def _tokens_in(answer: Answer) -> list[str]:
    minted = msgspec.json.decode(answer[1], type=_MintedLinks)
    return [link.url.rpartition("/")[2] for link in minted.results]


async def links_mint(bench: Bench) -> dict[str, Measured]:
    """``POST /v1/links``, as many a call as are taken, one client, against as many signatures of tokens of that length.

    A note says how long others wait meanwhile: somebody who asks every few milliseconds whether the process lives.
    """
    station = await bench.station("shop", bench.sizes.shop)
    count = min(LINKS_MAX, bench.sizes.links)
    signing = link_keys(load_secrets(bench.secrets_file).link_keys).signing
    turns: list[Turn] = []
    loads: list[Load] = []
    looks: list[Load] = []
    async with bench.api(station) as api:
        for number in range(bench.sizes.turns + 1):
            # Made before, and looked at after, so that this process does nothing else while it takes times.
            (minting,) = mintings(station, count, seed=number, at_once=count)
            answers: list[Answer] = []
            load, look = await _beside(api, minting, answers)
            tokens = _tokens_in(answers[0])
            signed = [token.rpartition(".")[0].encode() for token in tokens]
            began = time.perf_counter()
            for each in signed:
                signing.sign(each)
            signed_s = time.perf_counter() - began
            if number:
                turns.append(Turn(len(tokens), load.seconds, len(signed), signed_s))
                loads.append(load)
                looks.append(look)
    waited = together(looks)
    return {
        "links_mint": rates(
            turns,
            "links/s",
            f"others waited, ms p50 / p99 / longest: {waited.percentile_ms(50):.1f} / {waited.percentile_ms(99):.1f} / "
            f"{waited.percentile_ms(100):.1f}",
            cost=cost(together(loads), count * len(loads)),
        )
    }


async def _beside(api: Process, asked: bytes, answers: list[Answer]) -> tuple[Load, Load]:
    """Ask once, and until that is answered look again and again whether the process lives: both loads."""

    def asking() -> Conversation:
        answers.append((yield asked))

    def looking() -> Conversation:
        while not answers:
            yield request("GET", "/health/live")
            yield _LOOKS_EVERY_S

    settle()
    load, look = await asyncio.gather(drive(api.port, [asking()]), drive(api.port, [looking()]))
    return load.expect(200), look.expect(200)
