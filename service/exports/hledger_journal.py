"""journal.hledger: the log as a plain-text journal that ``hledger check --strict`` verifies.

Accounts, payees and the commodity are declared, as strict checks want it. A balance at the cut is an entry that moves nothing
and asserts what the account holds. Dates are accounting dates, days of the brand's time zone: what fell due is posted later.
"""

from __future__ import annotations

from datetime import date
from typing import TextIO

from ledger import Transfer
from service.exports import journal
from service.exports.account_names import journal_account
from service.exports.book_at_cut import BookAtCut
from service.exports.totals import Totals

_CLOSING = "balance at the cut"


async def write(book: BookAtCut, out: TextIO) -> Totals:
    """Write the journal. Its rows are entries, its totals those of the accounts at the cut."""
    points = _symbol(book.points_code)
    descriptions: set[str] = set()
    entries = 0
    out.write(f"; {book.brand}, transfers 1 to {book.cut.seq}, by the days of {book.calendar.time_zone}\n\n")
    out.write(f"commodity 1000. {points}\n\n")
    async for legs in journal.entries(book):
        description = journal.description(legs)
        descriptions.add(description)
        out.write(_entry(legs[0].accounting_date, legs, description, points))
        entries += 1
    for description in sorted(descriptions):
        out.write(f"payee {description}\n")
    out.write(f"payee {_CLOSING}\n\n")
    closed_on = book.day(book.cut.posted_at)
    totals = Totals()
    async for closing in journal.closing_balances(book):
        out.write(f"account {closing.account}{f'  ; campaign:{closing.note}' if closing.note else ''}\n")
        out.write(f"{closed_on} {_CLOSING}\n    {closing.account}  0 {points} = {closing.balance} {points}\n\n")
        totals = totals.plus(closing.debits, closing.credits)
    return Totals(entries, totals.debits, totals.credits)


def _entry(day: date, legs: list[Transfer], description: str, points: str) -> str:
    lines = [f"{day} ({legs[0].transaction_id}) {description}  ; seq:{legs[0].seq}\n"]
    for leg in legs:
        seq = f"  ; seq:{leg.seq}" if len(legs) > 1 else ""
        lines.append(f"    {journal_account(leg.debit)}  {leg.amount} {points}{seq}\n")
        lines.append(f"    {journal_account(leg.credit)}  -{leg.amount} {points}\n")
    lines.append("\n")
    return "".join(lines)


def _symbol(points_code: str) -> str:
    return points_code if points_code.isalpha() else f'"{points_code}"'
