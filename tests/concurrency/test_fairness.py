"""Long work lets others in, and so much of it is in hand at once."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import AsyncGenerator
from typing import Any

import asyncpg
import pytest

from service.concurrency import fairness
from service.concurrency.fairness import (
    CHUNK,
    CHUNK_ALONE,
    SMALL_BYTES_MAX,
    YIELDS_MAX,
    WeightedSemaphore,
    count_small_requests,
    in_chunks,
)
from tests.api_fixtures import Api


@pytest.fixture(autouse=True)
def small_requests_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """One has just come, and another is expected."""
    monkeypatch.setattr(fairness, "EXPECTED_S", math.inf)


async def turns(count: int = 3) -> None:
    """Let everybody else do what they can."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_work_is_done_in_order_and_others_have_their_turns_in_between() -> None:
    seen: list[int] = []

    async def look() -> None:
        while True:
            seen.append(len(done))
            await asyncio.sleep(0)

    done: list[int] = []

    def work(item: int) -> int:
        done.append(item)
        return 2 * item

    looking = asyncio.create_task(look())
    await turns()
    assert await in_chunks(work, range(3 * CHUNK)) == [2 * item for item in range(3 * CHUNK)]
    looking.cancel()
    assert {CHUNK, 2 * CHUNK} <= set(seen)


async def test_pieces_are_larger_while_nobody_asks_for_anything_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fairness, "EXPECTED_S", 0.0)
    watch = Watch()
    asked = asyncio.create_task(watch.ask(turns_taken=10_000))
    await turns()
    await in_chunks(watch.work, range(3 * CHUNK))
    assert len(watch.pieces) == len(set(watch.pieces)) == 3
    asked.cancel()
    await turns()
    del watch.pieces[:]
    await in_chunks(watch.work, range(2 * CHUNK_ALONE))
    assert [watch.pieces.count(turn) for turn in dict.fromkeys(watch.pieces)] == [CHUNK_ALONE // CHUNK] * 2
    watch.stop()


async def _nothing(*_: Any) -> Any:
    """Nobody sends, and nobody reads."""


class Watch:
    """Counts the loop's turns, and keeps in which of them a piece was worked on, and what else happened."""

    def __init__(self) -> None:
        self.turn = 0
        self.pieces: list[int] = []
        self.items: list[int] = []
        self.events: list[str] = []
        self._task = asyncio.create_task(self._count())

    async def _count(self) -> None:
        while True:
            await asyncio.sleep(0)
            self.turn += 1

    def stop(self) -> None:
        self._task.cancel()

    def work(self, item: int) -> int:
        if item % CHUNK == 0:
            self.pieces.append(self.turn)
            self.items.append(item)
            self.events.append("piece")
        return item

    async def ask(self, *, turns_taken: int, body_bytes: int = 100) -> None:
        """A request that needs so many turns of the loop."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            self.events.append("asked")
            await turns(turns_taken)
            self.events.append("answered")

        scope: Any = {"type": "http", "headers": [(b"content-length", str(body_bytes).encode())]}
        await count_small_requests(app)(scope, _nothing, _nothing)

    def waits(self) -> list[int]:
        """How many turns passed between one piece and the next."""
        return [after - before for before, after in itertools.pairwise(self.pieces)]

    async def pieces_done(self, count: int) -> None:
        while len(self.pieces) < count:
            await turns(1)


@pytest.fixture
async def watch() -> AsyncGenerator[Watch]:
    """Watches the loop of this test."""
    watch = Watch()
    yield watch
    watch.stop()


async def test_several_batches_have_one_piece_in_a_turn_together_and_take_turns(watch: Watch) -> None:
    batches = [range(4 * CHUNK), range(4 * CHUNK, 8 * CHUNK), range(8 * CHUNK, 10 * CHUNK)]
    assert await asyncio.gather(*[in_chunks(watch.work, batch) for batch in batches]) == [list(batch) for batch in batches]
    assert len(watch.pieces) == len(set(watch.pieces)) == 10
    assert watch.items[:6] == [0, 4 * CHUNK, 8 * CHUNK, CHUNK, 5 * CHUNK, 9 * CHUNK]


async def test_a_small_request_that_comes_is_answered_before_the_pieces_that_are_left(watch: Watch) -> None:
    batches = [asyncio.create_task(in_chunks(watch.work, range(6 * CHUNK))) for _ in range(4)]
    await watch.pieces_done(2)
    await watch.ask(turns_taken=YIELDS_MAX - 2)
    asked, answered = watch.events.index("asked"), watch.events.index("answered")
    # The piece whose turn had come when she came.
    assert answered - asked <= 2
    assert len(watch.events) - answered == 1
    await asyncio.gather(*batches)
    assert len(watch.pieces) == 4 * 6


async def test_a_large_request_is_not_let_through_before_others(watch: Watch) -> None:
    batch = asyncio.create_task(in_chunks(watch.work, range(6 * CHUNK)))
    await watch.pieces_done(1)
    await watch.ask(turns_taken=2 * YIELDS_MAX, body_bytes=SMALL_BYTES_MAX + 1)
    assert watch.events.index("answered") == 7
    await batch


async def test_batches_get_on_while_small_requests_never_end(watch: Watch) -> None:
    asking = asyncio.create_task(watch.ask(turns_taken=10_000))
    await turns()
    assert await in_chunks(watch.work, range(5 * CHUNK)) == list(range(5 * CHUNK))
    assert watch.events == ["asked", *["piece"] * 5]
    assert all(YIELDS_MAX <= each <= YIELDS_MAX + 2 for each in watch.waits())
    asking.cancel()


async def test_what_is_asked_of_the_api_is_let_through_until_it_is_answered(
    watch: Watch, api: Api, owner: asyncpg.Connection[Any]
) -> None:
    async with owner.transaction():
        await owner.execute("LOCK TABLE rewards.identity")
        asking = asyncio.create_task(api.client("storefront").get("/v1/customers/c-1/balance"))
        await turns(20)
        await in_chunks(watch.work, range(5 * CHUNK))
        assert all(each >= YIELDS_MAX for each in watch.waits())
        assert not asking.done()
    assert (await asking).status_code == 200
    await in_chunks(watch.work, range(5 * CHUNK))
    assert all(each < YIELDS_MAX for each in watch.waits()[5:])


async def test_a_batch_that_goes_away_leaves_its_turn_to_the_next(watch: Watch) -> None:
    gone, stays = (asyncio.create_task(in_chunks(watch.work, range(3 * CHUNK))) for _ in range(2))
    await watch.pieces_done(2)
    gone.cancel()
    assert await stays == list(range(3 * CHUNK))
    assert len(watch.pieces) in {4, 5}
    assert await in_chunks(watch.work, range(2 * CHUNK)) == list(range(2 * CHUNK))


async def test_nothing_to_do_is_done() -> None:
    assert await in_chunks(str, []) == []


class Holders:
    """Who holds room, and lets it go when told to."""

    def __init__(self, room: WeightedSemaphore) -> None:
        self.room = room
        self.inside: list[str] = []
        self.leave: dict[str, asyncio.Event] = {}

    def come(self, name: str, items: int) -> asyncio.Task[None]:
        self.leave[name] = asyncio.Event()
        return asyncio.create_task(self._hold(name, items))

    async def _hold(self, name: str, items: int) -> None:
        async with self.room.hold(items):
            self.inside.append(name)
            await self.leave[name].wait()
            self.inside.remove(name)


async def test_who_finds_no_room_waits_in_order() -> None:
    holders = Holders(WeightedSemaphore(10))
    tasks = [holders.come("a", 6), holders.come("b", 6), holders.come("c", 1)]
    await turns()
    assert holders.inside == ["a"]
    holders.leave["a"].set()
    await turns()
    assert holders.inside == ["b", "c"]
    for name in "bc":
        holders.leave[name].set()
    await asyncio.gather(*tasks)


async def test_what_is_larger_than_all_room_has_it_alone() -> None:
    holders = Holders(WeightedSemaphore(10))
    tasks = [holders.come("small", 1), holders.come("large", 50), holders.come("next", 1)]
    await turns()
    assert holders.inside == ["small"]
    holders.leave["small"].set()
    await turns()
    assert holders.inside == ["large"]
    holders.leave["large"].set()
    await turns()
    assert holders.inside == ["next"]
    holders.leave["next"].set()
    await asyncio.gather(*tasks)


@pytest.mark.parametrize("after", [0, 3], ids=["while it waits", "just as it is let in"])
async def test_who_goes_away_takes_no_room(after: int) -> None:
    room = WeightedSemaphore(1)
    holders = Holders(room)
    first, gone = holders.come("first", 1), holders.come("gone", 1)
    await turns()
    if after:
        holders.leave["first"].set()
        await asyncio.sleep(0)
    gone.cancel()
    holders.leave["first"].set()
    await asyncio.gather(first, gone, return_exceptions=True)
    last = holders.come("last", 1)
    await turns()
    assert holders.inside == ["last"]
    holders.leave["last"].set()
    await last
