"""Journals that a controller recognises: hledger and beancount read income statement and balance sheet from them."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from beancount import loader
from beancount.core import data
from beancount.core import prices as beancount_prices

from ledger import AccountClass, Kind, Ledger, PointValue, Verb, describe_account
from ledger.testing import refund
from service.brands.brand import Brand
from service.exports import bundle
from service.exports.account_codes import NO_CODES, AccountCodes
from service.exports.book_at_cut import COPIED_ROWS, BookAtCut
from service.exports.bookkeeping import price
from service.exports.bundle import ExportFormat
from service.exports.free_text import beancount_text, hledger_description, hledger_tag
from service.finance import queries
from service.finance.bookkeeping import read_bookkeeping
from tests.finance.conftest import Till
from tests.finance.year import LAST_DAY, NAMES, Year

JOURNALS = [ExportFormat.BEANCOUNT, ExportFormat.HLEDGER]
ACCOUNTING = (Path(__file__).parents[2] / "docs/accounting.md").read_text()
ENGAGEMENT, PURCHASE, THIRD_PARTY = AccountClass
ReadBook = Callable[..., Awaitable[BookAtCut]]


@pytest.fixture
def book_now(ledger: Ledger, reader_pool: asyncpg.Pool[Any], brand: Brand, engine: Any) -> ReadBook:
    """The brand's book as it is now, kept as its settings say."""

    async def read(*, sub_accounts: bool = False, codes: AccountCodes = NO_CODES, copied_rows: int = COPIED_ROWS) -> BookAtCut:
        cut = await ledger.head(brand.book)
        return BookAtCut(
            log=ledger,
            pool=reader_pool,
            book=brand.book,
            cut=cut,
            brand=brand.code,
            points_code=brand.points_code,
            calendar=brand.calendar,
            campaigns=await queries.campaign_ids(engine, brand.brand_id),
            bookkeeping=await read_bookkeeping(engine, brand, cut, sub_accounts=sub_accounts, codes=codes),
            copied_rows=copied_rows,
        )

    return read


@pytest.fixture
async def year(ledger: Ledger, brand: Brand, owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any]) -> Year:
    """The year, over."""
    year = Year(ledger, brand, owner, worker_pool)
    await year.run()
    return year


class Hledger:
    """hledger, on one journal."""

    def __init__(self, program: str, journal: Path, *options: str) -> None:
        self._command = [program, "--file", str(journal), *options]

    def __call__(self, *arguments: str) -> str:
        """What it answers. Texts that are not ASCII need a UTF-8 locale, as hledger's manual says."""
        done = subprocess.run(
            [*self._command, *arguments],
            env=os.environ | {"LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def statement(self, command: str, *arguments: str) -> dict[str, Fraction]:
        """A report's accounts and what they hold, as the report signs it; without its totals."""
        rows = csv.reader(self(command, "--flat", "--output-format=csv", "--layout=bare", *arguments).splitlines())
        return {row[0]: Fraction(row[2]) for row in rows if len(row) > 2 and ":" in row[0] and not row[0].endswith(":")}


@pytest.fixture
async def journals(year: Year, book_now: ReadBook, tmp_path: Path) -> Path:
    """The directory with the year's journals."""
    manifest = await bundle.write(await book_now(), bundle.writers_of(JOURNALS), tmp_path)
    assert manifest.balanced
    return tmp_path


@pytest.fixture
def hledger(journals: Path, program: Callable[[str], str]) -> Hledger:
    """hledger on the year's journal."""
    return Hledger(program("hledger"), journals / "journal.hledger")


class Expected:
    """Income statement and balance sheet as the ledger's own trial balance and log have them. Debits are positive."""

    @classmethod
    async def of(cls, year: Year) -> Expected:
        """Read both."""
        head = await year.ledger.head(year.book)
        trial_balance = await year.ledger.trial_balance(year.book, head)
        made = cls()
        made.held = Counter()
        for line in trial_balance.lines:
            if line.account_class is not None:
                made.held[line.kind, line.account_class] += line.debits - line.credits
        made.granted = Counter()
        for transfer in await year.ledger.transfers(year.book, after=0, cut=head.seq, limit=10_000):
            debit, credit = describe_account(transfer.debit), describe_account(transfer.credit)
            if transfer.verb in (Verb.GRANT, Verb.MATURE) or (transfer.verb, debit.kind) == (Verb.ADJUST, Kind.BUDGET):
                made.granted[credit.account_class] += transfer.amount
            elif transfer.verb is Verb.CLAWBACK:
                made.granted[debit.account_class] -= transfer.amount
        return made

    held: Counter[tuple[str, str]]
    granted: Counter[AccountClass]

    def owed(self, account_class: str) -> dict[str, int]:
        """What is owed to customers, by account."""
        return {
            "Customers": -self.held["lot", account_class],
            "OnHold": -self.held["held", account_class],
        }


def without_zeros(amounts: dict[str, Any]) -> dict[str, Any]:
    return {account: amount for account, amount in amounts.items() if amount}


async def test_the_year_has_every_verb_that_is_posted(year: Year) -> None:
    log = await year.ledger.transfers(year.book, after=0, cut=(await year.ledger.head(year.book)).seq, limit=10_000)
    assert {transfer.verb for transfer in log} == set(Verb)
    owners = {(describe_account(each.credit).kind, describe_account(each.credit).account_class) for each in log}
    assert {(Kind.SPENT, each) for each in AccountClass} <= owners
    assert {(Kind.BREAKAGE, each) for each in AccountClass} <= owners


async def test_both_programs_find_what_the_accounts_hold(journals: Path, hledger: Hledger) -> None:
    hledger("check", "--strict", "payees")
    _, errors, _ = loader.load_file(str(journals / "journal.beancount"))
    assert errors == []


async def test_the_income_statement_is_what_was_granted_redeemed_and_expired(year: Year, hledger: Hledger) -> None:
    expected = await Expected.of(year)
    held = expected.held
    assert hledger.statement("incomestatement") == without_zeros(
        {
            "Expenses:Marketing": expected.granted[ENGAGEMENT],
            "Income:Revenue:Allocated": -expected.granted[PURCHASE],
            "Income:Revenue:Redeemed": -held["spent", "purchase"],
            "Income:Breakage:Engagement": -held["breakage", "engagement"],
            "Income:Breakage:Purchase": -held["breakage", "purchase"],
            "Expenses:Adjustments:Engagement": held["adjustment", "engagement"],
            "Expenses:Adjustments:Purchase": held["adjustment", "purchase"],
        }
    )


async def test_the_balance_sheet_is_what_is_owed_and_what_is_to_be_cleared(year: Year, hledger: Hledger) -> None:
    expected = await Expected.of(year)
    held = expected.held
    owed = {
        f"Liabilities:{account}:{part}": points
        for account, account_class in (
            ("PointsProvision", "engagement"),
            ("DeferredRevenue", "purchase"),
            ("ThirdPartyPoints", "third_party"),
        )
        for part, points in expected.owed(account_class).items()
    }
    clearing = {
        "Assets:Clearing:Redemptions:Engagement": held["spent", "engagement"],
        "Assets:Clearing:Redemptions:ThirdParty": held["spent", "third_party"],
        "Assets:Clearing:ThirdParty:Granted": expected.granted[THIRD_PARTY],
        "Assets:Clearing:ThirdParty:Expired": held["breakage", "third_party"],
    }
    assert hledger.statement("balancesheet") == without_zeros(owed | clearing)
    equity = hledger.statement("balancesheetequity")
    assert {name: amount for name, amount in equity.items() if name.startswith("Equity:Opening")} == {
        "Equity:Opening:Engagement": -50,
        "Equity:Opening:Purchase": -60,
        "Equity:Opening:ThirdParty": -7,
    }


async def test_budgets_and_what_is_held_back_are_a_memo_that_adds_up_to_nothing(year: Year, hledger: Hledger) -> None:
    memo = hledger.statement("balance", "Equity:Memo", "--end=2031-05-20")
    assert sum(memo.values()) == 0
    assert memo["Equity:Memo:Issuance"] == 300_000
    assert memo["Equity:Memo:HeldBack"] == -(30 + 31 + 32)
    expected = await Expected.of(year)
    memo = hledger.statement("balance", "Equity:Memo")
    assert sum(memo.values()) == 0
    assert "Equity:Memo:HeldBack" not in memo
    assert memo["Equity:Memo:Granted"] == -expected.granted.total()


@pytest.mark.parametrize(
    ("on", "value"),
    [
        (date(2031, 1, 31), None),
        (date(2031, 2, 28), Fraction(50, 10_000)),
        (date(2031, 4, 30), Fraction(3, 700)),
        (date(2031, 5, 1), Fraction(1, 300)),
        (date(2031, 12, 31), Fraction(1, 300)),
    ],
)
async def test_both_programs_value_points_as_the_brand_did_then(
    journals: Path, hledger: Hledger, on: date, value: Fraction | None
) -> None:
    until = ("--end", str(date.fromordinal(on.toordinal() + 1)))
    points = hledger.statement("balance", *until)
    entries, _, _ = loader.load_file(str(journals / "journal.beancount"))
    untyped: Any = beancount_prices
    _, found = untyped.get_price(untyped.build_price_map(entries), ("P7S", "EUR"), on)
    assert points
    if value is None:
        assert found is None
        assert hledger.statement("balance", *until, "--value=then,EUR") == points
        return
    assert abs(Fraction(found) - value) < Fraction(1, 10**20)
    money = hledger.statement("balance", *until, f"--value={on},EUR", "--commodity-style=1000.000000000000 EUR")
    assert set(money) == set(points)
    for account, amount in money.items():
        assert abs(amount - points[account] * value) < Fraction(1, 10**11)


async def test_beancounts_sums_are_hledgers(journals: Path, hledger: Hledger) -> None:
    sums: Counter[str] = Counter()
    entries, errors, options = loader.load_file(str(journals / "journal.beancount"))
    assert errors == []
    assert options["operating_currency"] == ["P7S", "EUR"]
    for entry in data.filter_txns(entries):
        for posting in entry.postings:
            assert posting.units
            sums[posting.account] += int(posting.units.number or 0)
    assert without_zeros(sums) == hledger.statement("balance")


async def test_entries_say_what_they_are_about_and_what_users_typed_breaks_nothing(journals: Path) -> None:
    entries, _, _ = loader.load_file(str(journals / "journal.beancount"))
    said = {entry.narration: entry.meta for entry in data.filter_txns(entries)}
    spring = 'Spring; "sale" | 50% \\ off, date:2031-99-99 [2031-99-99] 2031-01-01 * x'
    assert said[f"grant: {spring}"]["campaign"] == "spring"
    assert said[f"grant: {spring}"]["channel"] in ("email", "sms")
    assert said[f"grant: {spring}"]["action"] == "click"
    assert said["grant: Einkäufe 🍎 (b) = c @ {d}"]["campaign"] == "points-on-purchase"
    assert "grant: ; #tag ^link ! *" in said
    redeemed = said['authorize, capture: order A-1"; \\ "x|y, z at Mitte, 1; a b']
    assert redeemed["order"] == 'A-1"; \\ "x|y, z'
    assert redeemed["store"] == "Mitte, 1; a b"
    assert said["capture: order B-2 at Nord"]["store"] == "Nord"


async def test_hledger_reads_what_users_typed(hledger: Hledger) -> None:
    assert hledger("tags", "campaign", "--values").splitlines() == sorted(NAMES)
    assert 'A-1"; \\ "x|y; z' in hledger("tags", "order", "--values").splitlines()
    assert any(
        line.startswith('grant | Spring, "sale" | 50% \\ off, date:2031-99-99') for line in hledger("descriptions").splitlines()
    )


async def test_a_transaction_has_two_postings_for_each_pair_of_accounts(hledger: Hledger) -> None:
    """However many lots an import opens."""
    postings = [line.split() for line in hledger("print", "desc:open").splitlines()[1:] if line]
    assert [(account, int(points)) for account, points, _ in postings] == [
        ("Equity:Opening:Engagement", 50),
        ("Liabilities:PointsProvision:Customers", -50),
        ("Equity:Opening:Purchase", 60),
        ("Liabilities:DeferredRevenue:Customers", -60),
        ("Equity:Opening:ThirdParty", 7),
        ("Liabilities:ThirdPartyPoints:Customers", -7),
    ]


async def test_what_died_in_june_is_junes(hledger: Hledger) -> None:
    june = hledger.statement("incomestatement", "--begin=2031-06-01", "--end=2031-07-01")
    assert june["Income:Breakage:Engagement"] > 0
    assert "Income:Breakage:Engagement" not in hledger.statement("incomestatement", "--begin=2031-07-01", "--end=2032-01-01")


async def test_sub_accounts_are_the_same_accounts_in_parts(
    year: Year, book_now: ReadBook, hledger: Hledger, program: Callable[[str], str], tmp_path: Path
) -> None:
    manifest = await bundle.write(
        await book_now(sub_accounts=True, copied_rows=5), bundle.writers_of(JOURNALS), tmp_path / "parts"
    )
    assert json.loads((tmp_path / "parts" / "manifest.json").read_text())["sub_accounts"] is manifest.sub_accounts is True
    parts = Hledger(program("hledger"), tmp_path / "parts" / "journal.hledger")
    parts("check", "--strict", "payees")
    assert loader.load_file(str(tmp_path / "parts" / "journal.beancount"))[1] == []
    whole = hledger.statement("balance")
    found = parts.statement("balance")
    summed: dict[str, Fraction] = {}
    for account, amount in found.items():
        name, _, own = account.rpartition(":")
        whole_account = name if own[0] in "CR" and own[1:].isdigit() else account
        summed[whole_account] = summed.get(whole_account, Fraction()) + amount
    assert without_zeros(summed) == whole
    for customer in range(1, 7):
        spendable = (await year.ledger.balance(year.book, customer)).spendable
        owed = sum(amount for account, amount in found.items() if account.endswith(f":Customers:C{customer}"))
        assert -owed == spendable


async def test_later_names_and_values_leave_journals_as_they_are(
    year: Year, book_now: ReadBook, owner: asyncpg.Connection[Any], tmp_path: Path
) -> None:
    formats = bundle.writers_of([*JOURNALS, ExportFormat.SUMMARY])
    await bundle.write(await book_now(), formats, tmp_path / "first")
    cut = await year.ledger.head(year.book)
    await owner.execute(
        "INSERT INTO rewards.campaign_version"
        " SELECT campaign_no, 2, 'Another name', starts_at, ends_at, account_class, expires_after_months, terms, now(), 1"
        " FROM rewards.campaign_version"
    )
    await owner.execute("UPDATE rewards.campaign SET current_version = 2")
    await year.value(4, 1, 7, cut.posted_at + timedelta(seconds=1))
    await bundle.write(await book_now(), formats, tmp_path / "second")
    first, second = ({path.name: path.read_bytes() for path in (tmp_path / each).iterdir()} for each in ("first", "second"))
    assert first == second
    assert set(first) == {"journal.beancount", "journal.hledger", "manifest.json", "summary.csv"}


async def test_without_a_value_of_points_there_are_no_prices(
    till: Till, book_now: ReadBook, program: Callable[[str], str], tmp_path: Path
) -> None:
    await till.fund(100)
    await till.grant(1, 10)
    await bundle.write(await book_now(), bundle.writers_of(JOURNALS), tmp_path)
    assert "EUR" not in (tmp_path / "journal.hledger").read_text()
    assert "EUR" not in (tmp_path / "journal.beancount").read_text()
    Hledger(program("hledger"), tmp_path / "journal.hledger")("check", "--strict", "payees")
    assert loader.load_file(str(tmp_path / "journal.beancount"))[1] == []


@pytest.mark.parametrize(
    ("value", "currency", "shown"),
    [
        (PointValue(100, 50), "EUR", ("0.005", True)),
        (PointValue(1, 100), "EUR", ("1", True)),
        (PointValue(1, 2_500), "EUR", ("25", True)),
        (PointValue(3, 1), "EUR", ("0.00333333333333333333", False)),
        (PointValue(3, 2), "JPY", ("0.66666666666666666667", False)),
        (PointValue(3, 3), "JPY", ("1", True)),
        (PointValue(512, 1), "KWD", ("0.000001953125", True)),
        (PointValue(10**9, 1), "EUR", ("0.00000000001", True)),
    ],
)
def test_a_price_is_exact_where_a_decimal_number_can_be(value: PointValue, currency: str, shown: tuple[str, bool]) -> None:
    assert price(value, currency) == shown


@pytest.mark.parametrize(
    ("text", "description", "tag", "quoted"),
    [
        ("plain", "plain", "plain", '"plain"'),
        ("a;b,c", "a,b,c", "a;b;c", '"a;b,c"'),
        ('say "x" \\', 'say "x" \\', 'say "x" \\', '"say \\"x\\" \\\\"'),
        ("a\r\nb\x00\u2028c\u202e", "a b c", "a b c", '"a b c"'),
        ("  \t", "", "", '""'),
    ],
)
def test_text_stays_on_its_line(text: str, description: str, tag: str, quoted: str) -> None:
    assert (hledger_description(text), hledger_tag(text), beancount_text(text)) == (description, tag, quoted)


def documented(heading: str) -> dict[str, tuple[Fraction, Fraction]]:
    """A statement of the worked example in docs/accounting.md: points and money by account."""
    table = ACCOUNTING.partition(f"\n{heading}:\n\n")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `(\S+)` \| (\S+) \| (\S+) \|$", table, re.MULTILINE)
    return {name: (Fraction(points.replace(",", "")), Fraction(money.replace(",", ""))) for name, points, money in rows}


async def test_the_worked_example_is_what_hledger_reports(
    example: Year, book_now: ReadBook, program: Callable[[str], str], tmp_path: Path
) -> None:
    del example
    await bundle.write(await book_now(), bundle.writers_of(JOURNALS), tmp_path)
    hledger = Hledger(program("hledger"), tmp_path / "journal.hledger")
    for heading, command in (
        ("Income statement of the year", "incomestatement"),
        ("Balance sheet at its end", "balancesheet"),
    ):
        points = hledger.statement(command)
        money = hledger.statement(command, "--value=end,EUR")
        found = {name: (points[name], money[name]) for name in points}
        assert found == documented(heading) != {}


@pytest.fixture
async def example(ledger: Ledger, brand: Brand, owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any]) -> Year:
    """The year of the worked example."""
    year = Year(ledger, brand, owner, worker_pool)
    await year.at(3, 1)
    await year.value(1, 1, 1, datetime(2031, 3, 1, 9, tzinfo=UTC))
    await year.begin_campaigns({"newsletter": ("Newsletter", ENGAGEMENT), "shop": ("Shop", PURCHASE)})
    await year.at(3, 4)
    await year.grant("newsletter", 1, 500, "email", expires_on=LAST_DAY)
    await year.at(3, 5)
    await year.grant("shop", 1, 1_000, "app", expires_on=date(2031, 12, 31))
    await year.at(3, 10)
    order = await year.redeem(1, 600, order_ref="order 1", capture=True)
    await year.at(3, 12)
    await year.step(refund(year.book, order, 50))
    await year.at(3, 20)
    await year.grant("newsletter", 1, 200, "email", expires_on=LAST_DAY)
    await year.at(7, 1)
    await year.sweep()
    await year.at(12, 31)
    return year
