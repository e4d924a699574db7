"""Looking offers up reads as much as is found, however many there are."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from service.offers.queries import SQL
from tests.ingest.conftest import Owner

NOW = datetime(2026, 11, 30, tzinfo=UTC)
EVERY = [1, 2, 3, 4, 5, 6]
STATEMENTS: dict[str, tuple[str, tuple[Any, ...], int, int]] = {
    "of messages": ("offers_of_messages", (1, [0, 1], ["m-7", "m-9"], [7, 9], [1, 1], 20), 2, 2),
    "standing": ("standing_offers", (1, ["o-7"], [7], ["m-9"], [9]), 2, 2),
    "due": ("due_offers", (1, NOW, 10, 20), 10, 10),
    "by messages": ("offers_by_messages", (1, ["m-7", "m-9"], [7, 9], 10), 3, 4),
    "all": ("find_offers", (1, 0, 10, EVERY, None, None), 10, 60),
    "rare": ("find_offers", (1, 0, 10, [6], None, None), 3, 10),
    "of a group": ("find_offers", (1, 0, 10, EVERY, "o-7", None), 10, 60),
    "of a customer": ("find_offers", (1, 0, 10, EVERY, None, [7]), 10, 100),
}


@pytest.fixture
async def many(owner: Owner) -> None:
    """Thirty thousand offers of three hundred groups to three hundred customers, of which three have lapsed."""
    await owner.execute("""
        INSERT INTO rewards.offer (brand_id, offer_group, customer, campaign_no, state, offered_at, lapses_at, is_stated)
        SELECT 1, 'o-' || n % 300, (n % 300 + n / 300) % 300, 1,
            CASE WHEN n % 10000 = 0 THEN 6 WHEN n % 3 = 0 THEN 5 ELSE 1 END, now(),
            '2026-11-30Z'::timestamptz - (n - 15000) * interval '1 minute', false
        FROM generate_series(0, 29999) AS n
    """)
    await owner.execute("""
        INSERT INTO rewards.offer_message (brand_id, message_id, customer, offer_group, channel, sent_at)
        SELECT 1, 'm-' || n % 300, (n % 300 + n / 300) % 300, 'o-' || n % 300, 'sms', now()
        FROM generate_series(0, 29999) AS n
    """)
    await owner.execute("ANALYZE rewards.offer, rewards.offer_message")


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("name", STATEMENTS)
async def test_no_more_is_read_than_is_wanted(application_pool: asyncpg.Pool[Any], name: str) -> None:
    file, arguments, found, read_max = STATEMENTS[name]
    statement = (SQL / f"{file}.sql").read_text()
    async with application_pool.acquire() as connection:
        for _ in range(7):  # so that the plan is one for any arguments
            assert len(await connection.fetch(statement, *arguments)) == found
        lines = await connection.fetch(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {statement}", *arguments)
    plan = "\n".join(line[0] for line in lines)
    assert "Seq Scan on offer" not in plan, plan
    read = [float(line.partition("rows=")[2].split()[0]) for line in plan.splitlines() if "Scan" in line and "rows=" in line]
    assert max(read) <= read_max, plan
