"""transfers.csv: the log, one row a transfer, by ``seq``.

Times are UTC; ``business_date`` is the day on which the transfer was posted where the brand keeps its books, and
``accounting_date`` the day it counts on: of what fell due, the day it did.
"""

from __future__ import annotations

from typing import TextIO

from ledger import Verb
from service.exports.book_at_cut import BookAtCut
from service.exports.totals import Totals

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
    "business_date",
    "accounting_date",
)

VERBS = [verb.name.lower() for verb in sorted(Verb)]


async def write(book: BookAtCut, out: TextIO) -> Totals:
    """Write the log up to the cut."""
    from service.exports.arrow import csv_lines, transfers

    return await csv_lines.write(COLUMNS, book, transfers.pages, out)
