"""Periods by name: ``2026-11`` is a month, ``2026-11-30`` a day."""

from __future__ import annotations

import re
from datetime import date

import msgspec

from ledger import month_end

NAME = "^[0-9]{4}-[0-9]{2}(-[0-9]{2})?$(?!\\n)"
_NAME = re.compile(r"(\d{4})-(\d{2})(?:-(\d{2}))?", re.ASCII)
_YEAR_MIN, _YEAR_MAX = 2000, 9998


class Period(msgspec.Struct, frozen=True):
    """From one day to another."""

    begins_on: date
    ends_on: date

    @property
    def name(self) -> str:
        """What it is called."""
        return self.begins_on.isoformat() if self.begins_on == self.ends_on else f"{self.begins_on:%Y-%m}"


def parse(name: str) -> Period | None:
    """The period of a name; ``None`` if there is none."""
    parts = _NAME.fullmatch(name)
    if parts is None:
        return None
    year, month, day = int(parts[1]), int(parts[2]), int(parts[3] or 1)
    try:
        begins_on = date(year, month, day)
    except ValueError:
        return None
    if not _YEAR_MIN <= year <= _YEAR_MAX:
        return None
    return Period(begins_on, begins_on if parts[3] else month_end(begins_on, 0))
