"""journal.beancount: the log as a plain-text journal that ``bean-check`` verifies.

beancount sorts by date and checks a ``balance`` at the beginning of its day: accounts open on the day of the first entry, and
the balances at the cut are those of the next morning. Dates are accounting dates, days of the brand's time zone.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TextIO

from ledger import Transfer
from service.exports import journal
from service.exports.account_names import journal_account
from service.exports.book_at_cut import BookAtCut
from service.exports.totals import Totals


async def write(book: BookAtCut, out: TextIO) -> Totals:
    """Write the journal. Its rows are entries, its totals those of the accounts at the cut."""
    points = book.points_code
    opened_on: date | None = None
    entries = 0
    out.write(
        f'option "title" {_quoted(f"{book.brand}, transfers 1 to {book.cut.seq}, by the days of {book.calendar.time_zone}")}\n'
    )
    out.write(f'option "operating_currency" "{points}"\n\n')
    async for legs in journal.entries(book):
        day = legs[0].accounting_date
        opened_on = min(opened_on or day, day)
        out.write(_entry(day, legs, points))
        entries += 1
    opened_on = opened_on or book.day(book.cut.posted_at)
    out.write(f"{opened_on} commodity {points}\n\n")
    closed_on = book.day(book.cut.posted_at) + timedelta(days=1)
    totals = Totals()
    async for closing in journal.closing_balances(book):
        out.write(f"{opened_on} open {closing.account} {points}\n")
        if closing.note:
            out.write(f"  campaign: {_quoted(closing.note)}\n")
        out.write(f"{closed_on} balance {closing.account}  {closing.balance} {points}\n")
        totals = totals.plus(closing.debits, closing.credits)
    return Totals(entries, totals.debits, totals.credits)


def _entry(day: date, legs: list[Transfer], points: str) -> str:
    lines = [f'{day} * "{journal.description(legs)}"\n  seq: {legs[0].seq}\n']
    for leg in legs:
        lines.append(f"  {journal_account(leg.debit)}  {leg.amount} {points}\n")
        if len(legs) > 1:
            lines.append(f"    seq: {leg.seq}\n")
        lines.append(f"  {journal_account(leg.credit)}  -{leg.amount} {points}\n")
    lines.append("\n")
    return "".join(lines)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
