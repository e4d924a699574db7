"""What is left of clicks: how many of which grade, and what machines were not paid."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from ledger import Grade
from service.evidence import click_aggregator, click_pruner
from service.evidence.bot_detection import Verdict, Why
from service.evidence.click_log import KEPT_DAYS, Click, ClickLog, Way, message_key, record, slot_of
from tests.api_fixtures import make_brand, make_keys
from tests.links.conftest import Links

NO_LAG = timedelta(0)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
MACHINE = Verdict(None, Why.NO_AGENT)
PERSON = Verdict(Grade.C, Why.NOTHING_AGAINST_IT)
PRESSED = Verdict(Grade.B, Why.PRESSED)


def click(link: int, way: Way, verdict: Verdict, after_s: float = 0.0, *, message: str | None = None) -> Click:
    return Click(
        at=NOON + timedelta(seconds=after_s),
        brand_id=1,
        campaign_no=7,
        link_id=link.to_bytes(20, "big"),
        message=message_key(4711, message or f"m-{link}"),
        way=way,
        grade=verdict.letter,
        why=verdict.why,
        points=25,
        network=None,
        agent=None,
        since_sent_s=60,
    )


Counts = dict[tuple[str, str, str], tuple[int, int, int, int, int]]

STORIES: list[tuple[str, list[Click], Counts]] = [
    (
        "a machine and nobody else",
        [click(1, Way.LOOK, MACHINE), click(1, Way.LOOK, MACHINE, 60)],
        {("look", "X", "no_agent"): (2, 1, 25, 0, 0)},
    ),
    (
        "a machine, then she looks and claims, twice",
        [
            click(1, Way.LOOK, MACHINE),
            click(1, Way.LOOK, PERSON, 60),
            click(1, Way.CLAIM, PRESSED, 70),
            click(1, Way.CLAIM, PRESSED, 80),
        ],
        {
            ("look", "X", "no_agent"): (1, 1, 25, 0, 0),
            ("look", "C", "nothing_against_it"): (1, 0, 0, 0, 0),
            ("claim", "B", "pressed"): (2, 0, 0, 1, 25),
        },
    ),
    (
        "she, then a machine",
        [click(1, Way.LOOK, PERSON), click(1, Way.CLAIM, PRESSED, 5), click(1, Way.LOOK, MACHINE, 60)],
        {
            ("look", "C", "nothing_against_it"): (1, 1, 25, 0, 0),
            ("claim", "B", "pressed"): (1, 0, 0, 0, 0),
            ("look", "X", "no_agent"): (1, 0, 0, 0, 0),
        },
    ),
    (
        "a scanner with a browser's name follows three links, then she follows one of them",
        [
            *(click(n, Way.HANDOFF, PERSON, n / 2, message="m") for n in (1, 2, 3)),
            click(2, Way.HANDOFF, PERSON, 600, message="m"),
            click(2, Way.CONFIRM, Verdict(Grade.A, Why.CONFIRMED_BY_SHOP), 630, message="m"),
        ],
        {
            ("handoff", "X", "siblings"): (3, 3, 75, 0, 0),
            ("handoff", "C", "nothing_against_it"): (1, 0, 0, 0, 0),
            ("confirm", "A", "confirmed_by_shop"): (1, 0, 0, 1, 25),
        },
    ),
    (
        "two links at once are nobody in particular",
        [click(n, Way.LOOK, PERSON, message="m") for n in (1, 2)],
        {("look", "C", "nothing_against_it"): (2, 2, 50, 0, 0)},
    ),
]


async def counts(owner: asyncpg.Connection[Any]) -> Counts:
    rows = await owner.fetch(
        "SELECT way, grade, why, touches, firsts, first_points, followed, followed_points FROM rewards.touch_count"
    )
    return {tuple(row)[:3]: tuple(row)[3:] for row in rows}  # pyright: ignore[reportReturnType]


@pytest.mark.parametrize(("clicks", "expected"), [story[1:] for story in STORIES], ids=[story[0] for story in STORIES])
@pytest.mark.parametrize("limit", [1, 2, 1_000])
async def test_touches_are_counted_once_however_they_are_cut(
    application_pool: asyncpg.Pool[Any],
    worker_pool: asyncpg.Pool[Any],
    owner: asyncpg.Connection[Any],
    clicks: list[Click],
    expected: Counts,
    limit: int,
) -> None:
    await record(application_pool, clicks)
    counted = 0
    while done := await click_aggregator.run_once(worker_pool, limit=limit, lag=NO_LAG):
        counted += done
    assert counted == len(clicks)
    assert await counts(owner) == expected
    assert await owner.fetchval("SELECT DISTINCT day FROM rewards.touch_count") == date(2026, 11, 20)


async def test_what_was_recorded_a_moment_ago_is_not_counted_yet(
    application_pool: asyncpg.Pool[Any], worker_pool: asyncpg.Pool[Any], owner: asyncpg.Connection[Any]
) -> None:
    await record(application_pool, [click(1, Way.LOOK, PERSON)])
    assert await click_aggregator.run_once(worker_pool) == 0
    assert await click_aggregator.run_once(worker_pool, lag=NO_LAG) == 1
    assert await click_aggregator.run_once(worker_pool, lag=NO_LAG) == 0


async def test_of_two_workers_one_counts(application_pool: asyncpg.Pool[Any], worker_pool: asyncpg.Pool[Any]) -> None:
    await record(application_pool, [click(1, Way.LOOK, PERSON)])
    async with worker_pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT FROM rewards.touch_reader FOR UPDATE")
        assert await click_aggregator.run_once(worker_pool, lag=NO_LAG) == 0
    assert await click_aggregator.run_once(worker_pool, lag=NO_LAG) == 1


@pytest.mark.own_database("makes and drops partitions")
@pytest.mark.parametrize("days", [KEPT_DAYS, 7])
async def test_touches_are_forgotten_after_as_many_days_as_the_operator_says(
    worker_pool: asyncpg.Pool[Any], owner: asyncpg.Connection[Any], days: int
) -> None:
    today = datetime.now(UTC).date()
    for days_ago in (-1, 0, 1, days, days + 1, days + 8):
        await owner.execute(
            "INSERT INTO rewards.touch (slot, at, brand_id, campaign_no, points, since_sent_s, link_id, message, way, grade, "
            "why) VALUES ($1, now(), 1, 7, $2, 0, '', '', 'look', 'C', '')",
            slot_of(today - timedelta(days=days_ago)),
            days_ago,
        )
    assert await click_pruner.run_once(worker_pool, days=days, today=today) == 2
    assert await click_pruner.run_once(worker_pool, days=days, today=today) == 0
    left = {row["points"] for row in await owner.fetch("SELECT points FROM rewards.touch")}
    assert left == {-1, 0, 1, days}


@pytest.mark.own_database("makes and drops partitions")
async def test_what_is_written_while_the_days_go_by_is_kept_for_thirty_of_them(
    application_pool: asyncpg.Pool[Any], worker_pool: asyncpg.Pool[Any], owner: asyncpg.Connection[Any]
) -> None:
    async with ClickLog(application_pool, bytes(32)) as clicks:
        clicks.note(
            Way.LOOK,
            PERSON,
            {},
            at=NOON,
            address="",
            brand_id=1,
            link_id=bytes(20),
            customer=1,
            message_id="",
            points=0,
            since_sent_s=0,
        )
    today = datetime.now(UTC).date()
    for days, left in ((0, 1), (KEPT_DAYS, 1), (KEPT_DAYS + 1, 0)):
        await click_pruner.run_once(worker_pool, today=today + timedelta(days=days))
        assert await owner.fetchval("SELECT count(*) FROM rewards.touch") == left


async def test_the_report_says_what_machines_were_not_paid(
    links: Links, worker_pool: asyncpg.Pool[Any], owner: asyncpg.Connection[Any]
) -> None:
    client = links.api.client(None)
    hers, nobodys = await links.path(), await links.path("C-2002")
    for path in (hers, nobodys):
        await client.get(path, headers={"User-Agent": "WhatsApp/2.24.10.80 A"})
    await client.post(hers)
    for _ in range(200):
        if await owner.fetchval("SELECT count(*) FROM rewards.touch") == 3:
            break
        await asyncio.sleep(0.01)
    assert await click_aggregator.run_once(worker_pool, lag=NO_LAG) == 3
    report = (await links.api.client("finance").get("/v1/links/evidence?days=1")).raise_for_status().json()
    expected = {
        "requests": {"A": 0, "B": 1, "C": 0, "D": 0, "X": 2},
        "machines": {"declared_machine": 2},
        "machines_first_points": 50,
        "owed_anyway_points": 25,
        "not_paid_points": 25,
    }
    assert report["total"] == expected
    assert report["campaigns"] == [{"campaign": "autumn", **expected}]
    other = links.api.client(key=(await make_keys(owner, await make_brand(owner, "other")))["finance"])
    assert (await other.get("/v1/links/evidence")).json()["campaigns"] == []
