"""transfers.csv: the log, one row a transfer, by ``seq``."""

from __future__ import annotations

import csv
from typing import TextIO

from service.finance import account_names
from service.finance.book_at_cut import BookAtCut
from service.finance.spreadsheets import neutral
from service.finance.totals import Totals, utc

COLUMNS = (
    "seq",
    "posted_at",
    "occurred_at",
    "verb",
    "debit",
    "credit",
    "amount",
    "customer",
    "campaign",
    "event_key",
    "transaction_id",
    "due_at",
)


async def write(book: BookAtCut, out: TextIO) -> Totals:
    """Write the log up to the cut."""
    rows = amounts = 0
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    async for page in book.transfers():
        writer.writerows(
            (
                transfer.seq,
                utc(transfer.posted_at),
                utc(transfer.occurred_at),
                transfer.verb.name.lower(),
                neutral(account_names.account_name(transfer.debit, book.campaigns)),
                neutral(account_names.account_name(transfer.credit, book.campaigns)),
                transfer.amount,
                transfer.customer or "",
                neutral(book.campaigns.get(transfer.campaign_no, str(transfer.campaign_no))) if transfer.campaign_no else "",
                transfer.event_key.hex() if transfer.event_key else "",
                transfer.transaction_id,
                utc(transfer.due_at) if transfer.due_at else "",
            )
            for transfer in page
        )
        rows += len(page)
        amounts += sum(transfer.amount for transfer in page)
    return Totals(rows=rows, debits=amounts, credits=amounts)
