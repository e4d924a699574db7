"""accounts.csv: what every account was debited and credited up to the cut, by account id."""

from __future__ import annotations

import csv
from typing import TextIO

from ledger import OwnerTag, describe_account
from service.finance import account_names
from service.finance.book_at_cut import BookAtCut
from service.finance.spreadsheets import neutral
from service.finance.totals import Totals

COLUMNS = (
    "account",
    "kind",
    "class",
    "customer",
    "campaign",
    "redemption",
    "expires_on",
    "debits",
    "credits",
    "balance",
)


async def write(book: BookAtCut, out: TextIO) -> Totals:
    """Write every account that was used up to the cut."""
    totals = Totals()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    async for page in book.accounts():
        for account, debits, credits in page:
            name = account_names.account_name(account, book.campaigns)
            parts = describe_account(account)
            writer.writerow(
                (
                    neutral(name),
                    account_names.kind_name(parts.kind),
                    account_names.class_of(parts) or "",
                    parts.number if parts.owner is OwnerTag.CUSTOMER else "",
                    neutral(book.campaigns.get(parts.number, str(parts.number))) if parts.owner is OwnerTag.CAMPAIGN else "",
                    parts.number if parts.owner is OwnerTag.REDEMPTION else "",
                    account_names.last_day_of(parts) or "",
                    debits,
                    credits,
                    credits - debits,
                )
            )
            totals = totals.plus(debits, credits)
    return totals
