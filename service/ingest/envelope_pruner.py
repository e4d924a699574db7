"""The agent that forgets envelopes: it empties the partitions of days that are no longer kept, and deletes the days' keys.
Lines of dry runs go as they do, some at a time.

What is not read yet is kept for longer, but never until its partition's turn comes again.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg

from service.evidence.click_log import PARTITIONS, slot_of, slots_between

LINES_AT_ONCE = 10_000
LAST_DAYS = 2
"""So many days before its turn comes again a partition is emptied, whatever is in it."""

_SQL = Path(__file__).with_name("sql")
_STANDS = (_SQL / "partition_stands.sql").read_text()
_FORGET_LINES = (_SQL / "forget_lines.sql").read_text()
_FORGET_KEYS = (_SQL / "forget_keys.sql").read_text()


async def run_once(pool: asyncpg.Pool[Any], *, days: int, today: date | None = None) -> int:
    """Empty what is older than ``days``. Returns how many partitions."""
    day = today or datetime.now(UTC).date()
    # Tomorrow's is kept as well: it may have begun elsewhere.
    kept = slots_between(day - timedelta(days=days), day + timedelta(days=1))
    last = {slot_of(day - timedelta(days=PARTITIONS - 1 - n)) for n in range(1, LAST_DAYS + 1)}
    emptied = 0
    for slot in sorted(set(range(PARTITIONS)) - set(kept)):
        [stands] = await pool.fetch(_STANDS, slot)
        if stands["is_filled"] and (not stands["is_waiting"] or slot in last):
            await pool.execute(f"TRUNCATE rewards.envelope_{slot:02d}, rewards.envelope_outcome_{slot:02d}")
            emptied += 1
    await pool.execute(_FORGET_LINES, datetime.now(UTC) - timedelta(days=days), LINES_AT_ONCE)
    await pool.execute(_FORGET_KEYS, day - timedelta(days=days + 1))
    return emptied
