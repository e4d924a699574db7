"""`rewards worker` is killed with -9 while it stores a close, settles it, or keeps layers. Another goes on, and in the end the
books say what they say without a kill.

It is stopped where it is to be killed by a row that somebody else has not committed. What it had asked the database for either
ends with it or comes through when it is dead.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from ledger import Book, Close, CloseState, Ledger, Opening, audit, import_balances, sweep, track_layers
from ledger.chart import Kind
from ledger.engine.closing import ACCOUNTS_STORED
from ledger.engine.grants import post_grants
from ledger.engine.redemptions import post_redemptions
from ledger.layers.tracking import MOVES_AT_ONCE
from ledger.testing import authorize, order, set_clock
from service.closes.close_keeper import CloseKeeper
from service.finance.layers import layer_tracker
from service.storage.database import WORKER_ROLE, create_engine
from tests.api_fixtures import Api, make_brand
from tests.conftest import Database
from tests.real_worker import real_worker, until_waiting

DAY = date(2030, 1, 31)
MIDNIGHT = datetime(2030, 1, 31, 23, tzinfo=UTC)
"""The end of the day in the brands' zone."""
SPENDERS = MOVES_AT_ONCE // 2 + 50
"""Each captures at once, which moves layers twice."""
FEW, MANY = 100 + SPENDERS, ACCOUNTS_STORED + 200
"""Customers of a book: of many, the balances are stored in two pages."""

_LAST_PART_FIRST = """
INSERT INTO ledger.transfer_layer (book_id, seq, layer, amount)
SELECT $1, seq, layer, amount FROM ledger.transfer_layer WHERE book_id = $2 ORDER BY seq DESC, layer DESC LIMIT 1
"""

both_ends = pytest.mark.parametrize(
    "comes_through", [False, True], ids=["the_statement_ends_too", "the_statement_comes_through"]
)


async def post_a_day(owner: asyncpg.Connection[Any], book: Book, customers: int) -> None:
    """Many customers have points, some spend, some let points die, hold them too long or are never approved."""
    await set_clock(owner, book, MIDNIGHT - timedelta(hours=1))
    openings = [Opening(customer, 50) for customer in range(1, customers + 1)]
    await import_balances(owner, book, openings, hashes=[bytes(32)], rows=customers, points=50 * customers)
    dying = [order(book, customer=customer, points=7, unlimited=True, expires_on=DAY) for customer in range(1, 21)]
    due_at = MIDNIGHT - timedelta(minutes=1)
    held_back = [
        order(book, customer=customer, message_id="held", points=9, unlimited=True, held_back=True, due_at=due_at)
        for customer in range(21, 31)
    ]
    await post_grants(owner, [*dying, *held_back])
    spenders = range(101, 101 + SPENDERS)
    await post_redemptions(owner, [authorize(book, customer, 5, capture=True) for customer in spenders])
    await post_redemptions(owner, [authorize(book, customer, 5, hold_s=3540) for customer in range(51, 71)])
    await set_clock(owner, book, MIDNIGHT + timedelta(minutes=5))


class Books:
    """Two brands to whom the same happened: the worker is killed over the book of one, and nobody touches the other's."""

    def __init__(self, api: Api, owner: asyncpg.Connection[Any], pool: asyncpg.Pool[Any], engine: Any, spared: Book) -> None:
        self.api, self.owner, self.pool, self._engine = api, owner, pool, engine
        self.ledger: Ledger = api.services.ledger
        self.hit, self.spared = api.brand.book, spared

    async def live(self, customers: int) -> None:
        """Have the same day in both books."""
        for book in (self.hit, self.spared):
            await post_a_day(self.owner, book, customers)

    async def begin_close(self, book: Book) -> Close:
        """Begin to close the day."""
        await self.ledger.begin_close(book, begins_on=DAY, ends_on=DAY)
        return await self.close(book)

    async def close(self, book: Book) -> Close:
        """The day's close."""
        found = await self.ledger.close(book, DAY)
        assert found is not None
        return found

    async def sweep(self, book: Book) -> None:
        """Post all that is due."""
        while await sweep(self.pool, book):
            pass

    async def keep_closes(self) -> None:
        """Do what a worker does about closes, to the end."""
        while await CloseKeeper(self.pool, self._engine).run_once():
            pass

    async def track_layers(self) -> None:
        """Do what a worker does about layers, to the end."""
        while await layer_tracker.run_once(self.pool, self._engine):
            pass

    async def kept(self, table: str, book: Book) -> list[tuple[Any, ...]]:
        """What a table has of a book."""
        rows = await self.owner.fetch(f"SELECT * FROM ledger.{table} WHERE book_id = $1", book.book_id)
        return sorted([tuple(value for name, value in row.items() if name != "book_id") for row in rows], key=repr)

    @contextlib.asynccontextmanager
    async def killing(self, function: str, *, comes_through: bool) -> AsyncGenerator[None]:
        """Start a worker, and kill it in a call of ``function``, where it waits for the body's lock. That is rolled back."""
        transaction = self.owner.transaction()
        await transaction.start()
        yield
        with real_worker(self.api.settings) as worker:
            waiting = await until_waiting(self.owner, function, worker)
            worker.kill()
            worker.wait()
        for pid in () if comes_through else waiting:
            await self.owner.execute("SELECT pg_terminate_backend($1, 10000)", pid)
        await transaction.rollback()

    async def assert_sound(self) -> None:
        """Audit both books."""
        for book in (self.hit, self.spared):
            assert [finding for finding in await audit(self.owner, book) if finding.violations] == []


@pytest.fixture
async def books(
    api: Api, owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any], database: Database
) -> AsyncGenerator[Books]:
    """Two empty books."""
    spared = (await make_brand(owner, "spared")).book
    engine = create_engine(database.application_url, WORKER_ROLE, size=1)
    yield Books(api, owner, worker_pool, engine, spared)
    await engine.dispose()


@both_ends
async def test_a_worker_is_killed_while_it_stores_a_close(books: Books, comes_through: bool) -> None:
    await books.live(MANY)
    begun = await books.begin_close(books.hit)
    last = await books.owner.fetchval(
        "SELECT max(id) FROM ledger.account WHERE book_id = $1 AND kind = $2", books.hit.book_id, Kind.LOT
    )
    async with books.killing("store_close_v1", comes_through=comes_through):
        await books.owner.execute(
            "INSERT INTO ledger.close_balance VALUES ($1, $2, $3, $4, 1)", books.hit.book_id, DAY, begun.version, last
        )
    left = await books.close(books.hit)
    assert left.state is CloseState.STORING
    assert left.stored_through
    stored = await books.kept("close_balance", books.hit)
    await books.begin_close(books.spared)
    await books.keep_closes()
    hit, spared = await books.close(books.hit), await books.close(books.spared)
    assert hit.state is spared.state is not CloseState.STORING
    assert hit.totals == spared.totals
    whole = await books.kept("close_balance", books.hit)
    assert whole == await books.kept("close_balance", books.spared)
    assert comes_through or 0 < len(stored) < len(whole), "a page was stored, and a page was not"
    await books.assert_sound()


@both_ends
async def test_a_worker_is_killed_while_it_settles_a_close(books: Books, comes_through: bool) -> None:
    await books.live(FEW)
    for book in (books.hit, books.spared):
        await books.begin_close(book)
    await books.keep_closes()
    stored = await books.close(books.hit)
    assert stored.state is CloseState.CLOSED
    await books.sweep(books.hit)
    async with books.killing("settle_close_v1", comes_through=comes_through):
        await books.owner.execute("SELECT FROM ledger.close WHERE book_id = $1 FOR UPDATE", books.hit.book_id)
    if not comes_through:
        assert await books.close(books.hit) == stored
    await books.sweep(books.spared)
    await books.keep_closes()
    hit, spared = await books.close(books.hit), await books.close(books.spared)
    assert hit.state is spared.state is CloseState.SETTLED
    assert (hit.settled_seq, hit.totals) == (spared.settled_seq, stored.totals)
    assert hit.totals == spared.totals
    await books.assert_sound()


@both_ends
async def test_a_worker_is_killed_while_it_keeps_layers(books: Books, comes_through: bool) -> None:
    await books.live(FEW)
    for book in (books.hit, books.spared):
        await books.sweep(book)
    while await track_layers(books.pool, books.spared):
        pass
    undisturbed = {table: await books.kept(table, books.spared) for table in ("transfer_layer", "lot_layers", "layer_reader")}
    async with books.killing("keep_layers_v1", comes_through=comes_through):
        await books.owner.execute(_LAST_PART_FIRST, books.hit.book_id, books.spared.book_id)
    if not comes_through:
        kept = await books.kept("transfer_layer", books.hit)
        assert 0 < len(kept) < len(undisturbed["transfer_layer"]), "the first stretch"
    await books.track_layers()
    assert {table: await books.kept(table, books.hit) for table in undisturbed} == undisturbed
    await books.assert_sound()
