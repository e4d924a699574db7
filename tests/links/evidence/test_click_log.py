"""Clicks are noted off the path of a request, stored by whatever process served it, and hold nothing that names anybody."""

from __future__ import annotations

import asyncio
import ipaddress
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from ledger import Grade
from service.evidence.bot_detection import Verdict, Why
from service.evidence.click_log import (
    KEPT_DAYS,
    PARTITIONS,
    WAITING_MAX,
    ClickLog,
    Way,
    count_siblings,
    message_key,
    network_of,
    slot_of,
    slots_between,
)
from service.observability import metrics
from service.storage.database import APPLICATION_ROLE, connect

if TYPE_CHECKING:
    from tests.conftest import Database

NOW = datetime.now(UTC)
LOOKS = Verdict(Grade.C, Why.NOTHING_AGAINST_IT)
KEY = bytes(32)


def note(clicks: ClickLog, n: int = 1, *, at: datetime = NOW, message: str = "m-1", way: Way = Way.LOOK) -> None:
    clicks.note(
        way,
        LOOKS,
        {"user-agent": "Mozilla/5.0 (a browser of hers)"},
        at=at,
        address="203.0.113.77",
        brand_id=1,
        link_id=n.to_bytes(20, "big"),
        customer=4711,
        message_id=message,
        points=25,
        since_sent_s=3_600,
    )


async def test_what_is_noted_is_stored_by_the_way(application_pool: asyncpg.Pool[Any], owner: asyncpg.Connection[Any]) -> None:
    async with ClickLog(application_pool, KEY) as clicks:
        note(clicks)
        for _ in range(1_000):
            await asyncio.sleep(0.01)
            if await owner.fetchval("SELECT count(*) FROM rewards.touch"):
                break
    row = await owner.fetchrow("SELECT * FROM rewards.touch")
    assert row is not None
    assert row["network"] == ipaddress.ip_network("203.0.113.0/24")
    assert len(row["agent"]) == 8
    assert "browser" not in str(dict(row))
    assert datetime.now(UTC) - row["recorded_at"] < timedelta(minutes=1)


async def test_what_waits_is_stored_when_the_process_stops(
    application_pool: asyncpg.Pool[Any], owner: asyncpg.Connection[Any]
) -> None:
    async with ClickLog(application_pool, KEY) as clicks:
        for n in range(2_500):
            note(clicks, n)
    assert await owner.fetchval("SELECT count(*) FROM rewards.touch") == 2_500


def lost() -> float:
    return metrics.REGISTRY.get_sample_value("rewards_clicks_lost_total") or 0.0


async def test_a_queue_that_is_full_loses_and_says_so_and_never_fails() -> None:
    clicks = ClickLog(None, KEY)  # pyright: ignore[reportArgumentType]  it is never reached
    before = lost()
    for n in range(WAITING_MAX + 7):
        note(clicks, n)
    assert lost() - before == 7


async def test_siblings_are_the_links_of_one_message_that_were_fetched_within_two_seconds(
    application_pool: asyncpg.Pool[Any],
) -> None:
    async with ClickLog(application_pool, KEY) as clicks:
        for n, after_s in enumerate([0.0, 1.9, 2.0, 2.1, 0.0]):
            note(clicks, n, at=NOW + timedelta(seconds=after_s))
        note(clicks, 0, at=NOW + timedelta(seconds=1))
        note(clicks, 9, message="m-2")
        note(clicks, 10, at=NOW, way=Way.CLAIM)
    wanted = [
        (message_key(4711, "m-1"), NOW),
        (message_key(4711, "m-2"), NOW),
        (message_key(4711, "m-3"), NOW),
        (message_key(4712, "m-1"), NOW),
        (message_key(4711, "m-1"), NOW + timedelta(seconds=4)),
    ]
    assert await count_siblings(application_pool, wanted) == [4, 1, 0, 0, 2]
    assert await count_siblings(application_pool, []) == []


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:1:2:3::4", "2001:db8:1::/48"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        ("fe80::1:2%eth0", "fe80::/48"),
        ("::1", "::/48"),
        ("203.0.113", None),
        ("203.0.113.77\0", None),
        ("2001:db8::g", None),
        ("unix:", None),
        ("", None),
    ],
)
def test_of_an_address_its_network_is_kept(address: str, network: str | None) -> None:
    assert network_of(address) == network


def test_the_days_that_are_kept_have_partitions_of_their_own() -> None:
    today = date(2026, 11, 25)
    slots = slots_between(today - timedelta(days=KEPT_DAYS), today + timedelta(days=1))
    assert len(set(slots)) == KEPT_DAYS + 2 < PARTITIONS
    assert slots_between(today, today + timedelta(days=400)) == slots_between(
        today + timedelta(days=361), today + timedelta(days=400)
    )


async def test_touches_are_stored_without_an_address_whoever_writes_them(application_pool: asyncpg.Pool[Any]) -> None:
    async with application_pool.acquire() as connection:
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute(
                "INSERT INTO rewards.touch (slot, at, brand_id, campaign_no, points, since_sent_s, link_id, message, way, "
                "grade, why, network) VALUES (1, now(), 1, 1, 0, 0, '', '', 'look', 'C', 'x', '203.0.113.77')"
            )
        for forbidden in ("DELETE FROM rewards.touch", "UPDATE rewards.touch SET grade = 'A'", "TRUNCATE rewards.touch"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(forbidden)


LOAD = """
INSERT INTO rewards.touch (slot, at, brand_id, campaign_no, points, since_sent_s, link_id, message, way, grade, why)
SELECT $1, now(), 1, 1, 0, 0, int8send(n), int8send(n / 5), 'look', 'C', '' FROM generate_series(1, 20000) AS n
"""
SCANS = """
SELECT coalesce(sum(seq_scan), 0)::int AS whole, coalesce(sum(idx_scan), 0)::int AS by_index FROM pg_stat_xact_user_tables
WHERE schemaname = 'rewards' AND starts_with(relname, 'touch_')
"""


@pytest.mark.own_database("leaves statistics")
@pytest.mark.parametrize("analyzed_when_empty", [False, True])
async def test_siblings_are_looked_up_by_index_and_in_the_partitions_of_their_days_alone(
    database: Database, owner: asyncpg.Connection[Any], analyzed_when_empty: bool
) -> None:
    if analyzed_when_empty:
        await owner.execute("ANALYZE rewards.touch")
    await owner.execute(LOAD, slot_of(NOW.date()))
    connection = await connect(database.application_url, APPLICATION_ROLE)
    async with connection.transaction():
        for n in range(12):
            wanted = [((n + each).to_bytes(8, "big"), datetime.now(UTC)) for each in range(50)]
            found = await count_siblings(connection, wanted)
            assert max(found) == 5
        (read,) = await connection.fetch(SCANS)
    await connection.close()
    assert read["whole"] == 0
    # Two partitions at most for each message, if midnight has just passed: not forty.
    assert 600 <= read["by_index"] <= 1_200
