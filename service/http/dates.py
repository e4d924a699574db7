"""Dates in a query: a day of the calendar as ISO 8601 writes it, in full."""

from __future__ import annotations

import re
from datetime import date

from service.http.problems import invalid_field

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def read_date(pointer: str, sent: str) -> date:
    """The date that ``sent`` spells. Raises the problem of the field at ``pointer``."""
    try:
        day = date.fromisoformat(sent) if _DATE.fullmatch(sent) else None
    except ValueError:
        day = None
    if day is None:
        raise invalid_field(pointer, "must be a date, such as 2026-11-30")
    return day
