"""Cuts in ``from`` and ``to``: ``cut:NAME`` or ``cut:SEQ``. A report up to a cut reads the log up to it, as it was posted."""

from __future__ import annotations

import re

from ledger import Cut, Ledger
from service.brands.brand import Brand
from service.http.problems import invalid_field

PREFIX = "cut:"

_SEQ = re.compile(r"\d{1,18}", re.ASCII)
_NAME_LENGTH_MAX = 64


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
