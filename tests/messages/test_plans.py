"""Looking a message up reads as much as is found, however many messages and links there are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from service.messages.queries import SQL
from tests.ingest.conftest import Owner

NOW = datetime(2026, 11, 30, tzinfo=UTC)
STATEMENTS: dict[str, tuple[tuple[Any, ...], int]] = {
    "messages_by_id": ((1, ["m-7", "m-9"], [7, 9]), 2),
    "messages_by_provider_id": ((1, "twilio", [0, 1], ["p-7", "p-9"], [0, 9]), 2),
    # A hundred of a customer's links at most are looked through.
    "last_messages": ((1, [0, 1], [7, 9], ["sms", "sms"], [NOW - timedelta(days=3)] * 2, [NOW] * 2), 100),
}


@pytest.fixture
async def many(owner: Owner) -> None:
    """Thirty thousand messages and as many links, of three hundred customers."""
    await owner.execute("""
        INSERT INTO rewards.message (
            brand_id, message_id, customer, campaign_no, channel, provider, provider_message_id, sent_at, registered_by
        )
        SELECT 1, 'm-' || n, n % 300, 1, 'sms', 'twilio', 'p-' || n, '2026-11-30Z'::timestamptz - n * interval '1 minute', 1
        FROM generate_series(1, 30000) AS n
    """)
    await owner.execute("""
        INSERT INTO rewards.link (
            link_id, brand_id, campaign_no, campaign_version, customer, message_id, action, channel, label, destination_no,
            minted_at, expires_at, minted_by
        )
        SELECT substring(sha256(n::text::bytea), 1, 20), 1, 1, 1, n % 300, 'm-' || n, 'click', 'email', '', 1,
            '2026-11-30Z'::timestamptz - n * interval '1 minute', '2027-11-30Z', 1
        FROM generate_series(1, 30000) AS n
    """)
    await owner.execute("ANALYZE rewards.message, rewards.link")


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("name", STATEMENTS)
async def test_no_more_is_read_than_is_wanted(application_pool: asyncpg.Pool[Any], name: str) -> None:
    arguments, read_max = STATEMENTS[name]
    statement = (Path(SQL) / f"{name}.sql").read_text()
    async with application_pool.acquire() as connection:
        assert len(await connection.fetch(statement, *arguments)) == 2
        lines = await connection.fetch(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {statement}", *arguments)
    plan = "\n".join(line[0] for line in lines)
    assert not any(f"Seq Scan on {table}" in plan for table in ("message", "link "))
    read = [float(line.partition("rows=")[2].split()[0]) for line in plan.splitlines() if "Scan" in line and "rows=" in line]
    assert max(read) <= read_max, plan
