"""customers.csv: what each customer's own accounts held at the cut, by number. Held points are those of redemptions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TextIO

from ledger import Kind, OwnerTag, describe_account
from service.exports.book_at_cut import BookAtCut
from service.exports.totals import Totals

COLUMNS = ("customer", "spendable", "pending")


async def write(book: BookAtCut, out: TextIO) -> Totals:
    """Write every customer who has ever had points. Its debits and credits are those of their accounts."""
    out.write(",".join(COLUMNS) + "\n")
    totals = Totals()
    async for customer, spendable, pending, debits, credits in _customers(book):
        out.write(f"{customer},{spendable},{pending}\n")
        totals = totals.plus(debits, credits)
    return totals


async def _customers(book: BookAtCut) -> AsyncIterator[tuple[int, int, int, int, int]]:
    """Number, spendable, pending, debits, credits. Ids sort by owner, so that a customer's accounts come together."""
    current: tuple[int, int, int, int, int] | None = None
    async for page in book.accounts():
        for account, debits, credits in page:
            name = describe_account(account)
            if name.owner < OwnerTag.CUSTOMER:
                continue
            if name.owner > OwnerTag.CUSTOMER:
                break
            if current is not None and current[0] != name.number:
                yield current
                current = None
            number, spendable, pending, all_debits, all_credits = current or (name.number, 0, 0, 0, 0)
            balance = credits - debits
            current = (
                number,
                spendable + balance * (name.kind is Kind.LOT),
                pending + balance * (name.kind is Kind.PENDING),
                all_debits + debits,
                all_credits + credits,
            )
    if current is not None:
        yield current
