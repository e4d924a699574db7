"""What changed what is owed, day by day, as an agent has added it up behind the log (see ``layers/tracking.py``).

How far they go is read with them: the log behind that is for the caller to read. There are so many rows a day, however many
transfers there were. They are read in pieces, at one instant.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from ledger.read_models import DailyMovements, Movement, MovementsBy
from ledger.reads.movements import movement_of
from ledger.types import Book

DAYS_AT_ONCE = 100
"""What one statement reads."""

_SQL = Path(__file__).with_name("sql")
_KEPT = (_SQL / "daily_movements_kept.sql").read_text()
_DAILY = (_SQL / "daily_movements.sql").read_text()
_ONE_DAY = timedelta(days=1)


async def daily_movements(pool: asyncpg.Pool[Any], book: Book, *, starts: Sequence[date], by: MovementsBy) -> DailyMovements:
    """All that is kept. Days from one of ``starts`` to the next, which are in order, count as the first of them, and all before
    them as the day before.
    """
    options: Any = {"isolation": "repeatable_read", "readonly": True}
    async with pool.acquire() as connection, connection.transaction(**options):
        kept = await connection.fetchrow(_KEPT, book.book_id, book.brand_id)
        if kept is None or not kept["seq"]:
            return DailyMovements(0, ())
        found: list[Movement] = []
        for begin, end in _pieces(kept["first_day"], kept["last_day"]):
            piece = (book.book_id, book.brand_id, begin, end, starts, *msgspec.structs.astuple(by))
            rows = await connection.fetch(_DAILY, *piece)
            found += [movement_of(row, day=_day(starts, row["stretch"])) for row in rows]
    return DailyMovements(kept["seq"], found)


def _pieces(first: date | None, last: date | None) -> Sequence[tuple[date, date]]:
    if first is None or last is None:
        return ()
    days = range(0, (last - first).days + 1, DAYS_AT_ONCE)
    return [(first + timedelta(days=day), first + timedelta(days=day + DAYS_AT_ONCE)) for day in days]


def _day(starts: Sequence[date], stretch: int) -> date:
    return starts[stretch - 1] if stretch else starts[0] - _ONE_DAY
