"""journal.beancount: the log as a plain-text journal that ``bean-check`` verifies.

beancount sorts by date and checks a ``balance`` at the beginning of its day: accounts open on the day of the first entry, and
the balances at the cut are those of the next morning. Dates are accounting dates, days of the brand's time zone.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from datetime import date, timedelta
from typing import TextIO

from service.exports import journal
from service.exports.book_at_cut import BookAtCut
from service.exports.bookkeeping import price
from service.exports.free_text import beancount_text
from service.exports.journal import Entry, Subject
from service.exports.totals import Totals

_SUBJECTS_KEPT = 4_096


async def write(book: BookAtCut, out: TextIO) -> Totals:
    """Write the journal. Its rows are entries, its totals those of our accounts at the cut."""
    points = book.points_code
    opened_on = date.max
    entries = 0
    out.writelines(_head(book))
    async for entry in journal.entries(book):
        opened_on = min(opened_on, entry.day)
        out.write(_entry(entry, points))
        entries += 1
    closed_on = book.day(book.cut.posted_at) + timedelta(days=1)
    opened_on = min(opened_on, closed_on - timedelta(days=1))
    out.write(f"{opened_on} commodity {points}\n\n")
    totals = Totals()
    async for closing in journal.closing_balances(book):
        out.write(f"{opened_on} open {closing.account} {points}\n")
        if closing.note:
            out.write(f"  campaign: {beancount_text(closing.note)}\n")
        out.write(f"{closed_on} balance {closing.account}  {closing.balance} {points}\n")
        totals = totals.plus(closing.debits, closing.credits)
    return Totals(entries, totals.debits, totals.credits)


def _head(book: BookAtCut) -> Iterator[str]:
    currency = book.bookkeeping.currency
    title = f"{book.brand}, transfers 1 to {book.cut.seq}, by the days of {book.calendar.time_zone}"
    yield f'option "title" {beancount_text(title)}\noption "operating_currency" "{book.points_code}"\n'
    if book.bookkeeping.values:
        yield f'option "operating_currency" "{currency}"\n'
    yield "\n"
    for since in book.bookkeeping.values:
        worth, exact = price(since.value, currency)
        yield f"{since.starts_on} price {book.points_code} {worth} {currency}{'' if exact else '  ; rounded'}\n"
    yield "\n"


def _entry(entry: Entry, points: str) -> str:
    seq = "" if entry.number is None else f"  seq: {entry.number}\n"
    lines = [f"{entry.day} * {_about(entry.what, entry.subject)}\n{seq}{_tags(entry.subject)}"]
    lines += [f"  {leg.debit}  {leg.amount} {points}\n  {leg.credit}  -{leg.amount} {points}\n" for leg in entry.legs]
    lines.append("\n")
    return "".join(lines)


@functools.lru_cache(_SUBJECTS_KEPT)
def _about(what: str, subject: Subject) -> str:
    return beancount_text(f"{what}: {subject.about}" if subject.about else what)


@functools.lru_cache(_SUBJECTS_KEPT)
def _tags(subject: Subject) -> str:
    return "".join(f"  {name}: {beancount_text(text)}\n" for name, text in subject.tags)
