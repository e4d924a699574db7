"""What ``from`` and ``to`` name: a cut, a ``seq``, or a month or day, which is included."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from ledger import Calendar, Cut, Ledger
from service.brands.brand import Brand
from service.finance.queries import find_cut
from service.http import periods
from service.http.periods import Period
from service.http.problems import Problem, invalid_field

OVER_AFTER = timedelta(minutes=2)
"""How long after midnight a day is over for certain: clocks may be a minute apart, and a posting takes seconds."""

_DAY = timedelta(days=1)


async def find_span(
    ledger: Ledger, brand: Brand, since: str | None, to: str | None, *, now: datetime
) -> tuple[Cut | None, Cut]:
    """Where an export begins and ends. Raises the problem with either. ``now`` is by the brand's clock."""
    begin, first = (None, None) if since is None else await _named(ledger, brand, since, "/from")
    end, last = (await ledger.head(brand.book), None) if to is None else await _named(ledger, brand, to, "/to")
    if first is not None:
        begin = await _cut_before(ledger, brand, first.begin, "/from", now)
    if last is not None:
        end = await _cut_before(ledger, brand, last.end + _DAY, "/to", now)
    assert end is not None
    if begin is not None and begin.seq > end.seq:
        raise invalid_field("/from", f"begins after the end: seq {begin.seq} is after seq {end.seq}")
    return begin, end


def last_day_over(calendar: Calendar, now: datetime) -> date:
    """The last business date that is over for certain."""
    return calendar.day(now - OVER_AFTER) - _DAY


async def _named(ledger: Ledger, brand: Brand, wanted: str, pointer: str) -> tuple[Cut | None, Period | None]:
    """The cut or the period of this name; a cut comes first."""
    period = periods.parse(wanted)
    cut = None if period is None else await ledger.cut_named(brand.book, wanted)
    if period is not None and cut is None:
        return None, period
    try:
        return cut or await find_cut(ledger, brand.book, wanted), None
    except Problem as problem:
        raise invalid_field(pointer, problem.errors[0].detail if problem.errors else problem.detail) from None


async def _cut_before(ledger: Ledger, brand: Brand, day: date, pointer: str, now: datetime) -> Cut:
    last = day - _DAY
    if last > last_day_over(brand.calendar, now):
        raise invalid_field(pointer, f"{last} is not over yet in {brand.time_zone}")
    cut = await ledger.cut_before_day(brand.book, day)
    if cut.seq == 0 and pointer == "/to":
        raise invalid_field(pointer, f"nothing was posted up to {last}: it is before the book")
    return cut
