"""The posting engine against ``COPY`` of the same rows into the same tables, turn by turn on the same server.

Ours: the ledger's queue of grants with everything on, on one connection, two callers taking turns so that a batch waits
whenever one is posted: event keys, a duplicate in ten inside its batch, a cap, a budget, customers with twelve lots each, and
every answer with the balance. The reference: the rows which that left in the log and in the events, written by ``COPY``, and
one upsert for each table of sums (lots, customers, uses of caps), one transaction a batch. Both commit to disk. The reference
can leave out customers and caps, which a ledger without balances in its answers and without caps would not write.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import random
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from typing import Any

import asyncpg
import msgspec

from bench.server import Server
from ledger import (
    Book,
    CapUse,
    EventDetails,
    Fund,
    Grade,
    GrantOrder,
    GrantOutcome,
    GrantResult,
    Ledger,
    event_key,
    month_end,
    open_book,
    posting,
)
from ledger.group_commit import GroupCommit

CUSTOMERS = 100_000
LOTS = 12
CAMPAIGN = 1
DUPLICATES = 0.1

# Twelve lots a customer, written month by month as time would have written them.
_LOTS = """
INSERT INTO ledger.account (book_id, id, kind, expires_on, credits)
SELECT $1, ledger.account_id_v1(ledger.account_owner_v1(1, customer), 16, month.last_day), 1, month.last_day, 10
FROM (
    SELECT n, ($3::date + make_interval(months => n + 1))::date - 1 AS last_day FROM generate_series(1, $4) AS n
) AS month, generate_series(1, $2::bigint) AS customer
ORDER BY month.n, customer
"""
_STATES = """
INSERT INTO ledger.customer_state (book_id, customer, points, lot_until)
SELECT $1, customer, 10 * $3, (SELECT min(expires_on) FROM ledger.account WHERE book_id = $1 AND kind = 1)
FROM generate_series(1, $2::bigint) AS customer
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
    """A book full of customers in a database of its own, and a connection to it in each of two roles."""

    def __init__(self, book: Book, owner: asyncpg.Connection[Any], application: asyncpg.Pool[Any]) -> None:
        self.book = book
        self.owner = owner
        self.application = application

    async def close(self) -> None:
        """Disconnect."""
        await self.owner.close()
        await self.application.close()


async def prepare(server: Server, name: str, *, customers: int = CUSTOMERS) -> Prepared:
    """A migrated database with one book, a funded campaign, and ``customers`` with twelve lots each."""
    url = await server.database(name)
    owner = await asyncpg.connect(url)
    book = await open_book(owner, brand_id=1, unit="PTS", time_zone="Europe/Berlin", issue_limit=10**15)
    async with (
        asyncpg.create_pool(url, min_size=1, max_size=1, server_settings={"role": "rewards_application"}) as pool,
        Ledger(pool) as ledger,
    ):
        await ledger.fund(Fund(book, CAMPAIGN, 10**12, "bench", b"\0" * 32))
    today = date.today()  # noqa: DTZ011  any day will do
    await owner.execute(_LOTS, book.book_id, customers, today.replace(day=1), LOTS)
    await owner.execute(_STATES, book.book_id, customers, LOTS)
    await owner.execute("VACUUM ANALYZE")
    await owner.execute("CHECKPOINT")
    application = await asyncpg.create_pool(url, min_size=1, max_size=1, server_settings={"role": "rewards_application"})
    return Prepared(book, owner, application)


def batches(book: Book, size: int, *, seed: int, customers: int = CUSTOMERS) -> Iterator[list[GrantOrder]]:
    """Batches of ``size`` grants, one in ten a duplicate inside its batch, message ids of 36 characters."""
    source = random.Random(seed)
    today = date.today()  # noqa: DTZ011
    first_months = [month_end(today, months) for months in range(1, LOTS + 1)]

    def order() -> GrantOrder:
        message_id = str(uuid.UUID(int=source.getrandbits(128)))
        customer = source.randrange(1, customers + 1)
        now = datetime.now(UTC)
        return GrantOrder(
            book=book,
            campaign_no=CAMPAIGN,
            key=event_key(campaign_no=CAMPAIGN, message_id=message_id, customer=customer, action="click"),
            customer=customer,
            points=5,
            grade=Grade.B,
            window_at=now,
            occurred_at=now,
            details=EventDetails("click", "email", message_id, "", "api", 1, 1, 0),
            expires_on=source.choice(first_months),
            caps=(CapUse(0, today, max_grants=50),),
        )

    while True:
        originals = [order() for _ in range(size - round(size * DUPLICATES))]
        batch = originals + [source.choice(originals) for _ in range(size - len(originals))]
        source.shuffle(batch)
        yield batch


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


async def _post(queue: GroupCommit[GrantOrder, GrantResult], work: list[list[GrantOrder]]) -> None:
    """Post batches through the queue, two callers taking turns; every item must be granted, or its duplicate be."""
    waiting = iter(work)

    async def call() -> None:
        for batch in waiting:
            for answer in await queue.submit(batch):
                assert isinstance(answer, GrantResult)
                assert answer.outcome is GrantOutcome.GRANTED

    await asyncio.gather(call(), call())


def _settle() -> None:
    """Keep the garbage collector from walking, in the time that is measured, what the benchmark itself has made."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


async def engine(server: Server, *, size: int, turns: int, turn: int, all_sums: bool) -> tuple[float, float]:
    """Grants a second by the engine and rows a second by the reference, in ``turns`` turns of ``turn`` batches.

    What was a duplicate counts for neither side. The first turn of each warms up and is not counted.
    """
    ours = await prepare(server, "bench_ours")
    theirs = await prepare(server, "bench_theirs")
    queue: GroupCommit[GrantOrder, GrantResult] = GroupCommit(
        ours.application, posting.post_prepared, prepare=posting.prepare, batch_max=size
    )
    queue.start()
    source = batches(ours.book, size, seed=1)
    spent = {"ours": 0.0, "theirs": 0.0}
    grants = 0
    last = 1  # the funding
    for number in range(turns + 1):
        work = list(itertools.islice(source, turn))
        _settle()
        started = time.perf_counter()
        await _post(queue, work)
        ours_s = time.perf_counter() - started

        transfers = await ours.owner.fetch("SELECT * FROM ledger.transfer WHERE seq > $1 ORDER BY seq", last)
        events = await ours.owner.fetch("SELECT * FROM ledger.event WHERE seq > $1 ORDER BY seq", last)
        last = transfers[-1]["seq"]
        each = len(transfers) // turn
        copies = [Copied.of(events[at : at + each], transfers[at : at + each]) for at in range(0, len(transfers), each)]
        _settle()
        started = time.perf_counter()
        for copied in copies:
            await copy_batch(theirs.owner, theirs.book, copied, all_sums=all_sums)
        theirs_s = time.perf_counter() - started
        if number:
            grants += len(transfers)
            spent["ours"] += ours_s
            spent["theirs"] += theirs_s
    await queue.close()
    await ours.close()
    await theirs.close()
    return grants / spent["ours"], grants / spent["theirs"]
