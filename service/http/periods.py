"""Periods of business dates: ``2026-11`` is a month, ``2026-11-30`` a day; others have no name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, timedelta

import msgspec

from ledger import month_end

ONE_DAY = timedelta(days=1)
NAME = "^[0-9]{4}-[0-9]{2}(-[0-9]{2})?$(?!\\n)"

_NAME = re.compile(r"(\d{4})-(\d{2})(?:-(\d{2}))?", re.ASCII)
_YEAR_MIN = 2000
YEAR_MAX = 9998
"""So that the day after any is a date too."""


class Period(msgspec.Struct, frozen=True):
    """From ``begin`` to ``end``, both included. ``begins_within``: its first day begins at a cut and not at midnight."""

    begin: date
    end: date
    begins_within: bool = False

    def __contains__(self, day: date) -> bool:
        return self.begin <= day <= self.end

    @property
    def name(self) -> str:
        """What a day or a month is called."""
        return self.begin.isoformat() if self.begin == self.end else f"{self.begin:%Y-%m}"

    @property
    def day_before(self) -> date:
        """The day before the first."""
        return self.begin - ONE_DAY

    @property
    def opens_on(self) -> date:
        """The day by whose value counts what is owed when the period begins."""
        return self.begin if self.begins_within else self.day_before

    def months(self) -> Iterator[Period]:
        """The calendar months, or parts of them, that the period consists of."""
        begin = self.begin
        while begin <= self.end:
            last = min(self.end, month_end(begin, 0))
            yield Period(begin, last, self.begins_within and begin == self.begin)
            begin = last + ONE_DAY


def parse(name: str) -> Period | None:
    """The day or month of a name; ``None`` if there is none."""
    parts = _NAME.fullmatch(name)
    if parts is None:
        return None
    try:
        begin = date(int(parts[1]), int(parts[2]), int(parts[3] or 1))
    except ValueError:
        return None
    if not _YEAR_MIN <= begin.year <= YEAR_MAX:
        return None
    return Period(begin, begin if parts[3] else month_end(begin, 0))
