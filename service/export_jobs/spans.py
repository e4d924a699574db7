"""What ``from`` and ``to`` name: a cut, a ``seq``, or a business date, which is included."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

from ledger import Calendar, Cut, Ledger
from service.brands.brand import Brand
from service.finance.queries import find_cut
from service.http.problems import Problem, invalid_field

OVER_AFTER = timedelta(minutes=2)
"""How long after midnight a day is over for certain: clocks may be a minute apart, and a posting takes seconds."""

_DATE = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DAY = timedelta(days=1)


async def find_span(
    ledger: Ledger, brand: Brand, since: str | None, to: str | None, *, now: datetime
) -> tuple[Cut | None, Cut]:
    """Where an export begins and ends. Raises the problem with either. ``now`` is by the brand's clock."""
    begin = None if since is None else await _position(ledger, brand, since, "/from", now, days_later=0)
    end = await ledger.head(brand.book) if to is None else await _position(ledger, brand, to, "/to", now, days_later=1)
    if begin is not None and begin.seq > end.seq:
        raise invalid_field("/from", f"begins after the end: seq {begin.seq} is after seq {end.seq}")
    return begin, end


def last_day_over(calendar: Calendar, now: datetime) -> date:
    """The last business date that is over for certain."""
    return calendar.day(now - OVER_AFTER) - _DAY


async def _position(ledger: Ledger, brand: Brand, wanted: str, pointer: str, now: datetime, *, days_later: int) -> Cut:
    is_date = _DATE.fullmatch(wanted) and await ledger.cut_named(brand.book, wanted) is None
    if is_date:
        day = _day(wanted, pointer)
        return await _cut_before(ledger, brand, day + timedelta(days=days_later), pointer, now)
    try:
        return await find_cut(ledger, brand.book, wanted)
    except Problem as problem:
        raise invalid_field(pointer, problem.errors[0].detail if problem.errors else problem.detail) from None


def _day(wanted: str, pointer: str) -> date:
    try:
        return date.fromisoformat(wanted)
    except ValueError:
        raise invalid_field(pointer, "is neither a cut of the brand nor a date") from None


async def _cut_before(ledger: Ledger, brand: Brand, day: date, pointer: str, now: datetime) -> Cut:
    last = day - _DAY
    if last > last_day_over(brand.calendar, now):
        raise invalid_field(pointer, f"{last} is not over yet in {brand.time_zone}")
    cut = await ledger.cut_before_day(brand.book, day)
    if cut.seq == 0 and pointer == "/to":
        raise invalid_field(pointer, f"nothing was posted up to {last}: it is before the book")
    return cut
