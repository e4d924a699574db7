"""The agent that posts what is due, and the loop that runs it."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from typing import Any

import asyncpg
import pytest

from ledger import Verb
from service.finance.due_poster import DuePoster
from service.worker import Agent, keep_running
from tests.finance.conftest import Till


async def _advance(owner: asyncpg.Connection[Any], interval: str) -> None:
    """Move the clocks of all books forward."""
    await owner.execute(f"UPDATE ledger.head SET clock_offset = clock_offset + interval '{interval}'")


async def _verbs(till: Till) -> list[Verb]:
    head = await till.ledger.head(till.book)
    return [transfer.verb for transfer in await till.ledger.transfers(till.book, after=0, cut=head.seq, limit=100)]


async def test_holds_that_timed_out_go_back(
    till: Till, owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any], engine: Any
) -> None:
    await till.fund(1000)
    for customer in (1, 2, 3):
        await till.grant(customer, 100)
        await till.authorize(customer, 60, hold_s=600)
    due_poster = DuePoster(worker_pool, engine, limit=2)
    assert await due_poster.run_once() == 0
    await _advance(owner, "11 minutes")
    assert [await due_poster.run_once() for _ in range(3)] == [2, 1, 0]
    assert (await _verbs(till)).count(Verb.TIME_OUT) == 3
    assert (await till.ledger.balance(till.book, 1)).spendable == 100


async def test_lots_past_their_last_day_expire(
    till: Till, owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any], engine: Any
) -> None:
    await till.fund(1000)
    last_day = datetime.now(UTC).date()
    await till.grant(1, 100, date(last_day.year + 1, last_day.month, 1))
    await till.grant(1, 11)
    await _advance(owner, "400 days")
    assert await DuePoster(worker_pool, engine).run_once() == 1
    assert (await _verbs(till))[-1] is Verb.EXPIRE
    assert (await till.ledger.balance(till.book, 1)).spendable == 11


async def test_the_loop_outlives_a_failure_and_ends_when_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.worker.FAILURE_REST_MAX_S", 0.0)
    stop = asyncio.Event()
    runs: list[int] = []

    async def run_once() -> int:
        runs.append(len(runs))
        if len(runs) == 1:
            raise ConnectionResetError("the database restarts")
        if len(runs) == 3:
            stop.set()
        return 1

    await asyncio.wait_for(keep_running([Agent("tester", run_once, rest_s=0)], stop=stop), timeout=5)
    assert runs == [0, 1, 2]
