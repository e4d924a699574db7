"""Accounts as Arrow's columns, a page at a time: what both accounts.csv and accounts.parquet are made of."""

# Arrow comes without types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportAttributeAccessIssue=false, reportMissingTypeStubs=false, reportUnknownParameterType=false

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from ledger import OwnerTag
from service.exports import accounts_csv
from service.exports.arrow import columns
from service.exports.arrow.account_ids import AccountIds
from service.exports.arrow.beside import in_thread
from service.exports.arrow.columns import Columns
from service.exports.book_at_cut import BookAtCut, Page, ahead
from service.exports.totals import Totals

_ACCOUNT_COLUMNS = (Path(__file__).with_name("sql") / "account_columns.sql").read_text()

_NUMBERS = frozenset(("customer", "redemption", "debits", "credits", "balance"))
SCHEMA = pa.schema({name: pa.int64() if name in _NUMBERS else pa.string() for name in accounts_csv.COLUMNS})

T = TypeVar("T")


def pages(book: BookAtCut, use: Callable[[Columns], T], campaigns: Mapping[int, str]) -> AsyncGenerator[tuple[T, Totals]]:
    """What ``use`` makes of each page of the accounts at the cut. ``campaigns`` is what its column writes."""

    def made(row: Any) -> T:
        return use(_columns(row, book.campaigns, campaigns))

    async def read(page: Page) -> tuple[T, Totals]:
        row = await book.pool.fetchrow(_ACCOUNT_COLUMNS, *page)
        assert row is not None
        return await in_thread(made, row), Totals(row["rows"], row["debited"], row["credited"])

    return ahead(book.account_pages(), read)


def _columns(row: Any, names: Mapping[int, str], campaigns: Mapping[int, str]) -> Columns:
    """A page of accounts, of the columns that the database has sent. ``names`` are those of campaigns in accounts' names."""
    if not row["rows"]:
        return columns.none_of(SCHEMA)
    accounts = AccountIds(row["id"], names)
    debits, credits = columns.int64(row["debits"]), columns.int64(row["credits"])
    return {
        "account": accounts.names(),
        "kind": accounts.kinds(),
        "class": accounts.classes(),
        "customer": accounts.numbers_of(OwnerTag.CUSTOMER),
        "campaign": columns.campaigns(accounts.numbers_of(OwnerTag.CAMPAIGN), campaigns),
        "redemption": accounts.numbers_of(OwnerTag.REDEMPTION),
        "expires_on": accounts.last_days(),
        "debits": debits,
        "credits": credits,
        "balance": pc.subtract(credits, debits),
    }
