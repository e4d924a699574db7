"""Reports, trial balances and closes of the API as tables of a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from urllib.parse import parse_qsl, urlencode, urlsplit

from service.closes.schemas import ChecklistResponse, CloseResponse
from service.console.overview.figures import TRANSFERS
from service.console.rooms import HOME
from service.console.table import Column, Kind, Row, Table, Value
from service.finance.schemas import TrialBalanceAccount, TrialBalanceResponse
from service.reports.report import Report, Unit
from service.reports.report import Row as Figures

MONEY = f"{HOME}/money"
CLOSES = f"{MONEY}/closes"
_TRANSFERS_OF_API = "/v1/ledger/transfers"
_KINDS: Mapping[Unit, Kind] = {
    "text": "text",
    "date": "text",
    "count": "number",
    "points": "points",
    "minor_units": "money",
    "decimal": "number",
    "share": "number",
}
_SUFFIX = "_value"


def report(made: Report, here: str) -> Table:
    """A report as it is: its columns, rows and totals, each figure with a link to its transfers where there is one."""
    return Table(
        name=made.report,
        caption=f"{titled(made.report)}, {period_of(made)}",
        columns=[Column(titled(each.name), _KINDS[each.unit], each.name, made.currency) for each in made.columns],
        rows=[
            Row([row.get(each.name) for each in made.columns], links=_links(made, place, here))
            for place, row in enumerate(made.rows)
        ],
        totals=Row([made.totals.get(each.name) for each in made.columns]) if made.rows else None,
        empty="Nothing moved in this period. Choose another one.",
    )


def statement(made: Report) -> Table:
    """The totals of a roll-forward one under the other, in points and in money."""
    lines = [each.name for each in made.columns if each.unit == "points"]
    money = [each.name.removesuffix(_SUFFIX) for each in made.columns if each.unit == "minor_units"]
    return Table(
        name="statement",
        caption=f"What is owed to customers, {period_of(made)}",
        columns=[
            Column("Line", name="line"),
            Column("Points", "points"),
            Column("Money", "money", "value", made.currency),
        ],
        rows=[_line(made.totals, name) for name in _in_order(lines, money)] if made.rows else [],
        empty="Nothing was owed in this period, and nothing moved.",
    )


def _in_order(lines: Sequence[str], money: Sequence[str]) -> list[str]:
    """All lines in the order of the money's, which has those that are of money alone."""
    return [*money, *(name for name in lines if name not in money)]


def _line(totals: Figures, name: str) -> Row:
    return Row([titled(name), totals.get(name), totals.get(f"{name}{_SUFFIX}")])


def checks(made: Report) -> Table:
    """What ties a report to the books."""
    return Table(
        name="checks",
        caption="What ties it to the books",
        columns=[Column("Check", name="name"), Column("Reported", "number"), Column("Booked", "number")],
        rows=[Row([each.name, each.reported, each.booked]) for each in made.checks],
        empty="This report has nothing to tie.",
    )


def trial_balance(found: TrialBalanceResponse, here: str) -> Table:
    """Debits and credits of each account."""
    return Table(
        name="trial-balance",
        caption=f"Trial balance at transfer {found.cut.seq}",
        columns=[
            Column("Account"),
            Column("Last day", "date", "expires_on"),
            Column("Debits", "points"),
            Column("Credits", "points"),
            Column("Balance", "points"),
        ],
        rows=[
            Row([each.account, each.expires_on, each.debits, each.credits, each.balance], href=_transfers(each, found, here))
            for each in found.accounts
        ],
        totals=Row(["All accounts", None, found.debits, found.credits, found.credits - found.debits]),
        empty="Nothing was posted yet. Fund a campaign, and its budget is the first account.",
    )


def closes(found: Sequence[CloseResponse], following: str) -> Table:
    """The periods that are closed."""
    return Table(
        name="closes",
        caption="Closed periods, newest first",
        columns=[
            Column("Period", name="period"),
            Column("State"),
            Column("Version", "number"),
            Column("Closed (UTC)", "instant", "closed_at"),
            Column("Last transfer", "number", "seq"),
            Column("Points owed", "points", "points_owed"),
            Column("Customers", "number"),
        ],
        rows=[_close(each) for each in found],
        empty="No period is closed yet. Choose the first month that is over, and look at its checklist.",
        following=following,
    )


def _close(each: CloseResponse) -> Row:
    owed = each.totals.points_owed
    values: list[Value] = [each.period, each.state, each.version, each.closed_at, each.seq, owed, each.customers]
    return Row(values, href=f"{CLOSES}/{each.period}")


def close_totals(close: CloseResponse) -> Table:
    """The control totals of a close."""
    totals = close.totals
    return Table(
        name="totals",
        caption=f"Control totals of {close.period}",
        columns=[Column("Kind"), Column("Debits", "points"), Column("Credits", "points"), Column("Balance", "points")],
        rows=[Row([each.kind, each.debits, each.credits, each.balance]) for each in totals.kinds],
        totals=Row(["All accounts", totals.debits, totals.credits, totals.credits - totals.debits]),
    )


def checklist(found: ChecklistResponse) -> Table:
    """What is to be looked at before a period is closed."""
    return Table(
        name="checklist",
        caption=f"Checklist of {found.period}",
        columns=[
            Column("Item", "id", "code"),
            Column("Severity"),
            Column("Open", "number", "count"),
            Column("What it is", name="detail"),
        ],
        rows=[
            Row(
                [each.code, each.severity.value, each.count, each.detail],
                tone="bad" if each.count and each.severity != "note" else "",
            )
            for each in found.items
        ],
    )


def titled(name: str) -> str:
    """A name of the API as people write it."""
    return name.replace("_", " ").replace("-", " ").capitalize()


def period_of(made: Report) -> str:
    """The days of a report."""
    return f"{made.since} to {made.until}" if made.since else f"{made.until}"


def _links(made: Report, place: int, here: str) -> dict[str, str]:
    links: Mapping[str, str] = made.links[place] if made.links else {}
    return {name: to for name, path in links.items() if (to := transfers_page(path, here))}


def transfers_page(path: str, here: str) -> str:
    """The page of the transfers that a path of the API lists, with the way back to this one; empty if it lists others."""
    parts = urlsplit(path)
    if parts.path != _TRANSFERS_OF_API:
        return ""
    return f"{TRANSFERS}?{urlencode([*parse_qsl(parts.query), ('back', here)])}"


def _transfers(line: TrialBalanceAccount, found: TrialBalanceResponse, here: str) -> str:
    named: dict[str, str | int | date | None] = {"campaign": line.campaign, "class": line.account_class, "cut": found.cut.seq}
    return f"{TRANSFERS}?{urlencode({name: str(value) for name, value in named.items() if value} | {'back': here})}"
