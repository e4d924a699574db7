"""A year of a brand, closed month by month: every report, journal and export says the same of it.

``REWARDS_TEST_YEAR_TRANSFERS`` is how many transfers the year should have, roughly.
"""

from __future__ import annotations

import csv
import itertools
import json
import os
import re
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import httpx
import pytest
from beancount import loader
from beancount.core import data

from ledger import Verb
from service.cli.audit import audit_brands
from service.storage.database import WORKER_ROLE, create_engine
from tests.acceptance.simulated_year import SimulatedYear, last_day, midnight, period
from tests.api_fixtures import Api
from tests.conftest import Database
from tests.export_jobs.conftest import ExportWorker, export_worker, look, order
from tests.finance.test_journals import Hledger
from tests.finance.test_parquet import sql

__all__ = ["export_worker"]

TRANSFERS = int(os.environ.get("REWARDS_TEST_YEAR_TRANSFERS", "1500"))
SEED = int(os.environ.get("REWARDS_TEST_YEAR_SEED", "13"))
DEFERRED = {"opening_deferred_value", "allocated_value", "released_value", "closing_deferred_value"}
MONTHS = range(1, 13)
YEAR = {"from": "2031-01-01", "to": "2031-12-31"}
CLASSES = ("engagement", "purchase", "third_party")


class Accounts(NamedTuple):
    """The accounts of a class in journals."""

    owed: str
    granted: str
    redeemed: str
    expired: str
    opened: str


ACCOUNTS = {
    "engagement": Accounts(
        "Liabilities:PointsProvision",
        "Expenses:Marketing",
        "Assets:Clearing:Redemptions:Engagement",
        "Income:Breakage:Engagement",
        "Equity:Opening:Engagement",
    ),
    "purchase": Accounts(
        "Liabilities:DeferredRevenue",
        "Income:Revenue:Allocated",
        "Income:Revenue:Redeemed",
        "Income:Breakage:Purchase",
        "Equity:Opening:Purchase",
    ),
    "third_party": Accounts(
        "Liabilities:ThirdPartyPoints",
        "Assets:Clearing:ThirdParty:Granted",
        "Assets:Clearing:Redemptions:ThirdParty",
        "Assets:Clearing:ThirdParty:Expired",
        "Equity:Opening:ThirdParty",
    ),
}


JOURNAL_TRANSFERS_MAX = 300_000
"""How long a log is read by other programs entry by entry: they keep it in memory. Of a longer one they read the summary."""
SUMMARY_RULES = """
skip 1
fields date, campaign, channel, verb, class, debit, debit_code, credit, credit_code, points, worth, money, transfers
description %verb
account1 %debit
amount1 %points LUM
account2 %credit
amount2 -%points LUM
if %verb ^revalue$
 skip
"""


class Checks:
    """What is read of a year that is over."""

    def __init__(self, api: Api, year: SimulatedYear) -> None:
        self.api = api
        self.year = year
        self.timing = year.stopwatch.timing
        self.months: dict[int, dict[str, Any]] = {}
        """The roll-forward of each month, by class."""
        self.ends: dict[int, Counter[tuple[str, str | None]]] = {}
        """The balance of all accounts of a kind and class at each month's end."""

    async def get(self, path: str, **query: Any) -> Any:
        with self.timing(re.sub("[0-9]{4}-[0-9]{2}$|red_.*(?=/)|red_.*", "...", path.partition("?")[0])):
            answer = await self.api.client("finance").get(path, params=query or None)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def all_pages(self, path: str, **query: Any) -> list[Any]:
        url = str(self.api.client("finance").build_request("GET", path).url.copy_merge_params(query))
        page = await self.get(url)
        found = page["items"]
        while page["next"] is not None:
            page = await self.get(str(httpx.URL(url).copy_merge_params({"after": page["next"]})))
            found += page["items"]
        return found

    async def report(self, name: str, month: int, **query: Any) -> Any:
        return await self.get(f"/v1/reports/{name}", **days(month), **query)

    async def read(self) -> None:
        """Read what the others are compared with."""
        for month in MONTHS:
            self.months[month] = await self.report("roll-forward", month, by="class")
        for month in range(13):
            self.ends[month] = Counter()
            if month:
                as_of = midnight(month + 1).isoformat()
                for line in (await self.get("/v1/ledger/trial-balance", as_of=as_of))["accounts"]:
                    self.ends[month][line["kind"], line["account_class"]] += line["balance"]

    def row(self, month: int, account_class: str) -> Mapping[str, Any]:
        """A class's row of a month's roll-forward; nothing if there is none."""
        rows: list[dict[str, Any]] = self.months[month]["rows"]
        return next((row for row in rows if row["class"] == account_class), Counter[str]())

    def owed(self, month: int, account_class: str) -> int:
        """What the trial balance has of what is owed at the end of a month."""
        return self.ends[month]["lot", account_class] + self.ends[month]["held", account_class]

    # ---- Reports, closes and the trial balance

    def roll_forwards_tie_to_the_trial_balance(self) -> None:
        for month, name in itertools.product(MONTHS, CLASSES):
            row = self.row(month, name)

            def moved(kind: str, month: int = month, name: str = name) -> int:
                return self.ends[month][kind, name] - self.ends[month - 1][kind, name]

            assert row["closing"] == self.owed(month, name), (month, name)
            assert row["opening"] == self.owed(month - 1, name), (month, name)
            assert row["expired"] == moved("breakage"), (month, name)
            assert row["redeemed"] - row["refunded"] == moved("spent"), (month, name)
            assert row["brought_in"] == -moved("opening"), (month, name)

    def roll_forwards_tie_to_each_other(self) -> None:
        for month, name in itertools.product(range(1, 12), CLASSES):
            for column in ("", "_value"):
                assert self.row(month, name)[f"closing{column}"] == self.row(month + 1, name)[f"opening{column}"], (month, name)

    async def roll_forwards_tie_to_closes(self) -> None:
        for month in MONTHS:
            close = await self.get(f"/v1/closes/{period(month)}")
            kinds = {total["kind"]: total["balance"] for total in close["totals"]["kinds"]}
            assert close["state"] == "settled"
            assert close["totals"]["debits"] == close["totals"]["credits"]
            assert self.months[month]["totals"]["closing"] == close["totals"]["points_owed"], month
            by_kind: Counter[str] = Counter()
            for (kind, _), balance in self.ends[month].items():
                by_kind[kind] += balance
            assert kinds == by_kind, month

    async def a_closed_month_says_what_it_said(self) -> None:
        for month in MONTHS:
            told = self.year.told[month]
            assert await self.year.closed_month(month) == told.settled != {}, month
            close = await self.get(f"/v1/closes/{period(month)}")
            later = {"state", "settled_seq"}
            assert {name: value for name, value in close.items() if name not in later} == {
                name: value for name, value in told.close.items() if name not in later
            }
            for part in ("rows", "totals"):
                assert self.months[month][part] == told.report[part], month

    async def customers_have_what_is_owed(self) -> None:
        for month in MONTHS:
            told = self.year.told[month]
            found: Counter[int] = Counter()
            for account in await self.all_pages("/v1/ledger/balances", as_of=midnight(month + 1).isoformat(), limit=1_000):
                if account["kind"] == "lot":
                    found[account["customer"]] += account["balance"]
            assert {number: points for number, points in found.items() if points} == told.balances, month
            assert sum(told.balances.values()) == sum(self.ends[month]["lot", name] for name in CLASSES), month
            assert told.held == sum(self.ends[month]["held", name] for name in CLASSES), month

    async def other_reports_tie_to_the_roll_forward(self) -> None:
        for month in MONTHS:
            totals = self.months[month]["totals"]
            followed = (await self.report("roll-forward", month, by="campaign,channel"))["totals"]
            # Deferred revenue is an average of all that is deferred.
            assert followed == {name: None if name in DEFERRED else value for name, value in totals.items()}, month
            for report in ("attention-invoice", "lifecycle"):
                paid = (await self.report(report, month))["totals"]
                assert paid["points"] == totals["granted"] + totals["matured"], month
            expiring = (await self.get("/v1/reports/expiry-schedule", to=days(month)["to"]))["totals"]
            assert (expiring["points"], expiring["value"]) == (totals["closing"], totals["closing_value"]), month
            settled = (await self.report("settlement", month))["totals"]
            assert (settled["captured"], settled["refunded"]) == (totals["redeemed"], totals["refunded"]), month

    async def what_became_of_points_ties_to_the_roll_forward(self) -> None:
        """Breakage month by month, and vintages at the year's end."""
        breakage = await self.get("/v1/reports/breakage", **YEAR)
        since: Counter[str] = Counter()
        for row in breakage["rows"]:
            month = self.row(int(row["month"][5:]), row["class"])
            since["issued"] += month["granted"] + month["matured"] + month["brought_in"] + month["adjusted"]
            since["issued"] -= month["clawed_back"]
            since["redeemed"] += month["redeemed"] - month["refunded"]
            since["expired"] += month["expired"]
            since["outstanding"] = month["closing"]
            assert {name: row[name] for name in since} == since, row["month"]
        assert [(row["month"], row["class"]) for row in breakage["rows"]] == [(period(month), "purchase") for month in MONTHS]
        vintages = (await self.get("/v1/reports/vintages", to=YEAR["to"], by=""))["rows"]
        last = {row["issued_in"]: row for row in vintages}
        assert sum(row["left"] for row in last.values()) == self.months[12]["totals"]["closing"]
        assert sum(row["expired"] for row in vintages) == sum(report["totals"]["expired"] for report in self.months.values())

    async def the_whole_year_is_its_months(self) -> None:
        year = await self.get("/v1/reports/roll-forward", **YEAR, by="class,month")
        months = [
            {"class": row["class"], "month": period(month)} | {name: value for name, value in row.items() if name != "class"}
            for name in CLASSES
            for month in MONTHS
            if (row := self.row(month, name))
        ]
        assert year["rows"] == months

    async def figures_lead_to_their_transfers(self, month: int) -> None:
        report = self.months[month]
        for row, links in zip(report["rows"], report["links"], strict=True):
            for column, path in links.items():
                transfers = await self.all_pages(path)
                assert sum(transfer["amount"] for transfer in transfers) == row[column], (month, row["class"], column)

    # ---- Files

    def journals_tie(self, hledger: Hledger, journal: Path) -> None:
        with self.timing("hledger check"):
            hledger("check", "--strict", "payees")
        with self.timing("beancount"):
            entries, errors, _ = loader.load_file(str(journal))
        assert errors == []
        assert summed(entries) == hledger.statement("balance")
        self._statements_tie(hledger)

    def _statements_tie(self, hledger: Hledger) -> None:
        with self.timing("hledger statements"):
            income = monthly(hledger, "incomestatement")
            other = monthly(hledger, "balance", "Assets", "Equity:Opening")
            sheet = monthly(hledger, "balancesheet")
        for month in MONTHS:
            self._income_ties(month, {**income[month], **other[month]})
            self._balance_sheet_ties(month, sheet[month])

    def _income_ties(self, month: int, debited: Mapping[str, int]) -> None:
        """What was earned, spent and lost, wherever its class has it. hledger shows income as positive."""
        expected: Counter[str] = Counter()
        for name, accounts in ACCOUNTS.items():
            row = self.row(month, name)
            expected[accounts.granted] = row["granted"] + row["matured"] + row["adjusted"] - row["clawed_back"]
            expected[accounts.redeemed] = row["refunded"] - row["redeemed"]
            expected[accounts.expired] = -row["expired"]
            expected[accounts.opened] = row["brought_in"]
        assert as_debits(debited) == {account: points for account, points in expected.items() if points}, month

    def _balance_sheet_ties(self, month: int, sheet: Counter[str]) -> None:
        for name, accounts in ACCOUNTS.items():
            parts = [sheet[f"{accounts.owed}:{part}"] for part in ("Customers", "OnHold")]
            if accounts.owed in sheet:  # all that is owed in one
                assert sheet[accounts.owed] == self.owed(month, name), (month, name)
            else:
                assert parts == [self.ends[month]["lot", name], self.ends[month]["held", name]], (month, name)

    def programs_agree_on_the_summary(self, program: str, path: Path) -> None:
        """What a general ledger takes, read by hledger with rules for its columns, and written out for beancount."""
        rules = path.with_name("summary.rules")
        rules.write_text(SUMMARY_RULES)
        hledger = Hledger(program, path, f"--rules-file={rules}")
        self._statements_tie(hledger)
        entries: list[str] = []
        with path.open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["verb"] != "revalue"]
        for row in rows:
            debit, credit, points = row["debit_account"], row["credit_account"], row["points"]
            entries.append(f'{row["date"]} * "{row["verb"]}"\n  {debit}  {points} LUM\n  {credit}  -{points} LUM\n')
        opened = sorted({row[side] for row in rows for side in ("debit_account", "credit_account")})
        written = path.with_name("summary.beancount")
        written.write_text("\n".join([*(f"2030-01-01 open {account}" for account in opened), *entries]))
        with self.timing("beancount"):
            found, errors, _ = loader.load_file(str(written))
        assert errors == []
        assert summed(found) == hledger.statement("balance")

    async def the_summary_ties(self, path: Path) -> None:
        """In points and in money; of deferred revenue, what was allocated."""
        points: Counter[tuple[str, str]] = Counter()
        money: Counter[tuple[str, str]] = Counter()
        rows: Counter[tuple[str, str]] = Counter()
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                for sign, account in ((-1, row["debit_account"]), (1, row["credit_account"])):
                    points[row["date"][:7], account] += sign * int(row["points"] or 0) * (row["verb"] != "revalue")
                    rows[row["date"][:7], account] += 1
                    money[row["date"][:7], account] += sign * int(Decimal(row["amount"] or 0) * 100)
        for name, accounts in ACCOUNTS.items():
            owed = worth = 0
            for month in MONTHS:
                owed += points[period(month), accounts.owed]
                worth += money[period(month), accounts.owed]
                assert owed == self.row(month, name)["closing"], (month, name)
                value = "closing_deferred_value" if name == "purchase" else "closing_value"
                assert worth == self.row(month, name)[value], (month, name)
        allocated = rounded = 0
        for row in (await self.get("/v1/reports/breakage", **YEAR))["rows"]:
            for account in (ACCOUNTS["purchase"].granted, "Equity:Opening:Purchase"):
                allocated -= money[row["month"], account]
                rounded += rows[row["month"], account]
            # What the account has is exact, so each row may be off by less than a minor unit.
            assert abs(row["allocated_value"] - allocated) <= rounded, row["month"]

    async def parquet_ties(self, directory: Path) -> None:
        """DuckDB adds up by accounting date what the roll-forward has."""
        found = sql(
            """
            SELECT strftime(accounting_date, '%Y-%m'), verb, sum(amount) FROM transfer_details
            WHERE split_part(debit, ':', 1) IN ('lot', 'held', 'spent') OR verb IN ('grant', 'mature', 'adjust')
            GROUP BY ALL
            """,
            directory,
        )
        moved = {(month, verb): points for month, verb, points in found}
        verbs = {verb for (verb,) in sql("SELECT DISTINCT verb FROM transfers", directory)}
        assert verbs == {verb.name.lower() for verb in Verb} - {"forfeit"}, "not all has happened"
        for month in MONTHS:
            totals = self.months[month]["totals"]
            for verb, column in {
                "grant": "granted",
                "mature": "matured",
                "capture": "redeemed",
                "refund": "refunded",
                "expire": "expired",
                "clawback": "clawed_back",
                "adjust": "adjusted",
            }.items():
                assert moved.get((period(month), verb), 0) == totals[column], (month, verb)
        by_kind: Counter[str] = Counter()
        for line in (await self.get("/v1/ledger/trial-balance"))["accounts"]:
            by_kind[line["kind"]] += line["balance"]
        assert dict(sql("SELECT kind, sum(balance) FROM accounts GROUP BY kind", directory)) == by_kind

    # ---- Layers

    async def layers_tie_to_redemptions(self, redemptions: list[str]) -> None:
        for name in redemptions:
            redemption = await self.get(f"/v1/redemptions/{name}")
            sources = (await self.get(f"/v1/redemptions/{name}/sources", limit=1_000))["items"]
            # What a late capture took it took beside what had been authorized, and released, before.
            late = captured_late(redemption)
            for counted, told, more in (
                ("points", "authorized", late),
                ("captured", "captured", 0),
                ("refunded", "refunded", 0),
                ("released", "released", late),
            ):
                assert sum(source[counted] for source in sources) == redemption[told] + more, (name, told)


def captured_late(redemption: dict[str, Any]) -> int:
    """How many points were captured after the hold had timed out."""
    late = (each for each in redemption["operations"] if each["posted_at"] >= redemption["expires_at"])
    return sum(each["points"] for each in late if each["type"] == "capture")


def days(month: int) -> dict[str, str]:
    return {"from": f"{period(month)}-01", "to": last_day(month).isoformat()}


def summed(entries: data.Directives) -> dict[str, int]:
    """What beancount adds up, by account."""
    sums: Counter[str] = Counter()
    for entry in data.filter_txns(entries):
        for posting in entry.postings:
            assert posting.units
            sums[posting.account] += int(posting.units.number or 0)
    return {name: points for name, points in sums.items() if points}


def monthly(hledger: Hledger, *command: str) -> dict[int, Counter[str]]:
    """A statement month by month, as hledger signs it."""
    text = hledger(
        *command, "--monthly", "--flat", "--begin=2031-01-01", "--end=2032-01-01", "--output-format=csv", "--layout=bare"
    )
    found = {month: Counter[str]() for month in MONTHS}
    for row in csv.reader(text.splitlines()):
        if len(row) >= 14 and ":" in row[0].rstrip(":"):
            for month, points in enumerate(row[2:14], 1):
                found[month][row[0]] += int(points)
    return found


def as_debits(signed: Mapping[str, int]) -> dict[str, int]:
    """What an income statement has, with income as the credit that it is; and without what is nothing."""
    return {name: -points if name.startswith("Income:") else points for name, points in signed.items() if points}


@pytest.fixture
async def year(api: Api, owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any]) -> AsyncGenerator[SimulatedYear]:
    """The year, not begun."""
    engine = create_engine(api.settings.database_url, WORKER_ROLE)
    yield SimulatedYear(api, owner, (worker_pool, engine), transfers=TRANSFERS, seed=SEED)
    await engine.dispose()


@pytest.mark.slow
@pytest.mark.one_process("moves the brand's clock, which other processes follow a moment later")
async def test_all_that_is_said_of_a_year_agrees(
    api: Api, database: Database, year: SimulatedYear, export_worker: ExportWorker, program: Callable[[str], str]
) -> None:
    timing = year.stopwatch.timing
    with timing("the year"):
        await year.pass_by()
    assert len(+year.returned) == 3, "of what came back, points were taken, were short, and were paid for"
    checks = Checks(api, year)
    await checks.read()
    checks.roll_forwards_tie_to_the_trial_balance()
    checks.roll_forwards_tie_to_each_other()
    await checks.roll_forwards_tie_to_closes()
    await checks.a_closed_month_says_what_it_said()
    await checks.customers_have_what_is_owed()
    await checks.other_reports_tie_to_the_roll_forward()
    await checks.what_became_of_points_ties_to_the_roll_forward()
    await checks.the_whole_year_is_its_months()
    await checks.figures_lead_to_their_transfers(2)
    await checks.figures_lead_to_their_transfers(5)

    with timing("exports"):
        directory, again = [await exported(api, export_worker, key) for key in ("first", "second")]
    assert {file.name: file.read_bytes() for file in directory.iterdir()} == {
        file.name: file.read_bytes() for file in again.iterdir()
    }
    assert json.loads((directory / "manifest.json").read_text())["balanced"] is True
    hledger, journal = program("hledger"), directory / "journal.beancount"
    if TRANSFERS <= JOURNAL_TRANSFERS_MAX:
        checks.journals_tie(Hledger(hledger, directory / "journal.hledger"), journal)
    checks.programs_agree_on_the_summary(hledger, directory / "summary.csv")
    await checks.the_summary_ties(directory / "summary.csv")
    await checks.parquet_ties(directory)

    await checks.layers_tie_to_redemptions([each.id for each in year.redemptions][:: max(1, len(year.redemptions) // 100)])
    with timing("audit"):
        (book,) = await audit_brands(database.application_url, None)
    assert [finding for finding in book.findings if finding.violations] == []
    unchecked = {finding.invariant for finding in book.findings if not finding.checked}
    assert unchecked <= {
        "grants_that_are_taken_as_they_are",
        "cuts_lie_in_the_log",
        "erased_customers_have_nothing",
        "only_the_erased_lack_details",
    }
    sys.stdout.write(f"{(await api.services.ledger.head(api.brand.book)).seq:,} transfers\n{year.stopwatch}\n")


async def exported(api: Api, export_worker: ExportWorker, key: str) -> Path:
    """The directory with all files of the year."""
    formats = ["csv", "jsonl", "parquet", "hledger", "beancount", "summary"]
    job = await order(api, key=key, formats=formats, details=True, customers=True)
    assert await export_worker.work() == 1
    assert (await look(api, job))["status"] == "done"
    return api.settings.exports_path / job["id"]
