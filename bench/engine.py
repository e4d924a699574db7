"""The posting engine against ``COPY`` of the same rows into the same tables, turn by turn on the same server.

Ours: the ledger's queue of grants with everything on, on one connection, two callers taking turns so that a batch waits
whenever one is posted: event keys, a duplicate in ten inside its batch, a cap, a budget, customers with twelve lots each, and
every answer with the balance. The reference: the rows which that left in the log and in the events, written by ``COPY``, and
one upsert for each table of sums (lots, customers, uses of caps), one transaction a batch. Both commit to disk. The reference
can leave out customers and caps, which a ledger without balances in its answers and without caps would not write.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import itertools
import random
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from bench.load import processor_ms
from bench.results import Cost, Measured, Turn, rates
from bench.server import Server
from ledger import (
    Book,
    CapUse,
    Fund,
    Grade,
    GrantOrder,
    GrantOutcome,
    GrantResult,
    GrantTerms,
    Ledger,
    event_key,
    month_end,
    open_book,
)
from ledger.engine import grants as posting
from ledger.engine.arrays import register_codecs
from ledger.engine.group_commit import GroupCommit

if TYPE_CHECKING:
    from bench.stage import Bench

LOTS = 12
CAMPAIGN = 1
DUPLICATES = 0.1
BRANDS = 1_000

# A lot a customer for each of some months, written month by month as time would have written them.
_LOTS = """
INSERT INTO ledger.account (book_id, id, kind, expires_on, credits)
SELECT book, ledger.account_id_v1(ledger.account_owner_v1(1, customer), 16, month.last_day), 1, month.last_day, 10
FROM (
    SELECT n, ($3::date + make_interval(months => n + 1))::date - 1 AS last_day FROM unnest($4::integer[]) AS n
) AS month, unnest($1::integer[]) AS book, generate_series(1, $2::bigint) AS customer
ORDER BY month.n, book, customer
"""
_STATES = """
INSERT INTO ledger.customer_state (book_id, customer, points, lot_until)
SELECT book, customer, 10 * $3, (SELECT min(expires_on) FROM ledger.account WHERE kind = 1)
FROM unnest($1::integer[]) AS book, generate_series(1, $2::bigint) AS customer
"""
_UPSERT = """
INSERT INTO ledger.account AS account (book_id, id, kind, expires_on, credits)
SELECT $1, lot.id, 1, ledger.account_expires_on_v1(lot.id), lot.points
FROM unnest($2::bytea[], $3::bigint[]) AS lot (id, points)
ON CONFLICT (book_id, id) DO UPDATE SET credits = account.credits + excluded.credits
"""
_SUMS_UPSERT = """
INSERT INTO ledger.customer_state AS state (book_id, customer, points)
SELECT $1, wallet.customer, wallet.points FROM unnest($2::bigint[], $3::bigint[]) AS wallet (customer, points)
ON CONFLICT (book_id, customer) DO UPDATE SET points = state.points + excluded.points
"""
_USES_UPSERT = """
INSERT INTO ledger.cap_use AS used (book_id, campaign_no, period, customer, cap, grants, points)
SELECT $1, $2, $3, use.customer, 0, use.grants, use.points
FROM unnest($4::bigint[], $5::bigint[], $6::bigint[]) AS use (customer, grants, points)
ON CONFLICT (book_id, campaign_no, period, customer, cap)
    DO UPDATE SET grants = used.grants + excluded.grants, points = used.points + excluded.points
"""


class Prepared:
    """Books full of customers in a database of their own, and a connection to it in each of two roles."""

    def __init__(self, books: Sequence[Book], owner: asyncpg.Connection[Any], application: asyncpg.Pool[Any]) -> None:
        self.books = books
        self.owner = owner
        self.application = application

    @property
    def book(self) -> Book:
        """The book, where there is one."""
        (book,) = self.books
        return book

    async def close(self) -> None:
        """Disconnect."""
        await self.owner.close()
        await self.application.close()


async def prepare(
    server: Server, name: str, *, books: int = 1, customers: int, months: Sequence[int] = range(1, LOTS + 1)
) -> Prepared:
    """A migrated database with books of brands 1, 2, 3 ..., each a funded campaign and ``customers``.

    Each customer has a lot for each of ``months``, which count from this one.
    """
    url = await server.database(name)
    owner = await asyncpg.connect(url)
    async with owner.transaction():
        opened = [
            await open_book(owner, brand_id=brand_id, unit="PTS", time_zone="Europe/Berlin", issue_limit=10**15)
            for brand_id in range(1, books + 1)
        ]
    async with _application(url) as pool, Ledger(pool) as ledger:
        for book in opened:
            await ledger.fund(Fund(book, CAMPAIGN, 10**12, "bench", b"\0" * 32))
    if customers:
        today = date.today()  # noqa: DTZ011  any day will do
        numbers = [book.book_id for book in opened]
        await owner.execute(_LOTS, numbers, customers, today.replace(day=1), months)
        await owner.execute(_STATES, numbers, customers, len(months))
    await owner.execute("VACUUM ANALYZE")
    await owner.execute("CHECKPOINT")
    return Prepared(opened, owner, await _application(url))


async def prepared(url: str, book: Book) -> Prepared:
    """A book that is there already."""
    return Prepared([book], await asyncpg.connect(url), await _application(url))


def _application(url: str) -> Any:
    return asyncpg.create_pool(url, min_size=1, max_size=1, server_settings={"role": "rewards_application"})


def batches(
    book: Book,
    size: int,
    *,
    seed: int,
    customers: int,
    campaign_no: int = CAMPAIGN,
    months: Sequence[int] = range(1, LOTS + 1),
) -> Iterator[list[GrantOrder]]:
    """Batches of ``size`` grants, one in ten a duplicate inside its batch, message ids of 36 characters.

    What is granted expires at the end of any of ``months`` from now.
    """
    source = random.Random(seed)
    order = _orders(source, customers, campaign_no, months)
    while True:
        originals = [order(book) for _ in range(size - round(size * DUPLICATES))]
        batch = originals + [source.choice(originals) for _ in range(size - len(originals))]
        source.shuffle(batch)
        yield batch


def one_by_one(books: Sequence[Book], count: int, *, seed: int, customers: int) -> list[list[GrantOrder]]:
    """So many grants for each book."""
    order = _orders(random.Random(seed), customers, CAMPAIGN, range(1, LOTS + 1))
    return [[order(book) for _ in range(count)] for book in books]


def _orders(source: random.Random, customers: int, campaign_no: int, months: Sequence[int]) -> Callable[[Book], GrantOrder]:
    today = date.today()  # noqa: DTZ011
    last_days = [month_end(today, each) for each in months]
    caps = (CapUse(0, today, max_grants=50),)

    @functools.cache
    def terms(book: Book, expires_on: date) -> GrantTerms:
        return GrantTerms(book, campaign_no, 5, Grade.B, "click", "email", "api", 1, 1, 0, expires_on, caps=caps)

    def order(book: Book) -> GrantOrder:
        message_id = str(uuid.UUID(int=source.getrandbits(128)))
        customer = source.randrange(1, customers + 1)
        now = datetime.now(UTC)
        return GrantOrder(
            terms=terms(book, source.choice(last_days)),
            key=event_key(campaign_no=campaign_no, message_id=message_id, customer=customer, action="click"),
            customer=customer,
            message_id=message_id,
            window_at=now,
            occurred_at=now,
        )

    return order


class Copied(msgspec.Struct, frozen=True):
    """What one batch of ours left behind: rows of two tables, and what it added to the sums of three."""

    events: list[tuple[Any, ...]]
    transfers: list[tuple[Any, ...]]
    lots: Counter[bytes]
    customers: Counter[int]
    grants: Counter[int]

    @classmethod
    def of(cls, events: Sequence[Any], transfers: Sequence[Any]) -> Copied:
        lots: Counter[bytes] = Counter()
        customers: Counter[int] = Counter()
        for transfer in transfers:
            lots[transfer["credit"]] += transfer["amount"]
            customers[transfer["customer"]] += transfer["amount"]
        grants = Counter(transfer["customer"] for transfer in transfers)
        return cls([tuple(row) for row in events], [tuple(row) for row in transfers], lots, customers, grants)


async def copy_batch(connection: asyncpg.Connection[Any], book: Book, copied: Copied, *, all_sums: bool) -> None:
    """The reference: the same rows by ``COPY``, the same sums by upserts, one commit."""
    async with connection.transaction():
        await connection.copy_records_to_table("event", schema_name="ledger", records=copied.events)
        await connection.copy_records_to_table("transfer", schema_name="ledger", records=copied.transfers)
        await connection.execute(_UPSERT, book.book_id, list(copied.lots), list(copied.lots.values()))
        if all_sums:
            customers, points = list(copied.customers), list(copied.customers.values())
            await connection.execute(_SUMS_UPSERT, book.book_id, customers, points)
            grants = [copied.grants[customer] for customer in customers]
            today = date.today()  # noqa: DTZ011
            await connection.execute(_USES_UPSERT, book.book_id, CAMPAIGN, today, customers, grants, points)


class Posting:
    """The ledger's queue of grants on one connection to prepared books; two callers take turns, so that a batch waits."""

    def __init__(self, books: Prepared, *, size: int) -> None:
        self._queue: GroupCommit[GrantOrder, GrantResult] = GroupCommit(
            books.application,
            posting.post_prepared,
            prepare=posting.prepare,
            on_connect=register_codecs,
            batch_max=size,
            wait_max_s=60.0,
        )
        self._queue.start()
        self.granted = 0
        """Without duplicates."""

    async def turn(self, work: Iterable[list[GrantOrder]]) -> float:
        """Post batches and return the seconds that took; every item must be granted, or its duplicate be.

        ``work`` is drawn from when a caller has been answered, while the database is busy with the other's batch.
        """
        waiting = iter(work)

        async def call() -> None:
            for batch in waiting:
                for answer in await self._queue.submit(batch):
                    assert isinstance(answer, GrantResult)
                    assert answer.outcome is GrantOutcome.GRANTED
                    self.granted += not answer.replayed

        started = time.perf_counter()
        await asyncio.gather(call(), call())
        return time.perf_counter() - started

    async def one_at_a_time(self, work: list[list[GrantOrder]]) -> tuple[int, float]:
        """Each of ``work`` by a caller of its own, one grant a call; all callers at once."""

        async def call(orders: list[GrantOrder]) -> None:
            for order in orders:
                (answer,) = await self._queue.submit([order])
                assert isinstance(answer, GrantResult)
                assert answer.outcome is GrantOutcome.GRANTED

        settle()
        started = time.perf_counter()
        await asyncio.gather(*(call(orders) for orders in work))
        return sum(len(orders) for orders in work), time.perf_counter() - started

    async def timed(self, work: list[list[GrantOrder]]) -> tuple[int, float]:
        """The same for work that is ready: how much was granted, and in how many seconds."""
        settle()
        before = self.granted
        seconds = await self.turn(work)
        return self.granted - before, seconds

    async def close(self) -> None:
        """Post what waits."""
        await self._queue.close()


def settle() -> None:
    """Keep the garbage collector from walking, in the time that is measured, what the benchmark itself has made."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


async def engine(bench: Bench, *, size: int, turn: int, all_sums: bool) -> Measured:
    """Grants a second by the engine and rows a second by the reference, in turns of ``turn`` batches.

    What was a duplicate counts for neither side. The first turn of each warms up and is not counted.
    """
    customers = bench.sizes.engine_customers
    ours = await prepare(bench.server, "bench_ours", customers=customers)
    theirs = await prepare(bench.server, "bench_theirs", customers=customers)
    queue = Posting(ours, size=size)
    source = batches(ours.book, size, seed=1, customers=customers)
    taken: list[Turn] = []
    processors: Counter[str] = Counter()
    last = 1  # the funding
    for number in range(bench.sizes.engine_turns + 1):
        work = list(itertools.islice(source, turn))
        before = processor_ms()
        granted, ours_s = await queue.timed(work)
        processors += processor_ms() - before if number else Counter()

        transfers = await ours.owner.fetch("SELECT * FROM ledger.transfer WHERE seq > $1 ORDER BY seq", last)
        events = await ours.owner.fetch("SELECT * FROM ledger.event WHERE seq > $1 ORDER BY seq", last)
        last = transfers[-1]["seq"]
        each = len(transfers) // turn
        copies = [Copied.of(events[at : at + each], transfers[at : at + each]) for at in range(0, len(transfers), each)]
        settle()
        started = time.perf_counter()
        for copied in copies:
            await copy_batch(theirs.owner, theirs.book, copied, all_sums=all_sums)
        theirs_s = time.perf_counter() - started
        if number:
            taken.append(Turn(granted, ours_s, len(transfers), theirs_s))
    await queue.close()
    await ours.close()
    await theirs.close()
    grants = sum(turn.ours for turn in taken)
    return rates(taken, "grants/s", cost=Cost.of(grants, code_ms=processors["client"], postgres_ms=processors["PostgreSQL"]))


async def engine_batch(bench: Bench) -> dict[str, Measured]:
    """Posting 1,000 a batch on one connection, everything on, against COPY of the same rows and upserts of the same sums."""
    return {"engine_batch": await engine(bench, size=1_000, turn=10, all_sums=True)}


async def engine_batch_log(bench: Bench) -> dict[str, Measured]:
    """The same against a reference that writes neither the customers' sums nor the uses of caps."""
    return {"engine_batch_log": await engine(bench, size=1_000, turn=10, all_sums=False)}


async def engine_small(bench: Bench) -> dict[str, Measured]:
    """The same with 64 a batch."""
    return {"engine_small": await engine(bench, size=64, turn=100, all_sums=True)}


async def engine_brands(bench: Bench) -> dict[str, Measured]:
    """A thousand brands, each with a caller of its own and one grant a call, against 64 of one brand a batch."""
    customers = 20 if bench.quick else 100
    ours = await prepare(bench.server, "bench_brands", books=BRANDS, customers=customers)
    one = await prepare(bench.server, "bench_ours", customers=bench.sizes.engine_customers)
    many_brands, one_brand = Posting(ours, size=1_000), Posting(one, size=64)
    small = batches(one.book, 64, seed=1, customers=bench.sizes.engine_customers)
    taken: list[Turn] = []
    for number in range(bench.sizes.engine_turns + 1):
        done = await many_brands.one_at_a_time(one_by_one(ours.books, 6, seed=number, customers=customers))
        reference = await one_brand.timed(list(itertools.islice(small, 100)))
        if number:
            taken.append(Turn(*done, *reference))
    for each in (many_brands, one_brand, ours, one):
        await each.close()
    return {"engine_brands": rates(taken, "grants/s")}
