"""Exports: the same bytes again, totals that agree, and journals that other programs check."""

from __future__ import annotations

import csv
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ledger import AccountClass, Cut, Kind, Ledger, OwnerTag, account_id, describe_account, sweep
from ledger.testing import set_clock
from service.brands.brand import Brand
from service.exports import account_names, bundle
from service.exports.book_at_cut import BookAtCut
from service.exports.bookkeeping import Bookkeeping
from service.exports.bundle import ExportFormat
from service.exports.spreadsheets import neutral
from service.finance import queries
from tests.finance import plain_csv
from tests.finance.conftest import CAMPAIGN, Till

ALL = tuple(ExportFormat)
CUSTOMERS = "Liabilities:PointsProvision:Customers"
BEAN_CHECK = Path(sys.executable).with_name("bean-check")


@pytest.fixture
def at_cut(ledger: Ledger, reader_pool: asyncpg.Pool[Any], brand: Brand, engine: Any) -> Callable[..., Any]:
    """The brand's book as it is now, or at a cut."""

    async def read(cut: Cut | None = None, **options: Any) -> BookAtCut:
        return BookAtCut(
            log=ledger,
            pool=reader_pool,
            book=brand.book,
            cut=cut or await ledger.head(brand.book),
            brand=brand.code,
            points_code=brand.points_code,
            calendar=brand.calendar,
            campaigns=await queries.campaign_ids(engine, brand.brand_id),
            **options,
        )

    return read


def bytes_of(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


async def test_the_same_cut_makes_the_same_bytes_again_whatever_came_since(
    busy_till: Till, at_cut: Callable[..., Any], tmp_path: Path
) -> None:
    cut, _ = await busy_till.ledger.take_cut(busy_till.book, "2026-11")
    await bundle.write(await at_cut(cut), bundle.writers_of(ALL), tmp_path / "first")
    await busy_till.grant(8, 5)
    await busy_till.grant(1, 1)
    await busy_till.capture(await busy_till.authorize(1, 50))
    # Pages of three rows: where a page ends must not be seen.
    await bundle.write(await at_cut(cut, page_rows=3, copied_rows=3), bundle.writers_of(ALL), tmp_path / "second")
    assert bytes_of(tmp_path / "first") == bytes_of(tmp_path / "second")
    assert set(bytes_of(tmp_path / "first")) == {
        "accounts.csv",
        "accounts.jsonl",
        "accounts.parquet",
        "journal.beancount",
        "journal.hledger",
        "manifest.json",
        "summary.csv",
        "transfers.csv",
        "transfers.jsonl",
        "transfers.parquet",
    }


NAMES = [CAMPAIGN, "autumn, 'late', \"2026\"", "+49", "-x", "@sum", "Früchte 🍎; | \\. \\n", " x ", "\\.", '"', "lot:1", "0"]
"""What brands call campaigns."""
PLAIN_NAMES = [CAMPAIGN, "autumn-2026_b.2", "-x", "lot:1", "0"]
"""None of these needs quotes, so another format is asked for."""


@pytest.mark.parametrize(("copied_rows", "names"), [(1, NAMES), (7, NAMES), (20_000, NAMES), (7, PLAIN_NAMES)])
async def test_the_databases_files_are_those_of_plain_python(
    busy_till: Till,
    at_cut: Callable[..., Any],
    owner: asyncpg.Connection[Any],
    worker_pool: asyncpg.Pool[Any],
    tmp_path: Path,
    copied_rows: int,
    names: list[str],
) -> None:
    till = busy_till
    for name in names[1:]:
        campaign_no = await owner.fetchval(
            "INSERT INTO rewards.campaign (brand_id, id) VALUES ($1, $2) RETURNING campaign_no", till.book.brand_id, name
        )
        other = Till(till.ledger, till.book, campaign_no)
        other.requests = 100 * campaign_no
        await other.fund(100)
        await other.grant(8, 7)
    await Till(till.ledger, till.book, 9_999).fund(5)  # a campaign without a name
    cut = await till.ledger.head(till.book)
    await owner.execute("UPDATE ledger.head SET clock_offset = clock_offset + interval '400 days'")
    while await sweep(worker_pool, till.book, limit=50):
        pass
    for at in (cut, await till.ledger.head(till.book)):
        book = await at_cut(at, copied_rows=copied_rows)
        assert set(names) == set(book.campaigns.values())
        await bundle.write(book, bundle.writers_of([ExportFormat.CSV]), tmp_path)
        log = await till.ledger.transfers(till.book, after=0, cut=at.seq)
        assert (tmp_path / "transfers.csv").read_bytes() == plain_csv.transfers(log, book.campaigns)
        sums: dict[bytes, tuple[int, int]] = {}
        for transfer in log:
            debits, credits = sums.get(transfer.debit, (0, 0))
            sums[transfer.debit] = debits + transfer.amount, credits
            debits, credits = sums.get(transfer.credit, (0, 0))
            sums[transfer.credit] = debits, credits + transfer.amount
        accounts = [(account, *sums[account]) for account in sorted(sums)]
        assert (tmp_path / "accounts.csv").read_bytes() == plain_csv.accounts(accounts, book.campaigns)


async def test_the_database_names_accounts_as_we_do(reader_pool: asyncpg.Pool[Any]) -> None:
    campaigns = {5: "autumn", 2**31 - 1: "winter"}
    accounts = [
        account_id(owner, number, kind, account_class, last_day)
        for owner in OwnerTag
        for number in (0, 5, 77, 2**31 - 1, 2**40, 2**63 - 1)
        for kind in Kind
        for account_class in AccountClass
        for last_day in (None, date(2000, 1, 1), date(2026, 2, 28), date(2199, 12, 31))
    ]
    named = await reader_pool.fetch(
        """
        SELECT ledger.account_name_v1(id, $2::text::jsonb), ledger.account_kind_name_v1(id), ledger.account_class_name_v1(id),
            ledger.account_last_day_v1(id), ledger.account_number_v1(id)
        FROM unnest($1::bytea[]) AS id
        """,
        accounts,
        account_names.by_number(campaigns),
    )
    for account, row in zip(accounts, named, strict=True):
        name = describe_account(account)
        assert tuple(row) == (
            account_names.account_name(account, campaigns),
            account_names.kind_name(name.kind),
            account_names.class_of(name),
            account_names.last_day_of(name),
            name.number,
        )


async def test_the_manifest_says_what_each_file_holds(busy_till: Till, at_cut: Callable[..., Any], tmp_path: Path) -> None:
    manifest = await bundle.write(await at_cut(), bundle.writers_of(ALL), tmp_path)
    written = json.loads((tmp_path / "manifest.json").read_text())
    assert written["cut"]["seq"] == (await busy_till.ledger.head(busy_till.book)).seq
    assert written["balanced"] is manifest.balanced is True
    transfers = rows_of(tmp_path / "transfers.csv")
    assert [int(row["seq"]) for row in transfers] == list(range(1, written["cut"]["seq"] + 1))
    moved = sum(int(row["amount"]) for row in transfers)
    for file in written["files"]:
        content = (tmp_path / file["name"]).read_bytes()
        assert file["sha256"] == hashlib.sha256(content).hexdigest()
        assert file["size_bytes"] == len(content)
        assert (file["debits"], file["credits"]) == (moved, moved)
        assert file["name"].endswith(".parquet") or b"\r" not in content


async def test_accounts_are_what_their_transfers_add_up_to(busy_till: Till, at_cut: Callable[..., Any], tmp_path: Path) -> None:
    await bundle.write(await at_cut(), bundle.writers_of([ExportFormat.CSV]), tmp_path)
    sums: dict[str, int] = {}
    for row in rows_of(tmp_path / "transfers.csv"):
        sums[row["debit"]] = sums.get(row["debit"], 0) - int(row["amount"])
        sums[row["credit"]] = sums.get(row["credit"], 0) + int(row["amount"])
    accounts = rows_of(tmp_path / "accounts.csv")
    assert {row["account"]: int(row["balance"]) for row in accounts} == sums
    balances = dict.fromkeys(range(1, 10), 0)
    for row in accounts:
        if row["kind"] == "lot":
            balances[int(row["customer"])] += int(row["balance"])
    for customer, points in balances.items():
        assert (await busy_till.ledger.balance(busy_till.book, customer)).spendable == points


@pytest.mark.usefixtures("busy_till")
async def test_a_campaign_id_is_no_formula(at_cut: Callable[..., Any], tmp_path: Path) -> None:
    await bundle.write(await at_cut(), bundle.writers_of([ExportFormat.CSV]), tmp_path)
    assert {row["campaign"] for row in rows_of(tmp_path / "transfers.csv")} == {"", f"'{CAMPAIGN}"}


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+49", "'+49"),
        ("-x", "'-x"),
        ("@sum", "'@sum"),
        ("\tx", "'\tx"),
        ("autumn-2026", "autumn-2026"),
        ("", ""),
    ],
)
def test_text_that_a_spreadsheet_would_run_gets_an_apostrophe(text: str, cell: str) -> None:
    assert neutral(text) == cell


async def test_hledger_finds_the_balances_that_the_api_answers(
    busy_till: Till, at_cut: Callable[..., Any], program: Callable[[str], str], tmp_path: Path
) -> None:
    hledger = program("hledger")
    book = await at_cut(bookkeeping=Bookkeeping(sub_accounts=True))
    await bundle.write(book, bundle.writers_of([ExportFormat.HLEDGER]), tmp_path)
    journal = tmp_path / "journal.hledger"
    checked = run(hledger, "-f", journal, "check", "--strict", "ordereddates", "payees")
    assert checked.returncode == 0, checked.stderr
    report = run(hledger, "-f", journal, "balance", CUSTOMERS, "--flat", "--output-format=csv", "--empty")
    found = {row["account"]: -int(row["balance"].split()[0]) for row in csv.DictReader(report.stdout.splitlines())}
    for customer in range(1, 9):
        balance = await busy_till.ledger.balance(busy_till.book, customer)
        assert found[f"{CUSTOMERS}:C{customer}"] == balance.spendable


@pytest.mark.usefixtures("busy_till")
async def test_bean_check_accepts_the_journal(at_cut: Callable[..., Any], tmp_path: Path) -> None:
    await bundle.write(await at_cut(), bundle.writers_of([ExportFormat.BEANCOUNT]), tmp_path)
    checked = run(BEAN_CHECK, tmp_path / "journal.beancount")
    assert checked.returncode == 0, checked.stderr


async def test_books_are_dated_by_the_days_where_the_brand_keeps_them(
    till: Till, at_cut: Callable[..., Any], owner: asyncpg.Connection[Any], program: Callable[[str], str], tmp_path: Path
) -> None:
    """An hour and a half before midnight, UTC, the month is over in Berlin."""
    await set_clock(owner, till.book, datetime(2031, 6, 30, 12, tzinfo=UTC))
    await till.fund(1_000)
    await set_clock(owner, till.book, datetime(2031, 6, 30, 22, 30, tzinfo=UTC))
    await till.grant(1, 10, date(2032, 6, 30))
    manifest = await bundle.write(await at_cut(), bundle.writers_of(ALL), tmp_path)
    assert manifest.time_zone == "Europe/Berlin"
    assert [(row["posted_at"][:13], row["business_date"]) for row in rows_of(tmp_path / "transfers.csv")] == [
        ("2031-06-30T12", "2031-06-30"),
        ("2031-06-30T22", "2031-07-01"),
    ]
    hledger = (tmp_path / "journal.hledger").read_text()
    assert "by the days of Europe/Berlin" in hledger
    assert "2031-06-30 (1) fund" in hledger
    assert "2031-07-01 (2) grant" in hledger
    assert "2031-07-01 balance at the cut" in hledger
    beancount = (tmp_path / "journal.beancount").read_text()
    assert "by the days of Europe/Berlin" in beancount
    assert '2031-07-01 * "grant: =autumn"' in beancount
    assert f"2031-07-02 balance {CUSTOMERS} " in beancount
    assert run(BEAN_CHECK, tmp_path / "journal.beancount").returncode == 0
    assert run(program("hledger"), "-f", tmp_path / "journal.hledger", "check", "--strict", "ordereddates").returncode == 0


async def test_what_fell_due_is_in_the_journals_on_the_day_it_did(
    till: Till,
    at_cut: Callable[..., Any],
    owner: asyncpg.Connection[Any],
    worker_pool: asyncpg.Pool[Any],
    program: Callable[[str], str],
    tmp_path: Path,
) -> None:
    """A sweep in July posts in one transaction what two months owe."""
    await set_clock(owner, till.book, datetime(2031, 5, 30, 12, tzinfo=UTC))
    await till.fund(1_000)
    await till.grant(1, 10, date(2031, 5, 31))
    await till.grant(1, 20, date(2031, 6, 30))
    await set_clock(owner, till.book, datetime(2031, 7, 1, 12, tzinfo=UTC))
    while await sweep(worker_pool, till.book):
        pass
    await till.grant(1, 30)
    await bundle.write(await at_cut(), bundle.writers_of(ALL), tmp_path)
    dates = [(row["verb"], row["business_date"], row["accounting_date"]) for row in rows_of(tmp_path / "transfers.csv")]
    assert dates[3:] == [
        ("expire", "2031-07-01", "2031-05-31"),
        ("expire", "2031-07-01", "2031-06-30"),
        ("grant", "2031-07-01", "2031-07-01"),
    ]
    beancount = (tmp_path / "journal.beancount").read_text()
    assert '2031-05-31 * "expire"' in beancount
    assert '2031-06-30 * "expire"' in beancount
    assert run(BEAN_CHECK, tmp_path / "journal.beancount").returncode == 0
    hledger = (tmp_path / "journal.hledger").read_text()
    assert "2031-05-31 (4) expire" in hledger
    assert "2031-06-30 (4) expire" in hledger
    assert run(program("hledger"), "-f", tmp_path / "journal.hledger", "check", "--strict").returncode == 0


async def test_an_empty_book_makes_valid_files(
    at_cut: Callable[..., Any], program: Callable[[str], str], tmp_path: Path
) -> None:
    manifest = await bundle.write(await at_cut(), bundle.writers_of(ALL), tmp_path)
    assert manifest.balanced
    assert run(BEAN_CHECK, tmp_path / "journal.beancount").returncode == 0
    assert run(program("hledger"), "-f", tmp_path / "journal.hledger", "check", "--strict").returncode == 0


async def test_a_balance_that_was_tampered_with_does_not_pass(
    busy_till: Till,
    at_cut: Callable[..., Any],
    owner: asyncpg.Connection[Any],
    program: Callable[[str], str],
    tmp_path: Path,
) -> None:
    await owner.execute(
        "UPDATE ledger.account SET credits = credits + 1 WHERE book_id = $1 AND id = (SELECT id FROM ledger.account"
        " WHERE book_id = $1 AND kind = 1 ORDER BY id LIMIT 1)",
        busy_till.book.book_id,
    )
    manifest = await bundle.write(await at_cut(), bundle.writers_of(ALL), tmp_path)
    assert not manifest.balanced
    assert run(BEAN_CHECK, tmp_path / "journal.beancount").returncode == 1
    assert run(program("hledger"), "-f", tmp_path / "journal.hledger", "check", "--strict").returncode == 1
