"""journal.hledger: the log as a plain-text journal that ``hledger check --strict`` verifies.

Accounts, payees and commodities are declared, as strict checks want it; a payee is what happened. A balance at the cut is an
entry that moves nothing and asserts what the account holds. Dates are accounting dates, days of the brand's time zone; entries
stand in the order of the log, so what fell due and was posted later bears an earlier date than the entry before it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TextIO

from ledger import decimals_of
from service.exports import journal
from service.exports.book_at_cut import BookAtCut
from service.exports.bookkeeping import price
from service.exports.free_text import hledger_description, hledger_tag
from service.exports.journal import Entry, Subject
from service.exports.totals import Totals

_CLOSING = "balance at the cut"
_SUBJECTS_KEPT = 4_096


async def write(book: BookAtCut, out: TextIO) -> Totals:
    """Write the journal. Its rows are entries, its totals those of our accounts at the cut."""
    points = _symbol(book.points_code)
    payees: set[str] = set()
    entries = 0
    out.write(f"; {book.brand}, transfers 1 to {book.cut.seq}, by the days of {book.calendar.time_zone}\n\n")
    out.writelines(_commodities(book, points))
    async for entry in journal.entries(book):
        payees.add(entry.what)
        out.write(_entry(entry, points))
        entries += 1
    out.writelines(f"payee {payee}\n" for payee in sorted(payees | {_CLOSING}))
    out.write("\n")
    closed_on = book.day(book.cut.posted_at)
    totals = Totals()
    async for closing in journal.closing_balances(book):
        note = hledger_tag(closing.note)
        out.write(f"account {closing.account}{f'  ; campaign:{note}' if note else ''}\n")
        out.write(f"{closed_on} {_CLOSING}\n    {closing.account}  0 {points} = {closing.balance} {points}\n\n")
        totals = totals.plus(closing.debits, closing.credits)
    return Totals(entries, totals.debits, totals.credits)


def _commodities(book: BookAtCut, points: str) -> Iterator[str]:
    currency = book.bookkeeping.currency
    yield f"commodity 1000. {points}\n"
    if book.bookkeeping.values:
        yield f"commodity 1000.{'0' * decimals_of(currency)} {currency}\n"
    yield "\n"
    for since in book.bookkeeping.values:
        worth, exact = price(since.value, currency)
        yield f"P {since.starts_on} {points} {worth} {currency}{'' if exact else '  ; rounded'}\n"
    yield "\n"


def _entry(entry: Entry, points: str) -> str:
    number = "" if entry.number is None else f" ({entry.number})"
    lines = [f"{entry.day}{number} {entry.what}{_about(entry.subject)}\n"]
    lines += [f"    {leg.debit}  {leg.amount} {points}\n    {leg.credit}  -{leg.amount} {points}\n" for leg in entry.legs]
    lines.append("\n")
    return "".join(lines)


@functools.lru_cache(_SUBJECTS_KEPT)
def _about(subject: Subject) -> str:
    about = hledger_description(subject.about)
    tags = ", ".join(f"{name}:{hledger_tag(text)}" for name, text in subject.tags)
    return (f" | {about}" if about else "") + (f"  ; {tags}" if tags else "")


def _symbol(points_code: str) -> str:
    return points_code if points_code.isalpha() else f'"{points_code}"'
