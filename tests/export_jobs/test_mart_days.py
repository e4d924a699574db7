"""Which day of the data mart a transfer is in: the one it counts on, which is made once all of it has been posted."""

# Arrow comes without types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pyarrow.parquet as pq
import pytest
from structlog.testing import capture_logs

from ledger.testing import set_clock
from tests.api_fixtures import Api
from tests.export_jobs.conftest import ExportWorker, Mart, look
from tests.finance.conftest import Till
from tests.real_worker import real_worker

DAY = timedelta(days=1)
EVENING = datetime(2031, 3, 29, 22, tzinfo=UTC)
"""In Berlin an hour before midnight; clocks go forward that night."""
FIRST = date(2031, 3, 29)


class Days:
    """What the mart has of each day."""

    def __init__(self, api: Api, worker: ExportWorker, mart: Mart) -> None:
        self.api = api
        self.worker = worker
        self.mart = mart

    async def make(self) -> int:
        """Make all days that can be made; says how many."""
        made = 0
        while await self.mart.order():
            made += await self.worker.work()
        return made

    async def jobs(self) -> list[Any]:
        """The days' exports, oldest first."""
        answer = await self.api.client("finance").get("/v1/exports", params={"limit": 1000})
        return [job for job in reversed(answer.json()["items"]) if job["business_date"]]

    async def transfers(self) -> dict[date, list[dict[str, Any]]]:
        """The transfers in each day."""
        return {date.fromisoformat(job["business_date"]): self.rows(job) for job in await self.jobs()}

    def rows(self, job: Any, name: str = "fact_transfer") -> list[dict[str, Any]]:
        """The rows of a file."""
        return pq.read_table(self.api.settings.exports_path / job["id"] / f"{name}.parquet").to_pylist()

    def bytes_of(self, job: Any) -> dict[str, bytes]:
        """The files of a day, by name."""
        return {path.name: path.read_bytes() for path in (self.api.settings.exports_path / job["id"]).iterdir()}


@pytest.fixture
def days(api: Api, export_worker: ExportWorker, schedule: Mart) -> Days:
    """Makes days and reads them."""
    return Days(api, export_worker, schedule)


async def a_night(till: Till, owner: asyncpg.Connection[Any]) -> None:
    """In the last hour of a day: a lot, a hold and held-back points that are due by its end, and something that is not."""
    await set_clock(owner, till.book, EVENING)
    await till.fund(1_000)
    await till.grant(1, 10, FIRST)
    await till.grant(2, 20, FIRST + DAY)
    await till.authorize(2, 5, hold_s=1_800)
    await till.grant(3, 30, due_at=EVENING + timedelta(minutes=59))


async def test_what_fell_due_is_in_the_day_it_did_however_late_it_was_posted(
    days: Days, till: Till, owner: asyncpg.Connection[Any]
) -> None:
    await a_night(till, owner)
    await set_clock(owner, till.book, EVENING + timedelta(days=3))
    await till.grant(4, 40)
    assert await days.make() == 0, "the lot, the hold and the held-back points are still to be posted"
    await days.mart.sweep()
    assert await days.make() == 3
    found = await days.transfers()
    verbs = {day: sorted(row["verb"] for row in rows) for day, rows in found.items()}
    assert verbs == {
        FIRST: ["authorize", "expire", "fund", "grant", "grant", "hold_back", "reject", "time_out"],
        FIRST + DAY: ["expire"],
        FIRST + 2 * DAY: [],
    }
    assert {row["customer"] for row in days.rows((await days.jobs())[1], "dim_customer")} == {2}
    outcomes = [row["outcome"] for row in days.rows((await days.jobs())[0], "fact_event")]
    assert outcomes == ["granted", "granted", "held_back"]


async def test_a_day_that_waits_for_hours_is_said(days: Days, till: Till, owner: asyncpg.Connection[Any]) -> None:
    await a_night(till, owner)
    await set_clock(owner, till.book, EVENING + timedelta(hours=6))
    with capture_logs() as said:
        assert await days.make() == 0
        assert said == []
        await set_clock(owner, till.book, EVENING + timedelta(hours=7, minutes=1))
        for _ in range(2):
            assert await days.make() == 0
    waits_for = {"holds": 1, "held_back": 1, "is_swept": False}
    late = {"event": "mart_day_late", "log_level": "warning", "brand": days.api.brand.code, "day": str(FIRST)}
    assert said == [late | waits_for]


async def test_a_worker_that_was_away_makes_the_bytes_of_one_that_was_not(
    days: Days, till: Till, owner: asyncpg.Connection[Any]
) -> None:
    await a_night(till, owner)
    await set_clock(owner, till.book, EVENING + timedelta(hours=1, minutes=3))
    await days.mart.sweep()
    assert await days.make() == 1
    [at_once] = await days.jobs()
    before = days.bytes_of(at_once)
    for _ in range(3):
        await set_clock(owner, till.book, (await till.ledger.head(till.book)).posted_at + DAY)
        await till.grant(5, 50)
    await days.mart.sweep()
    await owner.execute("DELETE FROM rewards.export_job")
    days.mart.forget()
    assert await days.make() == 4
    assert days.bytes_of((await days.jobs())[0]) == before


@pytest.mark.parametrize("seed", range(2))
async def test_every_transfer_is_in_one_day_and_all_days_are_the_log(
    days: Days, till: Till, owner: asyncpg.Connection[Any], seed: int
) -> None:
    """A week in which clocks change, with days made whenever they can be."""
    chance = random.Random(seed)
    at = EVENING - 2 * DAY
    await set_clock(owner, till.book, at)
    await till.fund(100_000)
    first = days.api.brand.calendar.day(at)
    for _ in range(40):
        at += timedelta(minutes=chance.randrange(10, 480))
        await set_clock(owner, till.book, at)
        customer = chance.randrange(1, 4)
        today = days.api.brand.calendar.day(at)
        match chance.randrange(5):
            case 0 | 1:
                await till.grant(customer, 50, chance.choice([None, today, today + DAY, today + 2 * DAY]))
            case 2:
                await till.grant(customer, 50, due_at=at + timedelta(hours=chance.randrange(1, 60)))
            case 3:
                if (await till.ledger.balance(till.book, customer)).spendable > 0:
                    await till.authorize(customer, 1, hold_s=3_600 * chance.randrange(1, 60))
            case _:
                await days.mart.sweep()
                await days.make()
    await set_clock(owner, till.book, at + 4 * DAY)
    await days.mart.sweep()
    await days.make()
    found = await days.transfers()
    assert list(found) == [first + number * DAY for number in range(len(found))]
    assert list(found)[-1] == days.api.brand.calendar.day(at) + 3 * DAY
    log = await till.ledger.transfers(till.book, after=0, cut=10_000)
    rows = sorted((row["seq"], day, row["accounting_date"]) for day, each in found.items() for row in each)
    assert rows == [(transfer.seq, transfer.accounting_date, transfer.accounting_date) for transfer in log]


async def test_a_worker_that_is_killed_in_a_day_leaves_it_to_the_next(
    days: Days, till: Till, owner: asyncpg.Connection[Any]
) -> None:
    await a_night(till, owner)
    await set_clock(owner, till.book, EVENING + timedelta(hours=2))
    await days.mart.sweep()
    assert await days.mart.order() == 1
    [job] = await days.jobs()
    directory = days.api.settings.exports_path / job["id"]
    async with owner.transaction():
        await owner.execute("SET LOCAL idle_in_transaction_session_timeout = '1min'")
        # All files but the first read it.
        await owner.execute("LOCK ledger.event IN ACCESS EXCLUSIVE MODE")
        with real_worker(days.api.settings):
            while not ((directory / "dim_campaign.parquet").exists() and list(directory.glob(".*.partial"))):
                await look(days.api, job)
    assert (await look(days.api, job))["files"] == []
    await owner.execute("UPDATE rewards.export_job SET leased_until = clock_timestamp() - interval '1 second'")
    assert await days.worker.work() == 1
    assert await days.mart.order() == 0, "the next day is not over"
    assert sorted(days.bytes_of(job)) == [*sorted(f"{name}.parquet" for name in FILES), "manifest.json"]
    assert len((await days.transfers())[FIRST]) == 8


async def test_a_lost_day_is_made_again_and_the_next_is_not_held_up(
    days: Days, till: Till, owner: asyncpg.Connection[Any]
) -> None:
    await a_night(till, owner)
    await set_clock(owner, till.book, EVENING + 2 * DAY)
    await days.mart.sweep()
    assert await days.make() == 2
    first, _ = await days.jobs()
    before = days.bytes_of(first)
    (days.api.settings.exports_path / first["id"] / "fact_link.parquet").unlink()
    finance = days.api.client("finance")
    assert (await finance.get(f"/v1/exports/{first['id']}/files/fact_link.parquet")).json()["code"] == "files_lost"
    assert await days.mart.order() == 0, "it is not missing, it is lost"
    assert (await finance.post(f"/v1/exports/{first['id']}/remake")).status_code == 202
    await days.worker.work(exports_bytes=10)
    assert (await look(days.api, first))["status"] == "failed"
    await owner.execute("UPDATE rewards.export_job SET ended_at = ended_at - interval '2 hours'")
    assert await days.make() == 1
    again = (await days.jobs())[-1]
    assert (again["business_date"], days.bytes_of(again)) == (str(FIRST), before)


FILES = ["dim_campaign", "dim_customer", "fact_event", "fact_link", "fact_transfer"]


async def test_days_from_before_keep_what_was_posted_on_them_and_nothing_is_lost_or_there_twice(
    days: Days, till: Till, owner: asyncpg.Connection[Any]
) -> None:
    """A mart by posting day, as it was, is gone on with by accounting date."""
    await a_night(till, owner)
    await set_clock(owner, till.book, EVENING + DAY / 2)
    await till.grant(4, 40, FIRST + DAY)
    await days.mart.sweep()
    assert await days.mart.order() == 1
    # The worker of before did not wait, and took what was posted.
    await owner.execute("UPDATE rewards.export_job SET counts_from = NULL, cut_seq = 5")
    await days.worker.work()
    await set_clock(owner, till.book, EVENING + 3 * DAY)
    await days.mart.sweep()
    assert await days.make() == 2
    found = await days.transfers()
    verbs = {day: [row["verb"] for row in rows] for day, rows in found.items()}
    assert verbs[FIRST] == ["fund", "grant", "grant", "authorize", "hold_back"]
    assert sorted(verbs[FIRST + DAY]) == ["expire", "expire", "expire", "grant", "reject", "time_out"]
    assert verbs[FIRST + 2 * DAY] == []
    seqs = sorted(row["seq"] for rows in found.values() for row in rows)
    assert seqs == list(range(1, (await till.ledger.head(till.book)).seq + 1))
