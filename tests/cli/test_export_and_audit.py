"""`rewards export` and `rewards audit` against a book in which everything has happened."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from click.testing import CliRunner, Result

from service.cli.main import rewards
from tests.conftest import Database
from tests.finance.conftest import Till, brand, busy_till, till

__all__ = ["brand", "busy_till", "till"]

Run = Callable[..., Awaitable[Result]]


@pytest.fixture
def run(database: Database) -> Run:
    """Runs `rewards` with these arguments on the test's database."""
    runner = CliRunner(env={"REWARDS_DATABASE_URL": database.application_url})

    async def run(*arguments: str | Path) -> Result:
        return await asyncio.to_thread(runner.invoke, rewards, [str(argument) for argument in arguments])

    return run


@pytest.mark.usefixtures("busy_till")
async def test_export_writes_all_formats_or_those_asked_for(run: Run, tmp_path: Path) -> None:
    done = await run("export", "--brand", "acme", "--out", tmp_path / "all")
    assert done.exit_code == 0, done.output
    assert {path.name for path in (tmp_path / "all").iterdir()} == {
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
    done = await run("export", "--brand", "acme", "--format", "hledger", "--cut", "3", "--out", tmp_path / "one")
    assert done.exit_code == 0, done.output
    manifest = json.loads((tmp_path / "one" / "manifest.json").read_text())
    assert manifest["cut"]["seq"] == 3
    assert [file["name"] for file in manifest["files"]] == ["journal.hledger"]


async def test_export_takes_a_named_cut(run: Run, busy_till: Till, tmp_path: Path) -> None:
    cut, _ = await busy_till.ledger.take_cut(busy_till.book, "2026-11")
    await busy_till.grant(1, 1)
    done = await run("export", "--brand", "acme", "--cut", "2026-11", "--out", tmp_path)
    assert done.exit_code == 0, done.output
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert (manifest["cut"]["name"], manifest["cut"]["seq"]) == ("2026-11", cut.seq)


async def test_export_takes_what_came_since(run: Run, busy_till: Till, tmp_path: Path) -> None:
    options = ("--from", "3", "--cut", "5", "--details", "--customers")
    done = await run("export", "--brand", "acme", *options, "--out", tmp_path)
    assert done.exit_code == 0, done.output
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    rows = {file["name"]: file["rows"] for file in manifest["files"]}
    assert (rows["transfers.csv"], rows["transfer_details.parquet"], rows["customers.csv"]) == (2, 2, 2)
    assert manifest["from"]["seq"] == 3
    journal = await run("export", "--brand", "acme", "--from", "3", "--format", "hledger", "--out", tmp_path)
    assert (journal.exit_code, "a journal has all of the book" in journal.output) == (2, True)
    later = await run("export", "--brand", "acme", "--from", "2999-01-01", "--out", tmp_path)
    assert (later.exit_code, "--from: 2998-12-31 is not over yet" in later.output) == (1, True)


@pytest.mark.usefixtures("busy_till")
async def test_export_takes_account_codes_and_says_what_has_none(run: Run, tmp_path: Path) -> None:
    codes = tmp_path / "codes.csv"
    codes.write_text("account,code\nLiabilities,2100\nAssets,1400\n")
    books = tmp_path / "books"
    done = await run("export", "--brand", "acme", "--format", "summary", "--account-codes", codes, "--out", books)
    assert done.exit_code == 0, done.output
    assert "without a code: Expenses:Marketing" in done.output
    assert ",Expenses:Marketing,,Liabilities:PointsProvision,2100," in (books / "summary.csv").read_text()
    codes.write_text("account,code\nNothing,1\n")
    done = await run("export", "--brand", "acme", "--account-codes", codes, "--out", tmp_path / "none")
    assert done.exit_code == 1
    assert "line 2: account: there is no account 'Nothing'" in done.output
    assert not (tmp_path / "none").exists()


@pytest.mark.usefixtures("busy_till")
async def test_export_gives_customers_their_own_accounts_when_asked(run: Run, tmp_path: Path) -> None:
    done = await run("export", "--brand", "acme", "--format", "hledger", "--sub-accounts", "--out", tmp_path)
    assert done.exit_code == 0, done.output
    assert "Liabilities:PointsProvision:Customers:C1  " in (tmp_path / "journal.hledger").read_text()


@pytest.mark.usefixtures("busy_till")
async def test_export_says_what_there_is_not(run: Run, tmp_path: Path) -> None:
    done = await run("export", "--brand", "acme", "--cut", "never", "--out", tmp_path)
    assert done.exit_code == 1
    assert "There is no such cut" in done.output
    done = await run("export", "--brand", "nobody", "--out", tmp_path)
    assert "nobody" in str(done.exception)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("busy_till")
async def test_audit_of_a_sound_book_finds_nothing(run: Run) -> None:
    done = await run("audit", "--brand", "acme")
    assert done.exit_code == 0, done.output
    assert "balances_equal_the_log" in done.output
    assert "WRONG" not in done.output


async def test_audit_of_a_tampered_book_exits_with_1(run: Run, busy_till: Till, owner: asyncpg.Connection[Any]) -> None:
    await owner.execute(
        "UPDATE ledger.account SET credits = credits + 1 WHERE book_id = $1 AND kind = 5", busy_till.book.book_id
    )
    done = await run("audit", "--json")
    assert done.exit_code == 1
    report = json.loads(done.output)
    assert report["clean"] is False
    (book,) = report["books"]
    wrong = {finding["invariant"] for finding in book["findings"] if finding["violations"]}
    assert {"balances_equal_the_log", "debits_equal_credits"} <= wrong
