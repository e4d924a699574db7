"""Parquet: transfers, accounts and transfers in detail, typed: int64, decimal, timestamps in UTC with microseconds, dates.

Files are compressed with zstd, in groups of rows of one size, so that neither a writer nor a reader has more of it in memory,
and so that the same rows make the same bytes with the same version of Arrow.

Transfers and accounts come from the database as columns and are never text; details as CSV, which Arrow reads.
"""

# Arrow comes without types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportAttributeAccessIssue=false, reportMissingTypeStubs=false, reportUnknownParameterType=false

from __future__ import annotations

import contextlib
import io
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from service.exports import transfer_details
from service.exports.arrow import accounts, transfers
from service.exports.arrow.beside import in_thread
from service.exports.book_at_cut import BookAtCut
from service.exports.totals import Totals
from service.exports.transfer_details import Days

GROUP_ROWS = 25_000

_TIME, _DAY, _TEXT, _LONG, _INT = pa.timestamp("us", "UTC"), pa.date32(), pa.string(), pa.int64(), pa.int32()
_MONEY = pa.decimal128(38, 6)

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
    return await write(transfers.SCHEMA, transfers.pages(book, partial(pa.table, schema=transfers.SCHEMA), book.campaigns), out)


async def write_accounts(book: BookAtCut, out: TextIO) -> Totals:
    """Write every account that was used up to the cut."""
    return await write(accounts.SCHEMA, accounts.pages(book, partial(pa.table, schema=accounts.SCHEMA), book.campaigns), out)


async def write_details(book: BookAtCut, out: TextIO) -> Totals:
    """Write the log up to the cut, in detail."""
    return await write(DETAILS, details(book), out)


def details(book: BookAtCut, days: Days | None = None) -> AsyncIterator[tuple[Any, Totals]]:
    """The log up to the cut, in detail, as tables: all of it, or what counts on some days."""
    forms, pages = transfer_details.forms(book, for_spreadsheet=False), transfer_details.pages(book, days)
    return _parsed(
        DETAILS, book.copied(transfer_details.ROWS, transfer_details.SUMS, pages, forms, transfer_details.COPIED_AS_CSV)
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


def _write_group(writer: Any, table: Any) -> None:
    # In one piece: where a page of ours ends would otherwise be seen in the file.
    writer.write_table(table.combine_chunks(), row_group_size=GROUP_ROWS)
    # What is freed in between lies scattered, and would not be given back by itself: 70 MB of it.
    pa.default_memory_pool().release_unused()


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
