"""Look-ups are made together, and nobody's misfortune is anybody else's."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from service.concurrency.batch_loader import BatchLoader, TooManyWaiting
from service.http.problems import problem_of


class Doubles:
    """A look-up of the doubles of numbers below 100, under way until it is let go."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.go_on = asyncio.Event()

    async def __call__(self, keys: Sequence[int]) -> Mapping[int, int]:
        self.asked.append(list(keys))
        await self.go_on.wait()
        if 13 in keys:
            raise LookupError("thirteen")
        return {key: 2 * key for key in keys if key < 100}


async def turns(count: int = 3) -> None:
    """Let everybody else do what they can."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_what_waits_is_the_next_batch() -> None:
    doubles = Doubles()
    batches = BatchLoader(doubles)
    first = asyncio.create_task(batches.get(1))
    await turns()
    rest = [asyncio.create_task(batches.get(key)) for key in (2, 3, 2, 1, 100)]
    several = asyncio.create_task(batches.get_many([4, 101, 3]))
    await turns()
    assert doubles.asked == [[1]]
    doubles.go_on.set()
    assert await first == 2
    assert await asyncio.gather(*rest) == [4, 6, 4, 2, None]
    assert await several == {4: 8, 3: 6}
    assert doubles.asked == [[1], [2, 3, 1, 100, 4, 101]]
    assert await batches.get_many([]) == {}
    assert await batches.get(5) == 10
    assert len(doubles.asked) == 3


async def test_what_is_asked_in_one_turn_is_asked_together() -> None:
    doubles = Doubles()
    doubles.go_on.set()
    batches = BatchLoader(doubles)
    assert await asyncio.gather(*(batches.get(key) for key in range(10))) == [2 * key for key in range(10)]
    assert doubles.asked == [list(range(10))]


async def test_a_batch_is_bounded_and_no_call_is_split() -> None:
    doubles = Doubles()
    batches = BatchLoader(doubles, batch_max=3)
    calls = [asyncio.create_task(batches.get_many(keys)) for keys in ([0], [1, 2], [3, 4], [5, 6, 7, 8], [9])]
    await turns()
    doubles.go_on.set()
    assert await asyncio.gather(*calls) == [{key: 2 * key for key in keys} for keys in ([0], [1, 2], [3, 4], [5, 6, 7, 8], [9])]
    assert doubles.asked == [[0, 1, 2], [3, 4], [5, 6, 7, 8], [9]]


async def test_too_much_is_refused_at_once_and_only_while_it_is_too_much() -> None:
    doubles = Doubles()
    batches = BatchLoader(doubles, waiting_max=2)
    calls = [asyncio.create_task(batches.get(1))]
    await turns()
    calls += [asyncio.create_task(batches.get(key)) for key in (2, 3)]
    await turns()
    with pytest.raises(TooManyWaiting) as refused:
        await batches.get(4)
    problem = problem_of(refused.value)
    assert (problem.code, problem.headers) == ("overloaded", {"Retry-After": "1"})
    doubles.go_on.set()
    assert await asyncio.gather(*calls) == [2, 4, 6]
    assert await batches.get(4) == 8


async def test_a_failure_is_that_batchs_alone() -> None:
    doubles = Doubles()
    batches = BatchLoader(doubles)
    before = asyncio.create_task(batches.get(1))
    await turns()
    failing = [asyncio.create_task(batches.get(key)) for key in (2, 13)]
    await turns()
    doubles.go_on.set()
    assert await before == 2
    assert [type(error) for error in await asyncio.gather(*failing, return_exceptions=True)] == [LookupError, LookupError]
    assert await batches.get(2) == 4


async def test_a_caller_that_goes_away_harms_nobody() -> None:
    doubles = Doubles()
    batches = BatchLoader(doubles)
    under_way = [asyncio.create_task(batches.get(1)) for _ in range(2)]
    await turns()
    waiting = [asyncio.create_task(batches.get(key)) for key in (2, 3, 3)]
    await turns()
    for leaver in (under_way[0], waiting[0], waiting[1]):
        leaver.cancel()
    doubles.go_on.set()
    assert await under_way[1] == 2
    assert await waiting[2] == 6
    assert doubles.asked == [[1], [3]]


async def test_when_all_have_gone_nothing_is_looked_up() -> None:
    doubles = Doubles()
    batches = BatchLoader(doubles)
    caller = asyncio.create_task(batches.get(1))
    await asyncio.sleep(0)
    caller.cancel()
    await turns()
    assert doubles.asked == []
    doubles.go_on.set()
    assert await batches.get(2) == 4


async def test_a_process_that_stops_leaves_nobody_waiting() -> None:
    batches = BatchLoader(Doubles())
    callers = [asyncio.create_task(batches.get(1))]
    await turns()
    callers.append(asyncio.create_task(batches.get(2)))
    await turns()
    (task,) = [task for task in asyncio.all_tasks() if task.get_name() == "batch loader"]
    task.cancel()
    assert [type(error) for error in await asyncio.gather(*callers, return_exceptions=True)] == [asyncio.CancelledError] * 2
