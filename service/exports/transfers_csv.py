"""transfers.csv: the log, one row a transfer, by ``seq``. The database writes the rows, ten times as fast as we could.

Times are UTC; ``business_date`` is the day on which the transfer was posted where the brand keeps its books, and
``accounting_date`` the day it counts on: of what fell due, the day it did.
"""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

from ledger import Verb
from service.exports.account_names import by_number
from service.exports.book_at_cut import BookAtCut
from service.exports.spreadsheets import neutral
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

_SQL = Path(__file__).with_name("sql")
ROWS = (_SQL / "transfers_csv.sql").read_text()

SUMS = (_SQL / "transfers_sums.sql").read_text()

VERBS = [verb.name.lower() for verb in sorted(Verb)]


async def write(book: BookAtCut, out: TextIO) -> Totals:
    """Write the log up to the cut."""
    out.buffer.write((",".join(COLUMNS) + "\n").encode())
    names = by_number(book.campaigns)
    cells = by_number({number: neutral(campaign) for number, campaign in book.campaigns.items()})
    return await book.copy(ROWS, SUMS, book.log_pages(), (VERBS, names, cells, book.calendar.time_zone), out)
