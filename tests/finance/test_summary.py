"""The summarised journal: what a general ledger takes adds up to the whole journal, in points and in money."""

from __future__ import annotations

import csv
import json
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import date
from fractions import Fraction
from pathlib import Path

import pytest

from ledger import AccountClass, PointValue
from service.exports import bundle
from service.exports.account_codes import NO_CODES, AccountCodesInvalid, read_account_codes
from service.exports.book_at_cut import BookAtCut
from service.exports.bundle import ExportFormat
from service.exports.summary_csv import COLUMNS
from service.exports.summary_money import DeferredRevenue, Owed
from tests.finance.conftest import Till
from tests.finance.test_journals import Hledger, book_now, example, hledger, journals, year
from tests.finance.year import Year

__all__ = ["book_now", "example", "hledger", "journals", "year"]

ReadBook = Callable[..., Awaitable[BookAtCut]]
ALLOCATED = "Income:Revenue:Allocated"
PROVISION, DEFERRED, THIRD_PARTY = "Liabilities:PointsProvision", "Liabilities:DeferredRevenue", "Liabilities:ThirdPartyPoints"
CODES = b"""account,code,valid_from
Liabilities,2100,
Liabilities:DeferredRevenue,2200,
Liabilities:DeferredRevenue,=2201,2031-05-01
Expenses:Marketing,6210 ,2031-02-01
"""

Rows = list[dict[str, str]]


@pytest.fixture
async def summary(year: Year, book_now: ReadBook, tmp_path: Path) -> Rows:
    """The year's summarised journal."""
    del year
    return await summarised(await book_now(codes=read_account_codes(CODES)), tmp_path)


async def summarised(book: BookAtCut, directory: Path) -> Rows:
    """The rows of a book's summarised journal."""
    await bundle.write(book, bundle.writers_of([ExportFormat.SUMMARY]), directory)
    with (directory / "summary.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert all(tuple(row) == COLUMNS for row in rows)
    return rows


def balances(rows: Rows, column: str) -> dict[str, Fraction]:
    """What accounts hold after these rows; debits are positive."""
    sums: dict[str, Fraction] = defaultdict(Fraction)
    for row in rows:
        sums[row["debit_account"]] += Fraction(row[column] or 0)
        sums[row["credit_account"]] -= Fraction(row[column] or 0)
    return sums


def worth(points: Fraction, value: PointValue) -> Fraction:
    """What points pay, in euros."""
    return Fraction(value.worth(int(points)), 100)


async def test_points_add_up_to_the_journal(summary: Rows, hledger: Hledger) -> None:
    whole: dict[str, Fraction] = defaultdict(Fraction)
    for account, points in hledger.statement("balance").items():
        if not account.startswith("Equity:Memo"):
            owed = account.startswith("Liabilities")
            whole[":".join(account.split(":")[:2]) if owed else account] += points
    found = balances(summary, "points")
    assert {account: points for account, points in found.items() if points} == whole


async def test_there_is_one_row_a_day_campaign_channel_verb_and_pair_of_accounts(summary: Rows) -> None:
    names = ("date", "campaign", "channel", "verb", "debit_account", "credit_account")
    keys = [tuple(row[name] for name in names) for row in summary]
    assert len(set(keys)) == len(keys)
    assert [on for on, *_ in keys] == sorted(on for on, *_ in keys)
    granted = [row for row in summary if (row["verb"], row["campaign"], row["date"]) == ("grant", "spring", "2031-02-15")]
    assert [(row["channel"], row["points"], row["transfers"]) for row in granted] == [
        ("email", str(3 * 200 + 2 + 4 + 6), "3"),
        ("sms", str(3 * 200 + 1 + 3 + 5), "3"),
    ]
    assert {row["verb"] for row in summary} == {
        "open",
        "grant",
        "mature",
        "capture",
        "refund",
        "expire",
        "forfeit",
        "clawback",
        "adjust",
        "revalue",
    }


@pytest.mark.parametrize(
    ("until", "value"),
    [
        ("2031-02-01", PointValue(100, 50)),
        ("2031-03-31", PointValue(100, 50)),
        ("2031-04-30", PointValue(7, 3)),
        ("2031-05-01", PointValue(3, 1)),
        ("2031-12-31", PointValue(3, 1)),
    ],
)
async def test_a_provision_is_what_its_points_are_worth_on_every_day(summary: Rows, until: str, value: PointValue) -> None:
    rows = [row for row in summary if row["date"] <= until]
    points, money = balances(rows, "points"), balances(rows, "amount")
    assert points[PROVISION] < 0
    for account in (PROVISION, THIRD_PARTY):
        assert -money[account] == worth(-points[account], value)
    assert sum(money.values()) == 0


async def test_deferred_revenue_keeps_the_price_of_its_day(summary: Rows) -> None:
    revalued = [row for row in summary if row["verb"] == "revalue"]
    # Before February points had no value; later ones do not change what sales were divided into.
    assert {row["date"] for row in revalued if row["class"] == "purchase"} == {"2031-02-01"}
    assert sorted({row["date"] for row in revalued if row["class"] == "engagement"}) == [
        "2031-02-01",
        "2031-04-30",
        "2031-05-01",
    ]
    assert all(row["amount"] == row["currency"] == "" for row in summary if row["date"] < "2031-02-01")
    before = [row for row in summary if row["date"] < "2031-12-01"]
    # Left are the points that were brought in, which never expire, and those that matured.
    assert -balances(before, "points")[DEFERRED] == 60 + 31
    spring = [row for row in summary if row["date"] < "2031-04-01" and row["class"] == "purchase"]
    average = balances(spring, "amount")[DEFERRED] / balances(spring, "points")[DEFERRED]
    assert abs(-balances(before, "amount")[DEFERRED] - (60 + 31) * average) <= Fraction(2, 100)


@pytest.mark.parametrize(("account_class", "granted"), [("engagement", "Expenses:Marketing"), ("purchase", ALLOCATED)])
async def test_the_first_value_of_what_was_brought_in_is_of_the_opening_balance(
    summary: Rows, account_class: str, granted: str
) -> None:
    """Not of this year's revenue or marketing."""
    theirs = [row for row in summary if row["class"] == account_class and row["date"] <= "2031-02-01"]
    before = [row for row in theirs if row["verb"] != "revalue"]
    came = {verb: sum(int(row["points"]) for row in before if row["verb"] == verb) for verb in ("open", "grant", "mature")}
    left = sum(int(row["points"]) for row in before if row["verb"] not in came)
    assert min(came["open"], came["grant"]) > 0
    worth = PointValue(100, 50).worth(sum(came.values()) - left)
    brought_in = worth * came["open"] // sum(came.values())
    booked = {row["debit_account"]: Fraction(row["amount"]) * 100 for row in theirs if row["verb"] == "revalue"}
    assert booked == {f"Equity:Opening:{account_class.title()}": brought_in, granted: worth - brought_in}


async def test_the_worked_example_in_money(example: Year, book_now: ReadBook, tmp_path: Path) -> None:
    del example
    money = balances(await summarised(await book_now(), tmp_path), "amount")
    assert {account: amount for account, amount in money.items() if amount} == {
        "Expenses:Marketing": 7,
        "Income:Revenue:Allocated": 10,
        "Income:Revenue:Redeemed": Fraction(-1, 2),
        "Income:Breakage:Engagement": -2,
        "Assets:Clearing:Redemptions:Engagement": -5,
        DEFERRED: Fraction(-19, 2),
    }


async def test_codes_are_those_of_the_day_and_of_the_longest_name(summary: Rows, tmp_path: Path) -> None:
    codes: dict[str, set[tuple[str, bool]]] = defaultdict(set)
    for row in summary:
        for side in ("debit", "credit"):
            codes[row[f"{side}_account"]].add((row[f"{side}_code"], row["date"] >= "2031-05-01"))
    assert codes[PROVISION] == {("2100", False), ("2100", True)}
    # A spreadsheet would run a code that begins with an equals sign.
    assert codes[DEFERRED] == {("2200", False), ("'=2201", True)}
    assert {row["debit_code"] for row in summary if row["verb"] == "grant" and row["date"] < "2031-02-01"} == {""}
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    (file,) = manifest["files"]
    assert file["unmapped"] == sorted(account for account, used in codes.items() if any(not code for code, _ in used))
    assert "Expenses:Marketing" in file["unmapped"]
    assert file["amount"] == str(float(sum(Fraction(row["amount"] or 0) for row in summary)))
    assert manifest["account_codes"] == read_account_codes(CODES).sha256
    assert manifest["balanced"]


async def test_pages_are_not_seen(year: Year, book_now: ReadBook, summary: Rows, tmp_path: Path) -> None:
    del year
    rows = await summarised(await book_now(codes=read_account_codes(CODES), copied_rows=3), tmp_path / "again")
    assert rows == summary
    assert (tmp_path / "again" / "summary.csv").read_bytes() == (tmp_path / "summary.csv").read_bytes()


async def test_a_campaign_is_no_formula_and_an_empty_book_is_an_empty_journal(
    till: Till, book_now: ReadBook, tmp_path: Path
) -> None:
    assert await summarised(await book_now(), tmp_path) == []
    await till.fund(100)
    assert await summarised(await book_now(), tmp_path) == []
    await till.grant(1, 10)
    assert [row["campaign"] for row in await summarised(await book_now(), tmp_path)] == ["'=autumn"]


def test_points_that_are_all_gone_leave_no_money_behind() -> None:
    owed = Owed(AccountClass.PURCHASE)
    assert owed.move(10) is None
    assert owed.revalue(PointValue(3, 1)) == 3
    assert [owed.move(1) for _ in range(6)] == [0, 1, 0, 0, 1, 0]
    assert owed.revalue(PointValue(1, 100)) == 0
    assert owed.move(2) == 200
    assert (owed.points, owed.money) == (18, 205)
    assert owed.move(-5) == -57
    assert owed.move(5, returned=True) == 57
    assert owed.move(-17) == -194
    assert owed.move(-1) == -11
    assert (owed.points, owed.money) == (0, 0)
    owed.end_day()
    # What comes back comes at the price at which it left.
    assert owed.move(18, returned=True) == 205


def test_deferred_revenue_does_not_depend_on_how_finely_a_day_is_told() -> None:
    chance = random.Random(15)
    fine, coarse = DeferredRevenue(), DeferredRevenue()
    owed, money = 0, Fraction(0)
    for _ in range(200):
        price = Fraction(chance.randint(1, 9), chance.randint(1, 9))
        came = [chance.randint(1, 1_000) for _ in range(chance.randint(0, 3))]
        left = [chance.randint(0, (owed + sum(came)) // 4) for _ in range(chance.randint(0, 4))]
        back = [chance.randint(0, points) for points in left]
        for points in came:
            fine.come(points, price)
        for points in chance.sample([*left, *(-points for points in back)], k=2 * len(left)):
            fine.leave(points)
        if came:
            coarse.come(sum(came), price)
        coarse.leave(sum(left) - sum(back))
        owed, money = owed + sum(came), money + sum(came) * price
        if owed:
            money, owed = money * (owed - sum(left) + sum(back)) / owed, owed - sum(left) + sum(back)
        for each in (fine, coarse):
            each.end_day()
            assert each.points == owed
        assert fine.money == coarse.money
        assert abs(fine.money - money) < Fraction(1, 1_000)


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (b"account,code\nLiabilities:Points,1\n", "line 2: account: there is no account 'Liabilities:Points'"),
        (b"account,code\nLiabilities:PointsProvision:Customers,1\n", "line 2: account: there is no account"),
        (b"account,code\nLiab,1\n", "line 2: account: there is no account 'Liab'"),
        (b"account,code\nLiabilities,\n", "line 2: code: must be 1 to 64 printable characters"),
        (b"account\nLiabilities\n", "the first line must name the columns, out of account, code, valid_from"),
        (b"account,code,note\nLiabilities,1,x\n", "the first line must name the columns"),
        (b"", "the first line must name the columns"),
        (b"account,code\n\nLiabilities,1,x\n", "line 3: has 3 fields, not 2"),
        (b"account,code,valid_from\nLiabilities,1,soon\n", "line 2: valid_from: must be a day, as in 2027-01-31"),
        (b"account,code\nLiabilities,1\nLiabilities,2\n", "line 3: valid_from: Liabilities has a code of this day already"),
        (b"account,code\nLiabilities," + b"9" * 65 + b"\nIncome,\n", "64 printable characters; line 3: code: must be"),
        (b'account,code\nLiabilities,"1\n2"\n', "line 3: code: must be 1 to 64 printable characters"),
        (b'account,code\n"Liabilities,1', "this is no CSV file in UTF-8"),
        (b"\xff\xfe", "this is no CSV file in UTF-8"),
        (b"account,code\n" + b"Liabilities,1\n" * 1_001, "there are more than 1,000 lines"),
    ],
)
def test_a_file_of_codes_says_what_is_wrong_and_where(content: bytes, wrong: str) -> None:
    with pytest.raises(AccountCodesInvalid) as refused:
        read_account_codes(content)
    assert wrong in str(refused.value)


def test_codes_are_found_by_day_and_name() -> None:
    codes = read_account_codes("\ufeffaccount,code,valid_from\r\nIncome,4,\r\n".encode())
    assert codes.code("Income:Revenue:Allocated", date(2031, 1, 1)) == "4"
    assert codes.code("Expenses:Marketing", date(2031, 1, 1)) == ""
    assert NO_CODES.code("Income", date(2031, 1, 1)) == ""
