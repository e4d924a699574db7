"""What both journals share: entries, and what each account held at the cut.

An entry is one transaction of the log, with two postings for each of its transfers. A debit is positive, and the commodity is
the brand's points code, whose form both programs accept. After the log each
account is declared together with what it held at the cut **by its running balance**, so that a journal program that reads the
file adds up the log on its own and compares: an independent check of our double entry.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date

import msgspec

from ledger import Kind, OwnerTag, Transfer, describe_account
from service.exports.account_names import journal_account
from service.exports.book_at_cut import BookAtCut


class ClosingBalance(msgspec.Struct, frozen=True):
    """What a journal account held at the cut: debits less credits, as journals count. ``note`` names a campaign."""

    account: str
    balance: int
    debits: int
    credits: int
    note: str


def description(legs: list[Transfer]) -> str:
    """What happened, by the verbs of the legs: ``grant``, or ``capture, void``."""
    return ", ".join(dict.fromkeys(leg.verb.name.lower() for leg in legs))


async def entries(book: BookAtCut) -> AsyncIterator[list[Transfer]]:
    """The log's transactions, each as its transfers, oldest first. One that counts on several days is an entry a day."""
    legs: list[Transfer] = []
    async for page in book.transfers():
        for transfer in page:
            if legs and _entry(transfer) != _entry(legs[0]):
                yield legs
                legs = []
            legs.append(transfer)
    if legs:
        yield legs


def _entry(transfer: Transfer) -> tuple[int, date]:
    return transfer.transaction_id, transfer.accounting_date


async def closing_balances(book: BookAtCut) -> AsyncIterator[ClosingBalance]:
    """Every journal account that was used up to the cut, and what it held."""
    current: ClosingBalance | None = None
    async for page in book.accounts():
        for account, debits, credits in page:
            name = journal_account(account)
            if current is not None and current.account == name:
                debits, credits = current.debits + debits, current.credits + credits
            elif current is not None:
                yield current
            current = ClosingBalance(name, debits - credits, debits, credits, _note(account, book))
    if current is not None:
        yield current


def _note(account: bytes, book: BookAtCut) -> str:
    name = describe_account(account)
    if name.owner is OwnerTag.CAMPAIGN and name.kind in (Kind.BUDGET, Kind.UNLIMITED_BUDGET):
        return book.campaigns.get(name.number, "")
    return ""
