"""Money over HTTP: the statement, reports, the trial balance, and closes.

A report of a large book, on days that are not closed, takes seconds: it is made when the form asks for it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath

from service.auth.scopes import Scope
from service.closes import routes as closes
from service.closes.schemas import ChecklistResponse, CloseResponse
from service.console import forms, page
from service.console.calls import ask, call, may
from service.console.guard import session_of, signed_in
from service.console.money import figures
from service.console.money.figures import CLOSES, MONEY
from service.console.overview.routes import READ_NOW_MAX
from service.console.rooms import HOME
from service.console.table import Table
from service.finance import routes as finance
from service.http import periods
from service.http.injection import Injected
from service.http.problems import Problem
from service.reports import routes as reports
from service.reports.report import Report

if TYPE_CHECKING:
    from service.services import Services

CLOSES_SHOWN = 24
_STATEMENT = "roll-forward"
_BOOKS = [signed_in(Scope.LEDGER_READ)]
_ASKED = ("from", "to", "by", "version")
_SENT = {"from": "since"}

_templates = page.templates_of(Path(__file__).parent)


class Tab(msgspec.Struct, frozen=True):
    """A page of this room; ``of_one_day``: it has no first day; ``by`` is what it can be broken down by."""

    title: str
    path: str
    note: str = ""
    of_one_day: bool = False
    by: str = ""

    @property
    def name(self) -> str:
        """The report's name."""
        return self.path.rpartition("/")[2]


def _report(name: str, title: str, note: str, *, of_one_day: bool = False, by: str = "") -> Tab:
    return Tab(title, f"{MONEY}/reports/{name}", note, of_one_day, by)


_REPORTS = (
    _report(
        "roll-forward",
        "Roll-forward",
        "What was owed, what changed it, and what is owed now.",
        by="class, campaign, channel, origin, acted, month",
    ),
    _report(
        "expiry-schedule", "Expiry", "What is owed on a day, by when it expires.", of_one_day=True, by="class, band, month"
    ),
    _report("vintages", "Vintages", "What became of the points of each month of issue.", by="class"),
    _report("breakage", "Breakage", "What is not expected to be redeemed, and what was recognised of it.", by="class, month"),
    _report("settlement", "Settlement", "What stores took in points.", by="day, month, store, terminal"),
)
TABS = (
    Tab("Statement", MONEY, "What is owed to customers: what it was, what changed it, and what it is now."),
    Tab("Trial balance", f"{MONEY}/trial-balance"),
    *_REPORTS,
    Tab("Closes", CLOSES),
)
_BY_NAME = {tab.name: tab for tab in _REPORTS}


@get(MONEY.removeprefix(HOME), guards=_BOOKS)
async def show_statement(services: Injected[Services], request: Request[Any, Any, Any]) -> Response[bytes]:
    """Show what was owed when a period began, what changed it, and what is owed at its end."""
    return await _report_page(services, request, TABS[0], _STATEMENT, figures.statement)


@get(f"{MONEY.removeprefix(HOME)}/reports/{{report:str}}", guards=_BOOKS)
async def show_report(report: FromPath[str], services: Injected[Services], request: Request[Any, Any, Any]) -> Response[bytes]:
    """Show a report on the books."""
    tab = _BY_NAME.get(report, _report(report, figures.titled(report), ""))
    return await _report_page(services, request, tab, report, functools.partial(figures.report, here=_here(request)))


async def _report_page(
    services: Services, request: Request[Any, Any, Any], tab: Tab, report: str, table_of: Callable[[Report], Table]
) -> Response[bytes]:
    made, problem = None, None
    try:
        made = await _made(services, request, report, tab)
    except Problem as refused:
        if refused.code == "unknown_report" or "csv" in request.query_params:
            raise
        problem = refused
    tables = [] if made is None else [table_of(made), figures.checks(made)]
    status, errors = (problem.status if problem else 200), page.errors_of(problem)
    return _show(request, "report.html", tab.title, tables, status=status, tab=tab, made=made, problem=problem, errors=errors)


@get(f"{MONEY.removeprefix(HOME)}/trial-balance", guards=_BOOKS)
async def show_trial_balance(services: Injected[Services], request: Request[Any, Any, Any]) -> Response[bytes]:
    """Show debits and credits by account, now or at a cut."""
    cut = request.query_params.get("cut") or None
    found = None
    if "make" in request.query_params or await _is_small(services, request):
        found = await ask(request, finance.get_trial_balance, cut=cut)
    tables = [] if found is None else [figures.trial_balance(found, _here(request))]
    return _show(request, "trial_balance.html", "Trial balance", tables, found=found, cut=cut or "")


@get(CLOSES.removeprefix(HOME), guards=_BOOKS)
async def show_closes(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Show the periods that are closed, and the way to close the next."""
    period = request.query_params.get("period", "")
    if period:
        return page.back(request, f"{CLOSES}/{quote(period, safe='')}")
    found = await ask(request, closes.list_closes, limit=CLOSES_SHOWN, after=request.query_params.get("after"))
    following = f"{CLOSES}?{urlencode({'after': found.next})}" if found.next else ""
    return _show(request, "closes.html", "Closes", [figures.closes(found.items, following)])


@get(f"{CLOSES.removeprefix(HOME)}/{{period:str}}", guards=_BOOKS)
async def show_close(period: FromPath[str], request: Request[Any, Any, Any]) -> Response[bytes]:
    """Show a closed period, or the checklist of one that is not closed."""
    return await _close_page(request, period)


@post(f"{CLOSES.removeprefix(HOME)}/{{period:str}}", guards=[signed_in(Scope.EXPORTS_WRITE)])
async def close_period(period: FromPath[str], request: Request[Any, Any, Any]) -> Response[bytes]:
    """Close a period."""
    form = await forms.read(request)
    reasons = {name.removeprefix("skip/"): form.text(name) for name in form.fields if name.startswith("skip/")}
    skip = {code: reason for code, reason in reasons.items() if reason}
    try:
        answer = await call(request, closes.close_period, data={"period": period, "skip": skip})
    except Problem as problem:
        return await _close_page(request, period, problem, reasons)
    return page.answered(request, f"{CLOSES}/{period}", answer, f"{period} is closed.")


async def _close_page(
    request: Request[Any, Any, Any], period: str, problem: Problem | None = None, typed: dict[str, str] | None = None
) -> Response[bytes]:
    close: CloseResponse | None = await _found(request, period)
    found: ChecklistResponse | None = None
    if close is None:
        found = await ask(request, closes.get_checklist, period=period)
    return _show(
        request,
        "close.html",
        f"Close of {period}",
        [figures.close_totals(close)] if close else [figures.checklist(found)] if found else [],
        status=problem.status if problem else 200,
        close=close,
        warnings=[each for each in found.items if each.severity == "warning" and each.is_open] if found else [],
        may_close=found is not None and may(session_of(request).principal, closes.close_period),
        period=period,
        errors=page.errors_of(problem),
        typed=typed or {},
    )


async def _found(request: Request[Any, Any, Any], period: str) -> CloseResponse | None:
    try:
        return await ask(request, closes.get_close, period=period, version=request.query_params.get("version"))
    except Problem as problem:
        if problem.code != "not_found" or periods.parse(period) is None:
            raise
        return None


async def _made(services: Services, request: Request[Any, Any, Any], report: str, tab: Tab) -> Report | None:
    """The report that is asked for; of a large book that of its last closed period, and others when the form asks."""
    asked = {name: request.query_params[name] for name in _ASKED if request.query_params.get(name)}
    if tab.of_one_day:
        asked.pop("from", None)
    if "make" not in request.query_params and not await _is_small(services, request):
        ended = await _last_close(services, request)
        if ended is None or asked.get("to", ended) != ended:
            return None
        asked["to"] = ended
    sent = {_SENT.get(name, name): value for name, value in asked.items()}
    return await ask(request, reports.get_report, report=report, **sent)


async def _is_small(services: Services, request: Request[Any, Any, Any]) -> bool:
    book = session_of(request).principal.brand.book
    return (await services.ledger.head(book)).seq <= READ_NOW_MAX


async def _last_close(services: Services, request: Request[Any, Any, Any]) -> str | None:
    closed = await services.ledger.closes(session_of(request).principal.brand.book, limit=1)
    return periods.Period(closed[0].begins_on, closed[0].ends_on).name if closed else None


def _here(request: Request[Any, Any, Any]) -> str:
    """This page with what was asked for, to come back to."""
    asked = [(name, value) for name, value in parse_qsl(request.url.query) if name not in {"csv", "done", "mark"}]
    return request.url.path + (f"?{urlencode(asked)}" if asked else "")


def _show(
    request: Request[Any, Any, Any], template: str, title: str, tables: list[Table], *, status: int = 200, **content: Any
) -> Response[bytes]:
    asked = {name: request.query_params.get(name, "") for name in _ASKED}
    kept = {name: asked[name] for name in ("from", "to") if asked[name]}
    content |= {"asked": asked, "tabs": TABS, "kept": f"?{urlencode(kept)}" if kept else ""}
    return page.show(request, _templates, template, title=title, status=status, tables=tables, **content)


route_handlers: list[Any] = [show_statement, show_report, show_trial_balance, show_closes, show_close, close_period]
