"""The agent's and the log's statements read as much of a source's envelopes as they give, however many there are."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from service.ingest import deliveries, envelope_reader
from tests.ingest.conftest import Owner

STATEMENTS = {
    "next_envelopes": ((envelope_reader.NEXT), (1, 20_000, 2**62, 500, 2**21)),
    "deliveries": ((deliveries.DELIVERIES), (1, 30_000, 101)),
}


@pytest.fixture
async def envelopes(owner: Owner) -> None:
    """Sixty thousand of two sources, on two days."""
    await owner.execute("""
        INSERT INTO rewards.envelope (slot, source_no, envelope_no, id, received_at, verdict, reason, bytes, key_day)
        SELECT n / 15001, 1 + n % 2, n / 2 + 1, decode(md5(n::text), 'hex'), now(), 'verified', '', 100, '2030-01-01'
        FROM generate_series(0, 59999) AS n
    """)
    await owner.execute("ANALYZE rewards.envelope")


@pytest.mark.usefixtures("envelopes")
@pytest.mark.parametrize("name", STATEMENTS)
async def test_no_more_is_read_than_is_given(application_pool: asyncpg.Pool[Any], name: str) -> None:
    statement, arguments = STATEMENTS[name]
    async with application_pool.acquire() as connection:
        given = len(await connection.fetch(statement, *arguments))
        lines = await connection.fetch(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, BUFFERS) {statement}", *arguments)
    plan = "\n".join(line[0] for line in lines)
    assert given > 100
    assert "Seq Scan" not in plan
    assert "Merge Append" in plan
    read = [int(float(line.partition("rows=")[2].split()[0])) for line in plan.splitlines() if "rows=" in line]
    assert max(read) <= given + 1, plan
