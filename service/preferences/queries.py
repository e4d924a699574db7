"""The rows of how often customers want to hear of a brand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from service.preferences.schemas import Frequency

_SQL = Path(__file__).with_name("sql")
_LAST = (_SQL / "last_answer.sql").read_text()
_KEEP = (_SQL / "keep_answer.sql").read_text()


class Answered(msgspec.Struct, frozen=True):
    """What a customer answered last, and when."""

    frequency: Frequency | None
    at: datetime


async def last_answer(pool: asyncpg.Pool[Any], numbers: Sequence[int]) -> Answered | None:
    """What was answered last, given all numbers of a customer."""
    row = await pool.fetchrow(_LAST, numbers)
    return None if row is None else Answered(row["frequency"], row["answered_at"])


async def keep(pool: asyncpg.Pool[Any], brand_id: int, number: int, frequency: Frequency | None, at: datetime) -> None:
    """Store a customer's answer, unless a later one is stored."""
    await pool.execute(_KEEP, number, brand_id, frequency, at)
