"""Which day it is where a brand keeps its books.

There is one source of time zones, the database's: its functions decide by it what is due. So whoever computes a day elsewhere
reads the zone from there too, and the caller's machine is never asked.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg

KNOWN_FROM = datetime(2000, 1, 1, tzinfo=UTC)
KNOWN_UNTIL = datetime(2100, 1, 1, tzinfo=UTC)
"""Before and after, a zone is taken to be as it is at that time. Nothing is reported from before, and no clock gets that far.
"""

_EVER, _FOR_EVER = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_OFFSETS = "SELECT since, ahead_s FROM ledger.zone_offsets_v1($1, $2, $3)"


class Calendar:
    """The days of one time zone."""

    __slots__ = ("_since", "_spells", "_used", "time_zone")

    def __init__(self, time_zone: str, offsets: list[tuple[datetime, int]]) -> None:
        """``offsets`` are seconds ahead of UTC, each since when."""
        self.time_zone = time_zone
        self._since = [since for since, _ in offsets[1:]]
        bounds = [_EVER, *self._since, _FOR_EVER]
        self._spells = [
            (since, until, timedelta(seconds=ahead_s))
            for since, until, (_, ahead_s) in zip(bounds, bounds[1:], offsets, strict=False)
        ]
        self._used = self._spells[-1]

    def day(self, at: datetime) -> date:
        """The day there. ``at`` is in UTC, or has a zone of its own."""
        since, until, ahead = self._used
        if at.tzinfo is not UTC:
            at = at.astimezone(UTC)
        # Days are mostly asked for in order, so within the same spell.
        if not since <= at < until:
            since, until, ahead = self._used = self._spells[bisect_right(self._since, at)]
        return (at + ahead).date()

    def local(self, at: datetime) -> datetime:
        """What clocks there show at ``at``, as a time without a zone."""
        at = at.astimezone(UTC)
        *_, ahead = self._spells[bisect_right(self._since, at)]
        return at.replace(tzinfo=None) + ahead

    def spells(self, since: datetime, until: datetime) -> list[tuple[datetime, timedelta]]:
        """How far the zone is ahead of UTC from ``since`` to ``until``, each from when on."""
        first, last = bisect_right(self._since, since), bisect_right(self._since, until)
        return [(begins, ahead) for begins, _, ahead in self._spells[first : last + 1]]


async def read_calendar(connection: asyncpg.Connection[Any], time_zone: str) -> Calendar:
    """The days of a time zone, as the database knows it."""
    rows = await connection.fetch(_OFFSETS, time_zone, KNOWN_FROM, KNOWN_UNTIL)
    return Calendar(time_zone, [(since, ahead_s) for since, ahead_s in rows])
