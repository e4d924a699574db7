"""Points for what a provider reports: SendGrid's events, each three times, taken by the API and decided by a worker.

    ingest_sendgrid      events a second until they are posted and told, against the items of ``http_batch``
    ingest_sendgrid_p99  how long the provider waits while the worker is behind, against 50 ms
    ingest_burst         the worker's most memory once a million events are decided, against when a tenth was
    ingest_burst_api     the same of the API process

A request has 500 events and a signature. Copies of an event have another ``sg_event_id`` and are in other requests, as when
SendGrid sends again. Half of the events of `ingest_sendgrid` have our token, the others name campaign and message. It is
counted that each act was granted once.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import importlib.util
import itertools
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Iterator, Sequence
from typing import Any, cast
from urllib.parse import urlsplit

import asyncpg
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bench.books import email
from bench.engine import settle
from bench.http import CLIENTS, mint, notes
from bench.load import Load, LoadFailed, ask, drive, drive_open, processor_ms, request, together
from bench.results import Cost, Measured, Turn, rates
from bench.server import Server
from bench.stage import BRAND, CAMPAIGN, Bench, Process, Station
from bench.traffic import Batches, fresh_id, poisson, saying
from service.auth.actions import create_key

IS_THERE = importlib.util.find_spec("service.ingest") is not None
"""A tree that this one is measured against may be from before there were sources."""
EVENTS = 500
"""Of a request."""
COPIES = 3
WINDOW = 12
"""Requests over which copies are spread: 2,000 acts."""
P99_MS = 50.0
_FASTER = 2.0
"""Events come so much faster than ``http_batch`` is answered, so that the worker falls behind."""
_CONNECTIONS = 16
_BATCH = 1_000
_LOOKS_EVERY_S = 0.02
_PATIENCE_S = 900.0
_PARTS = (0.1, 0.5, 1.0)
_READ = "SELECT read_no FROM rewards.source_reader WHERE source_no = $1"
_TOLD = "SELECT counts, count(*) FROM rewards.envelope_outcome WHERE source_no = $1 GROUP BY counts"


class WorkedOff(msgspec.Struct, frozen=True):
    """Requests that were taken, within ``taken_s``, and decided: the load's time ends when all of it was there to see."""

    load: Load
    taken_s: float

    @property
    def events(self) -> int:
        """With their copies."""
        return self.load.answers * EVENTS


class SendGrid:
    """SendGrid's Event Webhook of one source."""

    def __init__(
        self, station: Station, owner: asyncpg.Pool[Any], source_no: int, path: str, key: ec.EllipticCurvePrivateKey
    ) -> None:
        self._station = station
        self._owner = owner
        self._source_no = source_no
        self._path = path
        self._key = key
        self._source = random.Random(source_no)
        self._sent = 0

    def requests(self, count: int, tokens: Sequence[str] = ()) -> Iterator[bytes]:
        """So many requests, a multiple of ``WINDOW``. Each of ``tokens`` is an act; the other acts name their message."""
        ours = itertools.chain(
            (f'"reward_token":"{token}"' for token in tokens),
            (f'"reward_campaign":"{CAMPAIGN}","reward_message":"{fresh_id()}"' for _ in itertools.count()),
        )
        for _ in range(count // WINDOW):
            acts = [self._act(each) for each in itertools.islice(ours, acts_of(WINDOW))]
            events = [f'{act}"sg_event_id":"{fresh_id()}"}}' for act in acts for _ in range(COPIES)]
            self._source.shuffle(events)
            for start in range(0, len(events), EVENTS):
                yield self._signed(f"[{','.join(events[start : start + EVENTS])}]\r\n".encode())

    def _act(self, ours: str) -> str:
        """A click, but for the end that is another one in each copy."""
        number = int(self._source.random() * self._station.population.customers) + 1
        return (
            f'{{"email":"{email(number)}","timestamp":{int(time.time()) - 30},"event":"click","category":["autumn"],'
            '"url":"https://shop.example/autumn","url_offset":{"index":0,"type":"html"},"ip":"203.0.113.9",'
            '"useragent":"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)",'
            f'"sg_message_id":"{fresh_id()}.recvd-756b745b58-kmzbl-18-5F5FC76C-9.0",{ours},'
        )

    def _signed(self, body: bytes) -> bytes:
        timestamp = str(int(time.time()))
        signature = self._key.sign(timestamp.encode() + body, ec.ECDSA(SHA256()))
        headers = (
            f"X-Twilio-Email-Event-Webhook-Signature: {base64.b64encode(signature).decode()}\r\n"
            f"X-Twilio-Email-Event-Webhook-Timestamp: {timestamp}\r\n"
        )
        return request("POST", self._path, body=body, headers=headers)

    async def worked_off(self, sending: Awaitable[Load]) -> WorkedOff:
        """Send, and wait until a worker has decided all of it."""
        before, processors, began = await self._granted(), processor_ms(), time.perf_counter()
        load = (await sending).expect(200)
        self._sent += load.answers
        await self.decided(self._sent)
        taken_s, load.seconds = load.seconds, time.perf_counter() - began
        load.processor_ms = processor_ms() - processors
        acts = acts_of(load.answers)
        if (granted := await self._granted() - before) != acts:
            raise LoadFailed(f"{granted} acts were granted of {acts}: {await self._owner.fetch(_TOLD, self._source_no)}")
        return WorkedOff(load, taken_s)

    async def decided(self, count: float) -> None:
        """Wait until so many of its requests are decided."""
        async with asyncio.timeout(_PATIENCE_S):
            while await self._owner.fetchval(_READ, self._source_no) < count:  # noqa: ASYNC110
                await asyncio.sleep(_LOOKS_EVERY_S)

    async def _granted(self) -> int:
        return await self._owner.fetchval("SELECT seq FROM ledger.head")


def acts_of(requests: int) -> int:
    """How many acts are in so many requests."""
    return requests * EVENTS // COPIES


def secrets_of(key: ec.EllipticCurvePrivateKey) -> dict[str, list[str]]:
    """What a source holds to recognise what is signed with ``key``."""
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return {"verification_key": [base64.b64encode(public).decode()]}


@contextlib.asynccontextmanager
async def sendgrid(server: Server, station: Station, api: Process) -> AsyncGenerator[SendGrid]:
    """A source of the station's brand."""
    async with asyncpg.create_pool(server.owner_url(station.name), min_size=1, max_size=2) as owner:
        signing = ec.generate_private_key(ec.SECP256R1())
        async with owner.acquire() as connection:
            key, _ = await create_key(
                cast("asyncpg.Connection[Any]", connection), BRAND, f"sendgrid {fresh_id()}", ["sources:write"], "A"
            )
        wanted = {"provider": "sendgrid", "name": "newsletter", "secrets": secrets_of(signing)}
        status, body = await ask(api.port, request("POST", "/v1/sources", key=key, body=msgspec.json.encode(wanted)))
        if status != 201:
            raise LoadFailed(f"the source was answered {status}: {body.decode()}")
        made = msgspec.json.decode(body, type=_Made)
        number = int(made.id.removeprefix("src_"))
        yield SendGrid(station, owner, number, urlsplit(made.ingest_url).path, signing)


class _Made(msgspec.Struct):
    id: str
    ingest_url: str


async def ingest_sendgrid(bench: Bench) -> dict[str, Measured]:
    """SendGrid's requests at random instants, twice as many events as ``http_batch`` answers items, beside a worker."""
    station, sizes = await bench.station("shop", bench.sizes.shop), bench.sizes
    batches = Batches(station, _BATCH)
    pairs: list[tuple[WorkedOff, Load]] = []
    async with (
        bench.api(station) as api,
        bench.worker(station, api) as worker,
        sendgrid(bench.server, station, api) as provider,
    ):
        for number in range(sizes.turns + 1):
            settle()
            conversations = [batches.conversation() for _ in range(CLIENTS)]
            reference = (await drive(api.port, conversations, seconds=sizes.turn_s)).expect(200)
            rate = _FASTER * reference.answers * _BATCH / reference.seconds / EVENTS
            tokens = await mint(api, station, acts_of(sizes.ingest_requests) // 2, "page")
            sent = list(provider.requests(sizes.ingest_requests, tokens))
            settle()
            due = itertools.islice(poisson(rate, float("inf"), number), len(sent))
            load = drive_open(api.port, iter(sent), due, connections_max=_CONNECTIONS)
            pairs.append((await provider.worked_off(load), reference))
        peaks = ", ".join(f"{who} {each.memory_mb('VmHWM'):.0f}" for who, each in (("API", api), ("worker", worker)))
    del pairs[0]  # it warmed up
    return {
        "ingest_sendgrid": _rate(pairs, f"peak of memory, MB: {peaks}"),
        "ingest_sendgrid_p99": _patience(pairs),
    }


def _rate(pairs: Sequence[tuple[WorkedOff, Load]], *more: str) -> Measured:
    turns = [Turn(ours.events, ours.load.seconds, other.answers * _BATCH, other.seconds) for ours, other in pairs]
    whole = together([ours.load for ours, _ in pairs])
    events = sum(turn.ours for turn in turns)
    cost = Cost.of(events, code_ms=whole.processor_ms["process"], postgres_ms=whole.processor_ms["PostgreSQL"])
    return rates(turns, "events/s", f"{events // COPIES:,} acts were granted once each", *notes(whole), *more, cost=cost)


def _patience(pairs: Sequence[tuple[WorkedOff, Load]]) -> Measured:
    turns = tuple((ours.load.percentile_ms(99), P99_MS) for ours, _ in pairs)
    return Measured(together([ours.load for ours, _ in pairs]).percentile_ms(99), P99_MS, "ms, of the limit", turns=turns)


async def ingest_burst(bench: Bench) -> dict[str, Measured]:
    """A million events as fast as they are taken: what both processes have in memory when a part of them is decided."""
    station, count = await bench.station("shop", bench.sizes.shop), bench.sizes.burst_requests
    async with (
        bench.api(station) as api,
        bench.worker(station, api) as worker,
        sendgrid(bench.server, station, api) as provider,
    ):
        sent = provider.requests(count)
        sending = drive(api.port, [saying(sent) for _ in range(CLIENTS)])
        async with asyncio.TaskGroup() as both:
            watching = both.create_task(_watched(provider, count, {"worker": worker, "API": api}))
            working = both.create_task(provider.worked_off(sending))
    done, peaks = working.result(), watching.result()
    told = "; ".join(
        f"{who} " + ", ".join(f"{mb:.0f} MB at {part:.0%}" for part, mb in zip(_PARTS, of, strict=True))
        for who, of in peaks.items()
    )
    note = f"{done.events:,} events, taken in {done.taken_s:.0f} s and decided in {done.load.seconds:.0f} s; peaks: {told}"
    return {
        "ingest_burst": Measured(
            peaks["worker"][-1], peaks["worker"][0], "MB, of that at a tenth", notes=(note, *notes(done.load))
        ),
        "ingest_burst_api": Measured(peaks["API"][-1], peaks["API"][0], "MB, of that at a tenth"),
    }


async def _watched(provider: SendGrid, count: int, processes: dict[str, Process]) -> dict[str, list[float]]:
    """The most that each process had in memory until so much was decided."""
    peaks: dict[str, list[float]] = {who: [] for who in processes}
    for part in _PARTS:
        await provider.decided(part * count)
        for who, process in processes.items():
            peaks[who].append(process.memory_mb("VmHWM"))
    return peaks
