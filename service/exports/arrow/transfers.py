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
from service.exports.arrow import account_ids, columns
from service.exports.arrow.beside import in_thread
from service.exports.arrow.columns import Column, Columns
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


_VERB = 31
_IN_TRANSACTION, _IS_DUE, _FELL_DUE = 32, 64, 128
"""What a row has besides, beside its verb."""


def pages(book: BookAtCut, use: Callable[[Columns], T], campaigns: Mapping[int, str]) -> AsyncGenerator[tuple[T, Totals]]:
    """What ``use`` makes of each page of the log up to the cut. ``campaigns`` is what its column writes."""

    def made(row: Any) -> T:
        return use(_columns(row, book, campaigns))

    async def read(page: Page) -> tuple[T, Totals]:
        row = await book.pool.fetchrow(_TRANSFER_COLUMNS, *page)
        assert row is not None
        return await in_thread(made, row), Totals(row["rows"], row["moved"], row["moved"])

    return ahead(book.log_pages(), read)


def _columns(row: Any, book: BookAtCut, campaigns: Mapping[int, str]) -> Columns:
    """A page of the log, of the columns that the database has sent. Those that say the same are one, which is written once."""
    if not row["rows"]:
        return columns.none_of(SCHEMA)
    seq, posted_at, said = columns.int64(row["seq"]), columns.times(row["posted_at"]), columns.int16(row["said"])
    posted_on = columns.days(posted_at, book.calendar)
    fell_due_on = _some(columns.dates(row["fell_due_on"] or b""), said, _FELL_DUE)
    transaction_id = _some(columns.int64(row["transaction_id"] or b""), said, _IN_TRANSACTION)
    return {
        "seq": seq,
        "posted_at": posted_at,
        "occurred_at": columns.times(row["occurred_at"]),
        "verb": columns.words(pc.bit_wise_and(said, _VERB), transfers_csv.VERBS),
        "debit": account_ids.names(row["debit"], book.campaigns),
        "credit": account_ids.names(row["credit"], book.campaigns),
        "amount": columns.int64(row["amount"]),
        "customer": columns.but(columns.int64(row["customer"]), columns.NO_NUMBER),
        "campaign": columns.campaigns(columns.int32(row["campaign"]), campaigns),
        "event_key": columns.keys(row["event_key"]),
        "transaction_id": _or(transaction_id, seq),
        "due_at": _some(columns.times(row["due_at"] or b""), said, _IS_DUE),
        "business_date": posted_on,
        "accounting_date": _or(fell_due_on, posted_on),
    }


def _some(values: Column, said: Column, has: int) -> Column:
    """A column of which the database has sent only the values that there are."""
    return columns.spread(values, pc.not_equal(pc.bit_wise_and(said, has), 0))


def _or(column: Column, other: Column) -> Column:
    return other if column.null_count == len(column) else pc.coalesce(column, other)
