"""The agent that counts clicks, a few thousand at a time, so that what they came to is known when they are gone.

A click is counted some seconds after it was recorded, when it is known what else was fetched around it. Beside how many there
were of which grade, two things are counted, for what machines were not paid:

    firsts     links that nobody had touched before: where a design that pays whoever comes first would have paid
    followed   links whose first click was a machine's, and on which a person then acted: those were owed anyway, and count on
               the day of that first click

Whoever reads does so once: the reader's row says how far it has come, and is locked meanwhile.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg

from service.evidence.bot_detection import SIBLINGS_OF_A_MACHINE, SIBLINGS_WITHIN_S
from service.evidence.click_log import PARTITIONS, SIBLINGS_COUNTED_MAX, slots_between

COUNTED_AT_ONCE = 2_000
LAG = timedelta(seconds=15)
"""No click that is recorded is invisible for so long, and none has siblings that are recorded so late."""

_SINCE = "SELECT counted_until FROM rewards.touch_reader FOR UPDATE SKIP LOCKED"
_SQL = Path(__file__).with_name("sql")
_UNTIL = (_SQL / "next_clicks.sql").read_text()
_MOVE = "UPDATE rewards.touch_reader SET counted_until = $1"

_COUNT = (_SQL / "count_clicks.sql").read_text()


async def run_once(pool: asyncpg.Pool[Any], *, limit: int = COUNTED_AT_ONCE, lag: timedelta = LAG) -> int:
    """Count the next clicks. Returns how many; 0 means that there are none, or that another worker is at it."""
    async with pool.acquire() as connection, connection.transaction():
        since: datetime | None = await connection.fetchval(_SINCE)
        if since is None:
            return 0
        today = datetime.now(UTC).date()
        slots = slots_between(max(since.astimezone(UTC).date(), today - timedelta(days=PARTITIONS)), today)
        until: datetime | None = await connection.fetchval(_UNTIL, since, lag, slots, limit)
        if until is None:
            return 0
        around = timedelta(seconds=SIBLINGS_WITHIN_S)
        counted: int = await connection.fetchval(
            _COUNT, since, until, slots, around, SIBLINGS_OF_A_MACHINE, SIBLINGS_COUNTED_MAX
        )
        await connection.execute(_MOVE, until)
        return counted
