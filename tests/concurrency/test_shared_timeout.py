"""What takes too long is broken off, and nothing else is."""

from __future__ import annotations

import asyncio

import pytest

from service.concurrency.shared_timeout import SharedTimeout

LONG_S = 30.0
SHORT_S = 0.05


async def wait(patience: SharedTimeout, seconds: float, forever: asyncio.Event) -> str:
    try:
        with patience.within(seconds):
            await forever.wait()
    except TimeoutError:
        return "broken off"
    return "done"


async def test_what_takes_too_long_is_broken_off_one_after_the_other() -> None:
    patience, never = SharedTimeout(), asyncio.Event()
    first = asyncio.create_task(wait(patience, SHORT_S, never))
    await asyncio.sleep(SHORT_S / 2)
    second = asyncio.create_task(wait(patience, 20 * SHORT_S, never))
    assert await first == "broken off"
    assert not second.done()
    assert await second == "broken off"
    assert await wait(patience, SHORT_S, never) == "broken off"


async def test_who_was_in_time_is_left_alone_afterwards() -> None:
    patience, now, never = SharedTimeout(), asyncio.Event(), asyncio.Event()
    now.set()

    async def in_time_and_on() -> str:
        assert await wait(patience, SHORT_S, now) == "done"
        await asyncio.sleep(3 * SHORT_S)
        return "went on"

    outcomes = await asyncio.gather(in_time_and_on(), wait(patience, SHORT_S, never), in_time_and_on())
    assert outcomes == ["went on", "broken off", "went on"]


async def test_what_fails_by_itself_fails_so() -> None:
    with pytest.raises(KeyError), SharedTimeout().within(LONG_S):
        raise KeyError


async def test_who_is_cancelled_by_somebody_else_is_cancelled() -> None:
    task = asyncio.create_task(wait(SharedTimeout(), LONG_S, asyncio.Event()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_who_is_cancelled_in_the_moment_she_is_broken_off_stays_cancelled() -> None:
    wait = SharedTimeout().within(LONG_S)

    async def waits() -> None:
        with wait:
            await asyncio.sleep(LONG_S)

    task = asyncio.create_task(waits())
    await asyncio.sleep(0)
    wait.cancel()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
