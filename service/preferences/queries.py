"""The rows of how often customers want to hear of a brand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from service.preferences.schemas import Frequency

_LAST = """
SELECT preference.frequency, preference.answered_at
FROM rewards.preference
WHERE preference.customer = ANY ($1::bigint[])
ORDER BY preference.answered_at DESC, preference.customer DESC
LIMIT 1
"""
_KEEP = """
INSERT INTO rewards.preference AS kept (customer, brand_id, frequency, answered_at)
VALUES ($1, $2, $3, $4)
ON CONFLICT (customer) DO UPDATE
SET frequency = excluded.frequency, answered_at = excluded.answered_at
WHERE kept.answered_at <= excluded.answered_at
"""


class Answered(msgspec.Struct, frozen=True):
    """What a customer answered last, and when."""

    frequency: Frequency | None
    at: datetime


async def last_answer(pool: asyncpg.Pool[Any], numbers: Sequence[int]) -> Answered | None:
    """What was answered last, given all numbers of a customer."""
    row = await pool.fetchrow(_LAST, numbers)
    return None if row is None else Answered(row["frequency"], row["answered_at"])


async def keep(pool: asyncpg.Pool[Any], brand_id: int, number: int, frequency: Frequency | None, at: datetime) -> None:
    """Keep what a customer answers; what she answered later stands."""
    await pool.execute(_KEEP, number, brand_id, frequency, at)
