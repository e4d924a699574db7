"""The days that a report covers, as business dates where the brand keeps its books: the first and the last, both included."""

from __future__ import annotations

from datetime import date

from service.http.dates import read_date
from service.http.periods import Period, parse
from service.http.problems import invalid_field


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
    asked = parse(sent)
    if asked is None:
        day = read_date(pointer, sent)
        asked = Period(day, day)
    # Of a month in which the book begins, or which is not over, it is the part that there is.
    day = min(asked.end, max(asked.begin, today if pointer == "?to" else first))
    if day > today:
        raise invalid_field(pointer, f"is in the future: where the brand keeps its books it is {today}")
    if day < first:
        raise invalid_field(pointer, f"is before the book, which begins on {first}")
    return day
