"""`rewards worker` is killed with -9 in the middle of a correction of many. The next goes on, and each line is done once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import httpx
import pytest

from service.corrections.jobs import corrector
from tests.api_fixtures import Api
from tests.approvals.test_approvals import tools
from tests.conftest import Database
from tests.corrections.test_adjustments import balance, care
from tests.corrections.test_claw_backs import granted
from tests.corrections.test_jobs import Shown, assert_sound, checked, done, lines_of, order, order_list, shown, start, work
from tests.erasure.conftest import Erase, approve, checker, erase
from tests.real_worker import real_worker, until_waiting

__all__ = ["care", "checker", "erase"]

LINES = 6
FREE = "UPDATE rewards.correction_job SET leased_until = now() - interval '1 second' WHERE leased_until IS NOT NULL"


async def killed(api: Api, owner: asyncpg.Connection[Any], database: Database, lock: str, function: str) -> int:
    """A worker that is killed while it waits for a lock in a call of ``function``; its lease is over then.

    Returns how many corrections it had made. The call that it waited for may still be one: nobody takes it back.
    """
    holder = await asyncpg.connect(database.owner_url)
    async with holder.transaction():
        await holder.execute(lock)
        with real_worker(api.settings) as worker:
            await until_waiting(owner, function, worker)
            worker.kill()
            made = await owner.fetchval("SELECT count(*) FROM ledger.correction")
    await holder.close()
    await owner.execute(FREE)
    return made


async def people(api: Api) -> list[str]:
    return [await granted(api, f"mail-{n}", customer={"id": f"d-{n}"}) for n in range(LINES)]


async def take_back(api: Api) -> Shown:
    return await checked(api, await order_list(api, [{"grant_id": grant} for grant in await people(api)]))


async def adjust(api: Api) -> Shown:
    await people(api)
    wanted = [{"customer": {"id": f"d-{n}"}, "points": 9 if n % 2 else -9} for n in range(LINES)]
    return await checked(api, await order_list(api, wanted))


LOT = """
SELECT FROM ledger.account WHERE id = (
    SELECT transfer.credit FROM ledger.transfer JOIN rewards.correction_line AS line ON line.customer = transfer.customer
    WHERE line.line_no = 4 AND transfer.verb = 2
) FOR UPDATE
"""
"""Lines 1 to 3 are posted, and the fourth waits: of none it is noted what came of it."""


@pytest.mark.own_database("a worker in another process works on it")
@pytest.mark.parametrize(
    ("make", "function", "left"),
    [(take_back, "claw_back_v1", [0] * LINES), (adjust, "adjust_v1", [91, 109] * (LINES // 2))],
    ids=["claw-backs", "adjustments"],
)
async def test_each_line_is_done_once(
    care: Api,
    owner: asyncpg.Connection[Any],
    database: Database,
    make: Callable[[Api], Awaitable[Shown]],
    function: str,
    left: list[int],
) -> None:
    job = await make(care)
    await start(care, job)
    assert await killed(care, owner, database, LOT, function) == 3
    (begun,) = await owner.fetch("SELECT begun, settled FROM rewards.correction_job")
    assert tuple(begun) == (LINES, 0)
    await work(care)
    ended = await shown(care, job["id"])
    assert (ended["status"], ended["made"]["lines"], ended["made"]["points"]) == ("done", LINES, job["expected"])
    assert [await balance(care, f"d-{n}") for n in range(LINES)] == left
    corrections = await owner.fetch("SELECT correction_no, seq FROM ledger.correction ORDER BY correction_no")
    assert len(corrections) == LINES
    assert [line["seq"] for line in await lines_of(care, job)] == [row["seq"] for row in corrections]
    await assert_sound(care, owner)


@pytest.mark.own_database("a worker in another process works on it")
async def test_what_is_cancelled_after_it_was_killed_says_what_was_done(
    care: Api, owner: asyncpg.Connection[Any], database: Database
) -> None:
    job = await take_back(care)
    await start(care, job)
    await killed(care, owner, database, LOT, "claw_back_v1")
    cancelled = await care.client("care").post(f"/v1/corrections/{job['id']}/cancel")
    assert cancelled.json()["status"] == "cancelling"
    await work(care)
    ended = await shown(care, job["id"])
    # They were begun together, so whether each was posted is found out by finishing them.
    assert (ended["status"], ended["made"]["lines"]) == ("cancelled", LINES)
    assert await owner.fetchval("SELECT count(*) FROM ledger.correction") == LINES


@pytest.mark.own_database("a worker in another process works on it")
@pytest.mark.parametrize(
    ("steps", "lock"),
    [(0, "LOCK TABLE rewards.correction_line IN EXCLUSIVE MODE"), (1, "SELECT FROM rewards.correction_line FOR UPDATE")],
    ids=["gathering", "checking"],
)
async def test_gathering_and_checking_go_on(
    care: Api, owner: asyncpg.Connection[Any], database: Database, steps: int, lock: str
) -> None:
    await people(care)
    answer = await order(care, should_be=40)
    for _ in range(steps):
        await corrector.run_once(tools(care), stretch_s=0.0)
    await killed(care, owner, database, lock, "rewards.correction_line")
    await work(care)
    job = await shown(care, answer.json()["id"])
    assert (job["status"], job["lines"], job["expected"]["taken"]) == ("checked", LINES + 1, 60 * (LINES + 1))
    assert (await done(care, job))["made"]["points"]["taken"] == 60 * (LINES + 1)


@pytest.mark.own_database("a worker in another process works on it")
@pytest.mark.parametrize("make", [take_back, adjust], ids=["claw-backs", "adjustments"])
async def test_what_was_done_before_an_erasure_is_said_to_be_done(
    care: Api,
    owner: asyncpg.Connection[Any],
    database: Database,
    checker: httpx.AsyncClient,
    erase: Erase,
    make: Callable[[Api], Awaitable[Shown]],
) -> None:
    """Each line was posted, and before that was noted the worker was killed and a customer erased."""
    job = await make(care)
    await start(care, job)
    assert await killed(care, owner, database, "SELECT FROM rewards.correction_line FOR UPDATE", "correction_line") == LINES
    waits = await care.client("messaging").delete("/v1/customers/d-0", params={"forfeit_points": "true"})
    await approve(checker, waits.json())
    assert await erase() == 0
    assert await owner.fetchval("SELECT state FROM rewards.erasure") == "erasing"
    await work(care)
    ended = await shown(care, job["id"])
    assert (ended["status"], ended["made"]["lines"], ended["made"]["points"]) == ("done", LINES, job["expected"])
    assert await owner.fetchval("SELECT count(*) FROM ledger.correction") == LINES
    assert await erase() == 1
    await assert_sound(care, owner)
