"""The days that a report covers, as business dates where the brand keeps its books: the first and the last, both included."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, timedelta

import msgspec

from ledger import month_end
from service.http.dates import read_date
from service.http.problems import invalid_field

ONE_DAY = timedelta(days=1)
_MONTH = re.compile(r"\d{4}-\d{2}", re.ASCII)


class Period(msgspec.Struct, frozen=True):
    """From ``begin`` to ``end``, both included. ``begins_within``: its first day begins at a cut and not at midnight."""

    begin: date
    end: date
    begins_within: bool = False

    def __contains__(self, day: date) -> bool:
        return self.begin <= day <= self.end

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


def read_period(sent_from: str | None, sent_to: str | None, *, first: date, today: date) -> Period:
    """The period that a caller names. Without ``from`` it begins with the month of ``to``, or with the book; without ``to`` it
    ends today.

    ``first`` is the book's first day. Raises the problem of a date that is none, in the future, before the book, or of a period
    that ends before it begins.
    """
    end = today if sent_to is None else _date("?to", sent_to, first, today)
    begin = max(first, end.replace(day=1)) if sent_from is None else _date("?from", sent_from, first, today)
    if begin > end:
        raise invalid_field("?from", f"must not be after to, {end}")
    return Period(begin, end)


def _date(pointer: str, sent: str, first: date, today: date) -> date:
    is_month = _MONTH.fullmatch(sent)
    day = read_date(pointer, f"{sent}-01" if is_month else sent)
    if is_month and day <= today:
        day = _in_month(day, first, today, is_end=pointer == "?to")
    if day > today:
        raise invalid_field(pointer, f"is in the future: where the brand keeps its books it is {today}")
    if day < first:
        raise invalid_field(pointer, f"is before the book, which begins on {first}")
    return day


def _in_month(begin: date, first: date, today: date, *, is_end: bool) -> date:
    """The day of a month that begins or ends a period: in the first month of the book its first day, in this month today."""
    if not is_end:
        return first if begin < first <= month_end(begin, 0) else begin
    return min(month_end(begin, 0), today)
