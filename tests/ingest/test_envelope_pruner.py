"""What providers sent is gone at its time, with the key that opens it, but not before it is read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from service.evidence.click_log import PARTITIONS
from service.ingest import envelope_pruner
from tests.api_fixtures import Api
from tests.ingest.conftest import Owner, make_source
from tests.ingest.senders import SendGrid, click, send

DAYS = 14
pytestmark = pytest.mark.own_database("empties partitions")


async def test_a_day_is_gone_at_its_time_once_it_is_read(
    api: Api, issuer: httpx.AsyncClient, owner: Owner, worker_pool: asyncpg.Pool[Any]
) -> None:
    sender = SendGrid()
    url = (await make_source(issuer, sender))["ingest_url"]
    await send(api, url, sender.signed([click("ada@example.org", "m-1")]))
    today = datetime.now(UTC).date()

    async def left_after(days: int) -> tuple[int, int]:
        await envelope_pruner.run_once(worker_pool, days=DAYS, today=today + timedelta(days=days))
        counts = [await owner.fetchval(f"SELECT count(*) FROM rewards.{each}") for each in ("envelope", "envelope_key")]
        return counts[0], counts[1]

    # It waits to be read.
    assert await left_after(DAYS + 5) == (1, 1)
    await owner.execute("UPDATE rewards.source_reader SET read_no = 1")
    assert await left_after(DAYS) == (1, 1)
    assert await left_after(DAYS + 1) == (0, 1)
    assert await left_after(DAYS + 2) == (0, 0)


async def test_what_nobody_reads_is_gone_before_its_partitions_turn_comes_again(
    api: Api, issuer: httpx.AsyncClient, owner: Owner, worker_pool: asyncpg.Pool[Any]
) -> None:
    sender = SendGrid()
    url = (await make_source(issuer, sender))["ingest_url"]
    await send(api, url, sender.signed([click("ada@example.org", "m-1")]))
    today = datetime.now(UTC).date()
    emptied = [
        await envelope_pruner.run_once(worker_pool, days=DAYS, today=today + timedelta(days=days))
        for days in range(1, PARTITIONS)
    ]
    assert [days for days, count in enumerate(emptied, 1) if count] == [PARTITIONS - 1 - envelope_pruner.LAST_DAYS]
