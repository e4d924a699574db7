"""transfer_details.csv: transfers with all that is known of them; transfers.jsonl has the same.

Beside the columns of transfers.csv: what was reported (channel, action, message, grade, source, which key reported it, under
which version of the campaign), the redemption (order reference, store, terminal), and what the points were worth by the value
that held when they were posted.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from typing import Any, TextIO, TypeAlias

from ledger import decimals_of
from service.exports.account_names import by_number
from service.exports.book_at_cut import BookAtCut, Page
from service.exports.totals import Totals
from service.exports.transfers_csv import VERBS

COLUMNS = (
    "seq",
    "transaction_id",
    "posted_at",
    "accounting_date",
    "occurred_at",
    "verb",
    "debit",
    "credit",
    "amount",
    "value",
    "point_value_version",
    "customer",
    "campaign",
    "grant_id",
    "action",
    "channel",
    "message_id",
    "grade",
    "source",
    "principal",
    "campaign_version",
    "redemption_id",
    "order_ref",
    "store_id",
    "terminal_id",
    "due_at",
)
ROWS_MAX = 5_000
"""A page: its rows are wide, and each is looked up in other tables."""
COPIED_AS_CSV = {"format": "csv"}

_SQL = Path(__file__).with_name("sql")
ROWS = (_SQL / "transfer_details.sql").read_text()
SUMS = (_SQL / "transfer_details_sums.sql").read_text()

Days: TypeAlias = tuple[date, date]
"""The first and the last of some accounting dates."""


async def write(book: BookAtCut, out: TextIO) -> Totals:
    """Write the log up to the cut, in detail."""
    out.buffer.write((",".join(COLUMNS) + "\n").encode())
    return await book.copy(ROWS, SUMS, pages(book), forms(book, for_spreadsheet=True), out, COPIED_AS_CSV)


async def pages(book: BookAtCut, days: Days | None = None) -> AsyncIterator[Page]:
    """The log up to the cut in pages, as arguments of ``ROWS`` and ``SUMS``: all of it, or what counts on some days."""
    async for page in book.log_pages(ROWS_MAX):
        yield *page, book.calendar.time_zone, *(days or (None, None))


def forms(book: BookAtCut, *, for_spreadsheet: bool) -> tuple[Any, ...]:
    """How ``ROWS`` writes what it finds."""
    versions = book.bookkeeping.versions
    return (
        VERBS,
        by_number(book.campaigns),
        [version.valid_from for version in versions],
        [version.version for version in versions],
        [version.value.points for version in versions],
        [version.value.minor_units for version in versions],
        decimals_of(book.bookkeeping.currency) if versions else 0,
        for_spreadsheet,
    )
