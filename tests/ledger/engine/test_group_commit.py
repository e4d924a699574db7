"""The queue in front of the books: what happens to one item never concerns another, and everybody is answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

import asyncpg
import msgspec
import pytest

from ledger import (
    Book,
    ClockSkew,
    DataRefused,
    GrantOrder,
    GrantOutcome,
    GrantResult,
    Ledger,
    LedgerError,
    LedgerUnavailable,
    Overloaded,
)
from ledger.engine import group_commit as group_commit_module
from ledger.engine.grants import post_grants
from ledger.engine.group_commit import HALVED_FROM, LET_PASS_MAX, GroupCommit
from ledger.testing import authorize, fund, order
from service.storage.database import APPLICATION_ROLE, create_pool
from tests.conftest import Database
from tests.ledger.conftest import make_book, spendable, written


def orders_of(book: Book, count: int, *, first: int = 0) -> list[GrantOrder]:
    """Grants of one point each for as many events."""
    return [
        order(book, message_id=f"message-{n}", customer=n % 20, points=1, unlimited=True) for n in range(first, first + count)
    ]


def granted(answers: Sequence[GrantResult | LedgerError]) -> int:
    """How many of these answers say that points were paid, now or before."""
    return sum(isinstance(answer, GrantResult) and answer.outcome is GrantOutcome.GRANTED for answer in answers)


# ---- An item that the database refuses

WRONG = [
    pytest.param({"message_id": "a\x00b"}, id="a NUL in a text"),
    pytest.param({"message_id": "a\ud800b"}, id="half a character in a text"),
    pytest.param({"points": 0}, id="no points"),
    pytest.param({"points": -5}, id="less than no points"),
    pytest.param({"points": 2**63}, id="more points than there are numbers"),
    pytest.param({"campaign_no": 2**31}, id="a campaign beyond its column"),
    pytest.param({"customer": 2**63}, id="a customer beyond its column"),
    pytest.param({"customer": -1}, id="a customer before the first"),
    pytest.param({"key": b"short"}, id="a key that is none"),
]


def wrong_order(book: Book, wrong: dict[str, Any]) -> GrantOrder:
    """A grant that no database could take."""
    sound = order(book, message_id="wrong", customer=999, unlimited=True)
    return sound.on(**wrong) if set(wrong) <= {"points", "campaign_no"} else msgspec.structs.replace(sound, **wrong)


@pytest.mark.parametrize("wrong", WRONG)
async def test_an_item_that_the_database_refuses_is_refused_alone_and_the_other_999_are_posted(
    ledger: Ledger, book: Book, wrong: dict[str, Any]
) -> None:
    orders = orders_of(book, 999)
    orders.insert(619, wrong_order(book, wrong))
    answers = await ledger.grant_batch(orders)
    assert isinstance(answers.pop(619), DataRefused)
    assert granted(answers) == 999
    assert not any(isinstance(answer, GrantResult) and answer.replayed for answer in answers)
    assert (await ledger.head(book)).seq == 999


async def test_several_wrong_items_of_several_callers_are_each_refused_alone(ledger: Ledger, book: Book) -> None:
    wrong = wrong_order(book, {"points": 0})
    mixed, sound, *single = await asyncio.gather(
        ledger.grant_batch([wrong, *orders_of(book, 50), wrong]),
        ledger.grant_batch(orders_of(book, 50, first=50)),
        ledger.grant(wrong),
        ledger.grant(orders_of(book, 1, first=100)[0]),
        return_exceptions=True,
    )
    assert not isinstance(mixed, BaseException)
    assert not isinstance(sound, BaseException)
    assert [type(answer) for answer in (mixed[0], mixed[-1])] == [DataRefused] * 2
    assert (granted(mixed), granted(sound)) == (50, 50)
    assert isinstance(single[0], DataRefused)
    assert isinstance(single[1], GrantResult)
    assert (await ledger.head(book)).seq == 101


async def test_nothing_asked_is_nothing_answered(ledger: Ledger) -> None:
    assert await ledger.grant_batch([]) == []


async def test_clocks_that_differ_post_nothing(ledger: Ledger, owner: asyncpg.Connection[Any]) -> None:
    book = await make_book(owner)
    await owner.execute("UPDATE ledger.head SET posted_at = posted_at + interval '10 minutes'")
    answers = await ledger.grant_batch(orders_of(book, 3))
    assert [type(answer) for answer in answers] == [ClockSkew] * 3
    with pytest.raises(ClockSkew):
        await ledger.redeem(authorize(book, 1, 1))
    with pytest.raises(ClockSkew):
        await ledger.fund(fund(book, 1))
    assert (await ledger.head(book)).seq == 0


# ---- The connection


async def end_connections(owner: asyncpg.Connection[Any]) -> int:
    """End every connection of the application to this database, whatever it is doing; return how many there were."""
    return await owner.fetchval(
        """
        SELECT count(pg_terminate_backend(activity.pid)) FROM pg_stat_activity AS activity
        WHERE activity.datname = current_database() AND activity.application_name = 'rewards_application'
        """
    )


async def test_when_connections_are_ended_while_batches_run_all_are_answered_and_each_event_is_paid_once(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book
) -> None:
    posting = [asyncio.create_task(ledger.grant_batch(orders_of(book, 200, first=200 * n))) for n in range(10)]
    ended = 0
    while not all(task.done() for task in posting):
        ended += await end_connections(owner) > 0 if ended < 2 else 0
        await asyncio.wait(posting, timeout=0.01)
    answers = [answer for task in posting for answer in await task]
    assert ended >= 1
    assert granted(answers) == 2000
    assert (await ledger.head(book)).seq == 2000
    assert await owner.fetchval("SELECT count(*) FROM ledger.event") == 2000


async def test_a_connection_that_was_lost_while_nothing_waited_is_replaced(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book
) -> None:
    await ledger.fund(fund(book, 100))
    await ledger.grant(order(book))
    await ledger.redeem(authorize(book, 7, 1))
    await end_connections(owner)
    assert (await ledger.grant(order(book, message_id="after"))).outcome is GrantOutcome.GRANTED
    assert (await ledger.redeem(authorize(book, 7, 1))).redemption is not None
    assert (await ledger.fund(fund(book, 1))).budget == 91


@pytest.mark.own_database("lets nobody in")
async def test_when_the_database_stays_away_callers_are_told_and_the_queue_lives_on(
    database: Database, ledger: Ledger, owner: asyncpg.Connection[Any], book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit_module, "RETRY_DELAYS_S", (0.0, 0.01))
    await ledger.grant(order(book, unlimited=True))
    await owner.execute(f"ALTER DATABASE {database.name} CONNECTION LIMIT 0")
    await end_connections(owner)
    answers = await ledger.grant_batch(orders_of(book, 5))
    assert [type(answer) for answer in answers] == [LedgerUnavailable] * 5
    with pytest.raises(LedgerUnavailable):
        await ledger.redeem(authorize(book, 7, 1))
    await owner.execute(f"ALTER DATABASE {database.name} CONNECTION LIMIT -1")
    assert granted(await ledger.grant_batch(orders_of(book, 5))) == 5


# ---- The queue itself, with a posting that waits for the test


class Gate:
    """Posts batches one at a time, each when the test says so, and remembers them."""

    def __init__(self) -> None:
        self.batches: list[list[GrantOrder]] = []
        self._reached = asyncio.Condition()
        self._permits = asyncio.Semaphore(0)
        self.on_reached: Callable[[], None] = lambda: None

    async def post(self, connection: asyncpg.Connection[Any], orders: Sequence[GrantOrder]) -> list[GrantResult]:
        """Wait for the test, then post."""
        async with self._reached:
            self.batches.append(list(orders))
            self.on_reached()
            self._reached.notify_all()
        await self._permits.acquire()
        return await post_grants(connection, orders)

    def open(self, batches: int = 1_000) -> None:
        """Let this many batches pass."""
        for _ in range(batches):
            self._permits.release()

    async def reached(self, batches: int) -> None:
        """Return when so many batches have come to the gate."""
        async with self._reached:
            await self._reached.wait_for(lambda: len(self.batches) >= batches)


@pytest.fixture
def gate() -> Gate:
    """A gate that is shut."""
    return Gate()


class Queues:
    """Makes queues and drains them in the end."""

    def __init__(self, pool: asyncpg.Pool[Any], gate: Gate) -> None:
        self.pool, self.gate = pool, gate
        self.made: list[GroupCommit[GrantOrder, GrantResult]] = []

    def __call__(self, **bounds: Any) -> GroupCommit[GrantOrder, GrantResult]:
        """A started queue in front of the gate."""
        queue: GroupCommit[GrantOrder, GrantResult] = GroupCommit(self.pool, self.gate.post, **bounds)
        queue.start()
        self.made.append(queue)
        return queue


@pytest.fixture
async def queues(application_pool: asyncpg.Pool[Any], gate: Gate) -> AsyncGenerator[Queues]:
    """Makes queues in front of the gate."""
    queues = Queues(application_pool, gate)
    yield queues
    gate.open()
    for queue in queues.made:
        await queue.close()


async def settled(*tasks: asyncio.Task[Any]) -> None:
    """Let everything that can run do so."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("arriving", "sizes"),
    [
        pytest.param(HALVED_FROM - 1, [1, HALVED_FROM - 1], id="few are one batch"),
        pytest.param(HALVED_FROM + 3, [1, HALVED_FROM, 3], id="more than that are two"),
        pytest.param(63, [1, 32, 31], id="many are halved"),
    ],
)
async def test_half_of_what_is_under_way_is_the_next_batch(
    queues: Queues, gate: Gate, book: Book, arriving: int, sizes: list[int]
) -> None:
    queue = queues()
    first = asyncio.create_task(queue.submit(orders_of(book, 1)))
    await gate.reached(1)
    others = [asyncio.create_task(queue.submit(orders_of(book, 1, first=n))) for n in range(1, arriving + 1)]
    await settled()
    assert queue.waiting == arriving
    gate.open()
    await asyncio.gather(first, *others)
    assert [len(batch) for batch in gate.batches] == sizes


async def test_callers_who_ask_again_and_again_take_turns_by_halves(queues: Queues, gate: Gate, book: Book) -> None:
    queue = queues()
    gate.open()

    async def caller(number: int) -> None:
        for turn in range(6):
            await queue.submit(orders_of(book, 1, first=100 * turn + number))

    await asyncio.gather(*(caller(number) for number in range(64)))
    # In the last turn the others may be gone.
    assert [len(batch) for batch in gate.batches][:10] == [32] * 10


async def test_a_batch_is_answered_when_the_next_one_is_at_the_database(queues: Queues, gate: Gate, book: Book) -> None:
    queue = queues(batch_max=1)
    first, second = (asyncio.create_task(queue.submit(orders_of(book, 1, first=n))) for n in range(2))
    await gate.reached(1)
    when_second_came: list[bool] = []
    gate.on_reached = lambda: when_second_came.append(first.done())
    gate.open()
    await asyncio.gather(first, second)
    assert when_second_came == [False]


async def test_the_next_batch_is_prepared_while_one_is_posted(queues: Queues, gate: Gate, book: Book) -> None:
    prepared: list[int] = []

    def prepare(orders: Sequence[GrantOrder]) -> Sequence[GrantOrder]:
        prepared.append(len(orders))
        return orders

    queue = queues(prepare=prepare)
    posting = asyncio.create_task(queue.submit(orders_of(book, 80)))
    await gate.reached(1)
    await settled()
    assert (len(gate.batches), prepared) == (1, [40, 40])
    more = asyncio.create_task(queue.submit(orders_of(book, 80, first=80)))
    gate.open()
    await asyncio.gather(posting, more)
    assert [len(batch) for batch in gate.batches] == prepared[: len(gate.batches)] == [40, 40, 60, 20]


async def test_a_batch_has_at_most_as_many_items_as_it_may(queues: Queues, gate: Gate, book: Book) -> None:
    queue = queues(batch_max=10)
    gate.open()
    assert granted(await queue.submit(orders_of(book, 25))) == 25
    assert [len(batch) for batch in gate.batches] == [10, 10, 5]


async def test_books_take_turns_so_that_a_large_campaign_does_not_keep_another_brand_waiting(
    queues: Queues, gate: Gate, owner: asyncpg.Connection[Any], book: Book
) -> None:
    small = await make_book(owner, brand_id=2)
    queue = queues(batch_max=20, share_max=5)
    large_campaign = asyncio.create_task(queue.submit(orders_of(book, 100)))
    await gate.reached(1)
    one = asyncio.create_task(queue.submit(orders_of(small, 7)))
    await settled()
    gate.open(3)
    await one
    shares = [[sum(item.book == each for item in batch) for each in (book, small)] for batch in gate.batches[:3]]
    assert shares == [[20, 0], [5, 5], [5, 2]]
    gate.open()
    assert granted(await large_campaign) == 100
    of_book = [item for batch in gate.batches for item in batch if item.book == book]
    assert of_book == orders_of(book, 100)


async def test_what_is_committed_book_by_book_is_also_taken_book_by_book(
    queues: Queues, gate: Gate, owner: asyncpg.Connection[Any], book: Book
) -> None:
    other = await make_book(owner, brand_id=2)
    queue = queues(batch_max=10, one_book=True)
    gate.open()
    await queue.submit([each for pair in zip(orders_of(book, 12), orders_of(other, 12), strict=True) for each in pair])
    assert [{item.book for item in batch} for batch in gate.batches] == [{book}, {other}, {book}, {other}]


async def test_more_than_the_bound_is_refused_at_once_and_nothing_of_it_is_recorded(
    queues: Queues, gate: Gate, owner: asyncpg.Connection[Any], book: Book
) -> None:
    queue = queues(batch_max=5, items_max=10)
    taken = asyncio.create_task(queue.submit(orders_of(book, 5)))
    await gate.reached(1)
    waiting = asyncio.create_task(queue.submit(orders_of(book, 8, first=5)))
    await settled()
    with pytest.raises(Overloaded) as refused:
        await queue.submit(orders_of(book, 3, first=100))
    assert refused.value.retry_after_s >= 1
    assert not queue.is_full
    fits = asyncio.create_task(queue.submit(orders_of(book, 2, first=13)))
    await settled()
    assert queue.is_full
    gate.open()
    for posted in (taken, waiting, fits):
        await posted
    assert await owner.fetchval("SELECT count(*) FROM ledger.event") == 15
    assert queue.waiting == 0
    assert not queue.is_full


async def test_an_expected_wait_beyond_the_bound_is_refused_at_once(queues: Queues, gate: Gate, book: Book) -> None:
    queue = queues(batch_max=100, wait_max_s=0.05)
    # A queue that has posted nothing yet expects to post 5,000 a second.
    waiting = [asyncio.create_task(queue.submit(orders_of(book, 200, first=200 * n))) for n in range(2)]
    await gate.reached(1)
    with pytest.raises(Overloaded):
        await queue.submit(orders_of(book, 1, first=1000))
    assert queue.is_full
    gate.open()
    await asyncio.gather(*waiting)
    assert granted(await queue.submit(orders_of(book, 1, first=1000))) == 1


async def test_batches_are_short_while_the_queue_they_give_way_to_is_in_use(
    queues: Queues, gate: Gate, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit_module, "IN_USE_S", 3600.0)
    gate.open()
    first = queues()
    queue = queues(gives_way_to=first, short_max=2)
    await queue.submit(orders_of(book, 5))
    await first.submit(orders_of(book, 1, first=5))
    await queue.submit(orders_of(book, 5, first=6))
    assert [len(batch) for batch in gate.batches] == [5, 1, 2, 2, 1]
    monkeypatch.setattr(group_commit_module, "IN_USE_S", 0.0)
    await queue.submit(orders_of(book, 5, first=11))
    assert len(gate.batches[-1]) == 5


async def come(gate: Gate, batches: int) -> None:
    """Wait until so many batches have come to the gate, and let whoever would come as well."""
    await gate.reached(batches)
    await settled()


async def test_what_the_other_queue_has_in_flight_goes_before_the_next_batch(queues: Queues, gate: Gate, book: Book) -> None:
    tills = queues()
    campaign = queues(gives_way_to=tills, short_max=2)
    first = asyncio.create_task(tills.submit(orders_of(book, 1)))
    await come(gate, 1)
    reported = asyncio.create_task(campaign.submit(orders_of(book, 2, first=10)))
    second = asyncio.create_task(tills.submit(orders_of(book, 1, first=1)))
    await settled()
    assert len(gate.batches) == 1
    gate.open(1)
    await first
    await come(gate, 2)
    assert gate.batches[1:] == [orders_of(book, 1, first=1)]
    gate.open(1)
    await second
    await come(gate, 3)
    assert gate.batches[2:] == [orders_of(book, 2, first=10)]
    gate.open(1)
    await reported


async def test_a_batch_gets_its_turn_although_the_other_queue_is_never_empty(queues: Queues, gate: Gate, book: Book) -> None:
    tills = queues(batch_max=1)
    campaign = queues(gives_way_to=tills, short_max=2)
    redeemed = asyncio.create_task(tills.submit(orders_of(book, 10)))
    await come(gate, 1)
    reported = asyncio.create_task(campaign.submit(orders_of(book, 2, first=10)))
    await settled()
    gate.open(LET_PASS_MAX)
    await come(gate, LET_PASS_MAX + 2)
    assert orders_of(book, 2, first=10) in gate.batches
    gate.open()
    await asyncio.gather(redeemed, reported)


async def test_what_the_other_queue_has_in_flight_for_another_book_delays_nobody(
    queues: Queues, gate: Gate, owner: asyncpg.Connection[Any], book: Book
) -> None:
    other = await make_book(owner, brand_id=2)
    tills = queues()
    campaign = queues(gives_way_to=tills)
    redeemed = asyncio.create_task(tills.submit(orders_of(other, 1)))
    await come(gate, 1)
    reported = asyncio.create_task(campaign.submit(orders_of(book, 2)))
    await come(gate, 2)
    gate.open()
    await asyncio.gather(redeemed, reported)


async def test_a_caller_who_goes_away_changes_nothing(
    queues: Queues, gate: Gate, owner: asyncpg.Connection[Any], book: Book
) -> None:
    queue = queues(batch_max=3)
    in_flight = asyncio.create_task(queue.submit(orders_of(book, 2)))
    await gate.reached(1)
    waiting = asyncio.create_task(queue.submit(orders_of(book, 2, first=2)))
    neighbour = asyncio.create_task(queue.submit(orders_of(book, 2, first=4)))
    await settled()
    for caller in (in_flight, waiting):
        caller.cancel()
    gate.open()
    assert granted(await neighbour) == 2
    assert in_flight.cancelled()
    assert waiting.cancelled()
    assert await owner.fetchval("SELECT count(*) FROM ledger.event") == 6


async def test_closing_posts_what_waits_and_takes_nothing_more(
    application_pool: asyncpg.Pool[Any], gate: Gate, owner: asyncpg.Connection[Any], book: Book
) -> None:
    queue: GroupCommit[GrantOrder, GrantResult] = GroupCommit(application_pool, gate.post, batch_max=10)
    queue.start()
    waiting = asyncio.create_task(queue.submit(orders_of(book, 35)))
    await gate.reached(1)
    closing = asyncio.create_task(queue.close())
    await settled()
    with pytest.raises(LedgerUnavailable):
        await queue.submit(orders_of(book, 1, first=100))
    gate.open()
    assert granted(await waiting) == 35
    await closing
    assert await owner.fetchval("SELECT count(*) FROM ledger.event") == 35


async def test_a_posting_that_breaks_answers_its_callers_and_the_queue_lives_on(
    application_pool: asyncpg.Pool[Any], book: Book, caplog: pytest.LogCaptureFixture
) -> None:
    broken = True

    async def post(connection: asyncpg.Connection[Any], orders: Sequence[GrantOrder]) -> list[GrantResult]:
        if broken:
            raise ZeroDivisionError
        return await post_grants(connection, orders)

    queue: GroupCommit[GrantOrder, GrantResult] = GroupCommit(application_pool, post)
    queue.start()
    assert [type(answer) for answer in await queue.submit(orders_of(book, 2))] == [LedgerUnavailable] * 2
    assert "posting failed" in caplog.text
    broken = False
    assert granted(await queue.submit(orders_of(book, 2))) == 2
    await queue.close()


async def test_a_ledger_that_is_closed_gives_its_connections_back(database: Database, book: Book) -> None:
    pool = await create_pool(database.application_url, APPLICATION_ROLE, size=3)
    async with Ledger(pool) as ledger:
        await ledger.fund(fund(book, 100))
        await ledger.grant(order(book))
        await ledger.redeem(authorize(book, 7, 1))
    await asyncio.wait_for(pool.close(), timeout=5)
    with pytest.raises(LedgerUnavailable):
        await ledger.grant(order(book))


async def test_waiting_items_are_counted_by_queue(ledger: Ledger, owner: asyncpg.Connection[Any], book: Book) -> None:
    async with owner.transaction():
        await owner.execute("SELECT FROM ledger.head FOR UPDATE")
        posting = [asyncio.create_task(ledger.grant(each)) for each in orders_of(book, 5)]
        async with asyncio.timeout(5):
            while not await a_posting_waits_for_a_lock(owner):
                pass
        posting += [asyncio.create_task(ledger.grant(each)) for each in orders_of(book, 3, first=5)]
        await settled()
        assert ledger.waiting == {"grants": 3, "redemptions": 0, "funds": 0, "merges": 0}
    assert granted(await asyncio.gather(*posting)) == 8
    assert await spendable(ledger, book, 0) == 1
    assert (await written(owner))[0] == 8


async def a_posting_waits_for_a_lock(owner: asyncpg.Connection[Any]) -> bool:
    """Whether somebody waits for the head that this connection has locked."""
    return await owner.fetchval(
        "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))"
    )
