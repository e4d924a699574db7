"""The log as Arrow's columns, a page at a time: what both transfers.csv and transfers.parquet are made of."""

# Arrow comes without types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportAttributeAccessIssue=false, reportMissingTypeStubs=false, reportUnknownParameterType=false

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from service.exports import transfers_csv
from service.exports.arrow import columns
from service.exports.arrow.beside import in_thread
from service.exports.book_at_cut import BookAtCut, Page, ahead
from service.exports.totals import Totals

_TRANSFER_COLUMNS = (Path(__file__).with_name("sql") / "transfer_columns.sql").read_text()

_TIME, _DAY, _TEXT, _LONG = pa.timestamp("us", "UTC"), pa.date32(), pa.string(), pa.int64()

SCHEMA = pa.schema(
    {
        "seq": _LONG,
        "posted_at": _TIME,
        "occurred_at": _TIME,
        "verb": _TEXT,
        "debit": _TEXT,
        "credit": _TEXT,
        "amount": _LONG,
        "customer": _LONG,
        "campaign": _TEXT,
        "event_key": _TEXT,
        "transaction_id": _LONG,
        "due_at": _TIME,
        "business_date": _DAY,
        "accounting_date": _DAY,
    }
)

T = TypeVar("T")


def pages(book: BookAtCut, use: Callable[[Any], T], campaigns: Mapping[int, str]) -> AsyncGenerator[tuple[T, Totals]]:
    """What ``use`` makes of each page of the log up to the cut. ``campaigns`` is what its column writes."""

    def made(row: Any) -> T:
        return use(_table(row, book, campaigns))

    async def read(page: Page) -> tuple[T, Totals]:
        row = await book.pool.fetchrow(_TRANSFER_COLUMNS, *page)
        assert row is not None
        return await in_thread(made, row), Totals(row["rows"], row["moved"], row["moved"])

    return ahead(book.log_pages(), read)


def _table(row: Any, book: BookAtCut, campaigns: Mapping[int, str]) -> Any:
    """A page of the log, of the columns that the database has sent."""
    if not row["rows"]:
        return SCHEMA.empty_table()
    posted_at = columns.times(row["posted_at"])
    posted_on = columns.days(posted_at, book.calendar)
    return pa.table(
        {
            "seq": columns.int64(row["seq"]),
            "posted_at": posted_at,
            "occurred_at": columns.times(row["occurred_at"]),
            "verb": columns.words(row["verb"], transfers_csv.VERBS),
            "debit": columns.accounts(row["debit"], book.campaigns).names(),
            "credit": columns.accounts(row["credit"], book.campaigns).names(),
            "amount": columns.int64(row["amount"]),
            "customer": columns.but(columns.int64(row["customer"]), columns.NO_NUMBER),
            "campaign": columns.campaigns(columns.int32(row["campaign"]), campaigns),
            "event_key": columns.keys(row["event_key"]),
            "transaction_id": columns.int64(row["transaction_id"]),
            "due_at": columns.times(row["due_at"]),
            "business_date": posted_on,
            "accounting_date": pc.coalesce(columns.dates(row["fell_due_on"]), posted_on),
        },
        schema=SCHEMA,
    )
