"""The days that a report covers, as business dates where the brand keeps its books: the first and the last, both included.
And the cuts between which it may be, ``cut:NAME`` or ``cut:SEQ``: up to a cut it is of the log as it was posted by then.
"""

from __future__ import annotations

import re
from datetime import date

from ledger import Cut, Ledger
from service.brands.brand import Brand
from service.http.filters import read_date
from service.http.periods import Period, parse
from service.http.problems import invalid_field

PREFIX = "cut:"
_SEQ = re.compile(r"\d{1,18}", re.ASCII)
_NAME_LENGTH_MAX = 64


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


async def find_cut(ledger: Ledger, brand: Brand, pointer: str, sent: str | None) -> Cut | None:
    """The cut that ``sent`` names; ``None`` if it names none. Raises the problem of one that the book does not have."""
    if sent is None or not sent.startswith(PREFIX):
        return None
    wanted = sent.removeprefix(PREFIX)
    if _SEQ.fullmatch(wanted):
        found = await ledger.cut_at(brand.book, int(wanted))
    else:
        found = await ledger.cut_named(brand.book, wanted) if len(wanted) <= _NAME_LENGTH_MAX else None
    if found is None:
        raise invalid_field(pointer, f"the book has no cut {wanted[:_NAME_LENGTH_MAX]!r}")
    if found.seq == 0:
        raise invalid_field(pointer, "is a cut from before the book: nothing had been posted by then")
    return found
