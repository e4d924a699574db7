"""Which day it is where a brand keeps its books.

There is one source of time zones, the database's: its functions say by it what is due, so whoever computes a day outside of
them reads the zone there too. What the machine of the caller knows of time zones is never asked.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import asyncpg

KNOWN_FROM = datetime(2000, 1, 1, tzinfo=UTC)
KNOWN_UNTIL = datetime(2100, 1, 1, tzinfo=UTC)
"""Before and after, a zone is taken to be as it is then. Nothing is reported of before, and no clock gets so far."""

_OFFSETS = "SELECT since, ahead_s FROM ledger.zone_offsets_v1($1, $2, $3)"


class Calendar:
    """The days of one time zone."""

    __slots__ = ("_offsets", "_since", "time_zone")

    def __init__(self, time_zone: str, offsets: list[tuple[datetime, int]]) -> None:
        """``offsets`` are seconds ahead of UTC, each since when."""
        self.time_zone = time_zone
        self._since = [since.timestamp() for since, _ in offsets[1:]]
        self._offsets = [timezone(timedelta(seconds=ahead_s)) for _, ahead_s in offsets]

    def local(self, at: datetime) -> datetime:
        """``at`` as clocks there show it."""
        return at.astimezone(self._offsets[bisect_right(self._since, at.timestamp())])

    def day(self, at: datetime) -> date:
        """The day there."""
        return self.local(at).date()


async def read_calendar(connection: asyncpg.Connection[Any], time_zone: str) -> Calendar:
    """The days of a time zone, as the database has it."""
    rows = await connection.fetch(_OFFSETS, time_zone, KNOWN_FROM, KNOWN_UNTIL)
    return Calendar(time_zone, [(since, ahead_s) for since, ahead_s in rows])
