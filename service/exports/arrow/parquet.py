"""Parquet: transfers, accounts and transfers in detail, typed: int64, decimal, timestamps in UTC with microseconds, dates.

Files are compressed with zstd, in groups of rows of one size, so that neither a writer nor a reader has more of it in memory,
and so that the same rows make the same bytes with the same version of Arrow.

Transfers come from the database as columns and are never text; the others as CSV, which Arrow reads.
"""

# Arrow comes without types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportAttributeAccessIssue=false, reportMissingTypeStubs=false, reportUnknownParameterType=false

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TextIO, TypeVar

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from service.exports import accounts_csv, transfer_details, transfers_csv
from service.exports.account_names import by_number
from service.exports.arrow import columns
from service.exports.book_at_cut import BookAtCut, Page, ahead
from service.exports.totals import Totals

GROUP_ROWS = 25_000

T = TypeVar("T")

# One thread beside the event loop: each that allocates keeps memory of its own.
_beside = ThreadPoolExecutor(1, "arrow")

_TRANSFER_COLUMNS = (Path(__file__).with_name("sql") / "transfer_columns.sql").read_text()

_TIME, _DAY, _TEXT, _LONG, _INT = pa.timestamp("us", "UTC"), pa.date32(), pa.string(), pa.int64(), pa.int32()
_MONEY = pa.decimal128(38, 6)

TRANSFERS = pa.schema(
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
ACCOUNTS = pa.schema(
    {
        name: _LONG if name in {"customer", "redemption", "debits", "credits", "balance"} else _TEXT
        for name in accounts_csv.COLUMNS
    }
)
_DETAIL_TYPES = {
    "seq": _LONG,
    "transaction_id": _LONG,
    "posted_at": _TIME,
    "accounting_date": _DAY,
    "occurred_at": _TIME,
    "amount": _LONG,
    "value": _MONEY,
    "point_value_version": _INT,
    "customer": _LONG,
    "principal": _INT,
    "campaign_version": _INT,
    "due_at": _TIME,
}
DETAILS = pa.schema({name: _DETAIL_TYPES.get(name, _TEXT) for name in transfer_details.COLUMNS})


async def write_transfers(book: BookAtCut, out: TextIO) -> Totals:
    """Write the log up to the cut."""

    async def read(page: Page) -> tuple[Any, Totals]:
        row = await book.pool.fetchrow(_TRANSFER_COLUMNS, *page, book.calendar.time_zone)
        assert row is not None
        return await in_thread(_transfers, row, book.campaigns), Totals(row["rows"], row["moved"], row["moved"])

    return await write(TRANSFERS, ahead(book.log_pages(), read), out)


async def write_accounts(book: BookAtCut, out: TextIO) -> Totals:
    """Write every account that was used up to the cut."""
    names = by_number(book.campaigns)
    pages = book.copied(accounts_csv.ROWS, accounts_csv.SUMS, book.account_pages(), (names, names), {"format": "csv"})
    return await write(ACCOUNTS, _parsed(ACCOUNTS, pages), out)


async def write_details(book: BookAtCut, out: TextIO) -> Totals:
    """Write the log up to the cut, in detail."""
    return await write(DETAILS, details(book), out)


def details(book: BookAtCut) -> AsyncIterator[tuple[Any, Totals]]:
    """The log up to the cut, in detail, as tables."""
    forms = transfer_details.forms(book, for_spreadsheet=False)
    return _parsed(
        DETAILS,
        book.copied(
            transfer_details.ROWS, transfers_csv.SUMS, book.log_pages(transfer_details.ROWS_MAX), forms, {"format": "csv"}
        ),
    )


async def write(schema: Any, pages: AsyncIterator[tuple[Any, Totals]], out: TextIO) -> Totals:
    """Write tables as one file, whatever pages they come in."""
    totals, waiting = Totals(), schema.empty_table()
    with pq.ParquetWriter(out.buffer, schema, compression="zstd", version="2.6", store_schema=False) as writer:
        async for table, moved in pages:
            totals += moved
            waiting = pa.concat_tables([waiting, table])
            while waiting.num_rows >= GROUP_ROWS:
                await in_thread(_write_group, writer, waiting.slice(0, GROUP_ROWS))
                waiting = waiting.slice(GROUP_ROWS)
        if waiting.num_rows:
            await in_thread(_write_group, writer, waiting)
    return totals


async def in_thread(work: Callable[..., T], *arguments: Any) -> T:
    """Do ``work`` beside the event loop."""
    return await asyncio.get_running_loop().run_in_executor(_beside, work, *arguments)


def _write_group(writer: Any, table: Any) -> None:
    # In one piece: where a page of ours ends would otherwise be seen in the file.
    writer.write_table(table.combine_chunks(), row_group_size=GROUP_ROWS)


async def _parsed(schema: Any, pages: AsyncIterator[tuple[bytearray, Totals]]) -> AsyncIterator[tuple[Any, Totals]]:
    async with contextlib.aclosing(pages) as read:  # pyright: ignore[reportArgumentType]
        async for lines, moved in read:
            yield await in_thread(of_csv, schema, lines), moved


def of_csv(schema: Any, lines: bytearray) -> Any:
    """A table of what the database has written as CSV."""
    if not lines:
        return schema.empty_table()
    return pa_csv.read_csv(
        io.BytesIO(lines),
        read_options=pa_csv.ReadOptions(column_names=schema.names, block_size=len(lines) + 1, use_threads=False),
        parse_options=pa_csv.ParseOptions(newlines_in_values=True),
        convert_options=pa_csv.ConvertOptions(
            column_types=schema, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
        ),
    )


def _transfers(row: Any, campaigns: Any) -> Any:
    """A page of the log, of the columns that the database has sent."""
    if not row["rows"]:
        return TRANSFERS.empty_table()
    return pa.table(
        {
            "seq": columns.int64(row["seq"]),
            "posted_at": columns.times(row["posted_at"]),
            "occurred_at": columns.times(row["occurred_at"]),
            "verb": columns.words(row["verb"], transfers_csv.VERBS),
            "debit": columns.accounts(row["debit"], campaigns),
            "credit": columns.accounts(row["credit"], campaigns),
            "amount": columns.int64(row["amount"]),
            "customer": columns.but(columns.int64(row["customer"]), columns.NO_NUMBER),
            "campaign": columns.campaigns(columns.int32(row["campaign"]), campaigns),
            "event_key": columns.keys(row["event_key"]),
            "transaction_id": columns.int64(row["transaction_id"]),
            "due_at": columns.times(row["due_at"]),
            "business_date": columns.dates(row["business_date"]),
            "accounting_date": columns.dates(row["accounting_date"]),
        },
        schema=TRANSFERS,
    )
