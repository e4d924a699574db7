"""The agent that forgets clicks: it empties the partitions of days that are no longer kept."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg

from service.evidence.click_log import KEPT_DAYS, PARTITIONS, slots_between


async def run_once(pool: asyncpg.Pool[Any], *, days: int = KEPT_DAYS, today: date | None = None) -> int:
    """Empty what is older than ``days``. Returns how many partitions; what is empty is not touched."""
    day = today or datetime.now(UTC).date()
    # Tomorrow's is kept as well: it may have begun elsewhere.
    kept = slots_between(day - timedelta(days=days), day + timedelta(days=1))
    emptied = 0
    for slot in set(range(PARTITIONS)) - set(kept):
        if await pool.fetchval("SELECT EXISTS (SELECT FROM rewards.touch WHERE touch.slot = $1)", slot):
            await pool.execute(f"TRUNCATE rewards.touch_{slot:02d}")
            emptied += 1
    return emptied
