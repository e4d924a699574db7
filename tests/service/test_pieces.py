"""Long work lets others in, and so much of it is in hand at once."""

from __future__ import annotations

import asyncio

import pytest

from service.pieces import PIECE, Room, in_pieces


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
    assert await in_pieces(work, range(3 * PIECE)) == [2 * item for item in range(3 * PIECE)]
    looking.cancel()
    assert {PIECE, 2 * PIECE} <= set(seen)


async def test_nothing_to_do_is_done() -> None:
    assert await in_pieces(str, []) == []


class Holders:
    """Who holds room, and lets it go when told to."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.inside: list[str] = []
        self.leave: dict[str, asyncio.Event] = {}

    def come(self, name: str, items: int) -> asyncio.Task[None]:
        self.leave[name] = asyncio.Event()
        return asyncio.create_task(self._hold(name, items))

    async def _hold(self, name: str, items: int) -> None:
        async with self.room.of(items):
            self.inside.append(name)
            await self.leave[name].wait()
            self.inside.remove(name)


async def test_who_finds_no_room_waits_in_order() -> None:
    holders = Holders(Room(10))
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
    holders = Holders(Room(10))
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
    room = Room(1)
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
