"""Parquet and JSON Lines: the rows of the CSV, typed, and what another program adds up."""

# Arrow comes without types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import asyncpg
import duckdb
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ledger import AccountClass, Kind, OwnerTag, PointValue, account_id, decimals_of, read_calendar
from service.exports import account_names, bundle
from service.exports.arrow import account_ids, columns, parquet, transfers
from service.exports.bookkeeping import Bookkeeping, ValueVersion
from service.exports.bundle import ExportFormat
from tests.finance.conftest import Till
from tests.finance.test_exports import at_cut, bytes_of

__all__ = ["at_cut"]

PARQUET = bundle.writers_of([ExportFormat.CSV, ExportFormat.PARQUET, ExportFormat.JSONL], details=True)


def sql(query: str, directory: Path) -> list[tuple[Any, ...]]:
    """What DuckDB answers; `transfers` and so on are the files."""
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        for file in directory.glob("*.parquet"):
            database.execute(f"CREATE VIEW {file.stem} AS SELECT * FROM '{file}'")
        return database.execute(query).fetchall()


def csv_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def as_csv(value: Any) -> str:
    """A value as our CSV writes it."""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return "" if value is None else str(value)


@pytest.mark.usefixtures("busy_till")
@pytest.mark.parametrize("name", ["transfers", "accounts", "transfer_details"])
async def test_parquet_has_the_rows_of_the_csv(at_cut: Callable[..., Any], tmp_path: Path, name: str) -> None:
    await bundle.write(await at_cut(), PARQUET, tmp_path)
    found = sql(f"SELECT * FROM {name}", tmp_path)
    expected = [[cell.removeprefix("'") for cell in row.values()] for row in csv_rows(tmp_path / f"{name}.csv")]
    assert [[as_csv(value) for value in row] for row in found] == expected
    assert len(found) > 10


async def test_duckdb_agrees_with_the_trial_balance(busy_till: Till, at_cut: Callable[..., Any], tmp_path: Path) -> None:
    book = await at_cut()
    manifest = await bundle.write(book, PARQUET, tmp_path)
    assert manifest.balanced
    reported = await busy_till.ledger.trial_balance(busy_till.book, book.cut)
    kinds: dict[str, int] = {}
    for line in reported.lines:
        kinds[line.kind] = kinds.get(line.kind, 0) + line.balance
    moved = """
        SELECT split_part(account, ':', 1) AS kind, sum(points) FROM (
            SELECT credit AS account, amount AS points FROM transfers UNION ALL SELECT debit, -amount FROM transfers
        ) GROUP BY kind ORDER BY kind
    """
    assert dict(sql(moved, tmp_path)) == kinds
    assert dict(sql("SELECT kind, sum(balance) FROM accounts GROUP BY kind", tmp_path)) == kinds
    assert sql("SELECT sum(amount) FROM transfers", tmp_path) == [(reported.debits,)]


@pytest.mark.usefixtures("busy_till")
async def test_columns_have_the_types_that_they_say(at_cut: Callable[..., Any], tmp_path: Path) -> None:
    await bundle.write(await at_cut(), PARQUET, tmp_path)
    types = {row[0]: row[1] for row in sql("DESCRIBE transfer_details", tmp_path)}
    assert (types["seq"], types["amount"], types["customer"]) == ("BIGINT", "BIGINT", "BIGINT")
    assert (types["posted_at"], types["accounting_date"]) == ("TIMESTAMP WITH TIME ZONE", "DATE")
    assert types["value"] == "DECIMAL(38,6)"
    file = pq.ParquetFile(tmp_path / "transfers.parquet")
    assert {file.metadata.row_group(0).column(number).compression for number in range(file.metadata.num_columns)} == {"ZSTD"}


async def test_where_a_page_ends_is_not_seen(
    busy_till: Till, at_cut: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "GROUP_ROWS", 10)
    cut = await busy_till.ledger.head(busy_till.book)
    await bundle.write(await at_cut(cut), PARQUET, tmp_path / "first")
    await busy_till.grant(8, 5)
    await bundle.write(await at_cut(cut, copied_rows=3), PARQUET, tmp_path / "second")
    assert bytes_of(tmp_path / "first") == bytes_of(tmp_path / "second")
    metadata = pq.ParquetFile(tmp_path / "first" / "transfers.parquet").metadata
    sizes = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    assert set(sizes[:-1]) == {10}
    assert sum(sizes) == cut.seq


async def test_an_empty_book_makes_files_without_rows(at_cut: Callable[..., Any], tmp_path: Path) -> None:
    manifest = await bundle.write(await at_cut(), PARQUET, tmp_path)
    assert manifest.balanced
    for name in ("transfers", "accounts", "transfer_details"):
        assert sql(f"SELECT count(*) FROM {name}", tmp_path) == [(0,)]
    assert (tmp_path / "transfers.jsonl").read_bytes() == b""


@pytest.mark.parametrize("times", [1, 9])
def test_accounts_are_called_as_everywhere(times: int) -> None:
    campaigns = {5: "autumn", 2**31 - 1: "winter"}
    accounts = [
        account_id(owner, number, kind, account_class, last_day)
        for owner in OwnerTag
        for number in (0, 5, 77, 2**31 - 1, 2**40, 2**63 - 1)
        for kind in Kind
        for account_class in AccountClass
        for last_day in (None, date(2000, 1, 1), date(2026, 2, 28), date(2199, 12, 31))
    ]
    named = account_ids.names(b"".join(accounts[:99] * times + accounts), campaigns).to_pylist()
    assert named == [account_names.account_name(account, campaigns) for account in accounts[:99] * times + accounts]


@pytest.mark.parametrize("has", ["", "...", "+++", "+..+", ".++.+", "..+"])
def test_columns_of_which_only_what_there_is_was_sent(has: str) -> None:
    values = [place if each == "+" else None for place, each in enumerate(has)]
    sent = pa.array([value for value in values if value is not None], pa.int64())
    assert columns.spread(sent, pa.array([each == "+" for each in has], pa.bool_())).to_pylist() == values


CLOCKS_CHANGE = [
    ("Europe/Berlin", "2026-10-25"),
    ("America/Havana", "2026-11-01"),  # at one o'clock, back to midnight
    ("Asia/Beirut", "2026-03-29"),  # at midnight, to one o'clock
    ("Asia/Beirut", "2026-10-25"),  # at midnight, back to eleven o'clock
    ("Pacific/Apia", "2011-12-30"),  # a day that there never was
    ("Asia/Kolkata", "2026-03-29"),
]


@pytest.mark.parametrize(("zone", "day"), CLOCKS_CHANGE)
async def test_days_begin_when_the_zone_says(
    busy_till: Till, at_cut: Callable[..., Any], owner: asyncpg.Connection[Any], zone: str, day: str
) -> None:
    book = await at_cut()
    spread = (
        "UPDATE ledger.transfer SET posted_at = $1::date::timestamp AT TIME ZONE 'UTC' + (seq - $2) * interval '3601 seconds'"
    )
    await owner.execute(spread, date.fromisoformat(day), book.cut.seq // 2)
    book = msgspec.structs.replace(book, calendar=await read_calendar(owner, zone))
    pages = transfers.pages(book, lambda columns: columns["business_date"].to_pylist(), book.campaigns)
    [(days, _)] = [page async for page in pages]
    asked = "SELECT (posted_at AT TIME ZONE $1)::date FROM ledger.transfer WHERE book_id = $2 ORDER BY seq"
    assert days == [row[0] for row in await owner.fetch(asked, zone, book.book.book_id)]
    assert len(set(days)) > 2


TEXTS = ["=1+1", 'say "hi", \\ there', "Früchte 🍎", "-", "NULL", "null", "a,b"]
"""What somebody may send as an id of a message or an order."""


async def test_json_lines_have_what_was_sent(
    till: Till, at_cut: Callable[..., Any], owner: asyncpg.Connection[Any], tmp_path: Path
) -> None:
    await till.fund(1_000)
    for text in TEXTS:
        await till.grant(1, 10)
        await owner.execute("UPDATE ledger.event SET message_id = $1 WHERE seq = (SELECT max(seq) FROM ledger.event)", text)
    await bundle.write(await at_cut(copied_rows=2), PARQUET, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "transfers.jsonl").read_text().splitlines()]
    assert [line["message_id"] for line in lines] == [None, *TEXTS]
    assert [row[0] for row in sql("SELECT message_id FROM transfer_details ORDER BY seq", tmp_path)] == [None, *TEXTS]
    cells = [row["message_id"] for row in csv_rows(tmp_path / "transfer_details.csv")]
    assert cells == ["", "'=1+1", *TEXTS[1:3], "'-", *TEXTS[4:]]
    assert lines[1]["grant_id"].startswith("grt_")
    assert (lines[1]["channel"], lines[1]["action"], lines[1]["grade"], lines[1]["principal"]) == ("email", "click", "A", 1)
    accounts = [json.loads(line) for line in (tmp_path / "accounts.jsonl").read_text().splitlines()]
    assert {account["account"]: account["balance"] for account in accounts}["lot:1:engagement:never"] == 10 * len(TEXTS)


async def test_points_are_worth_what_they_were_when_they_moved(till: Till, at_cut: Callable[..., Any], tmp_path: Path) -> None:
    await till.fund(1_000)
    before = await till.ledger.head(till.book)
    await till.grant(1, 7)
    first = await till.ledger.transfers(till.book, after=1, cut=2, limit=1)
    await till.grant(1, 7)
    second = await till.ledger.transfers(till.book, after=2, cut=3, limit=1)
    versions = (
        ValueVersion(1, first[0].posted_at, PointValue(3, 2)),
        ValueVersion(2, second[0].posted_at, PointValue(1, 1)),
    )
    assert before.posted_at < first[0].posted_at
    book = await at_cut(bookkeeping=Bookkeeping(currency="EUR", versions=versions))
    await bundle.write(book, PARQUET, tmp_path)
    # 7 points at two cents for three are 4.666... cents.
    assert sql("SELECT value::text, point_value_version FROM transfer_details ORDER BY seq", tmp_path) == [
        (None, None),
        ("0.046667", 1),
        ("0.070000", 2),
    ]
    assert decimals_of("EUR") == 2


async def test_an_order_is_with_what_it_moved(busy_till: Till, at_cut: Callable[..., Any], tmp_path: Path) -> None:
    await bundle.write(await at_cut(), PARQUET, tmp_path)
    orders = sql("SELECT DISTINCT order_ref FROM transfer_details WHERE verb = 'capture'", tmp_path)
    assert len(orders) > 1
    assert all(order.startswith("order request-") for (order,) in orders)
    ids = sql("SELECT DISTINCT redemption_id FROM transfer_details WHERE order_ref IS NOT NULL", tmp_path)
    assert all(each.startswith(f"red_{busy_till.book.book_id:08x}") for (each,) in ids)
    assert datetime.now(UTC) > sql("SELECT max(posted_at) FROM transfers", tmp_path)[0][0]
