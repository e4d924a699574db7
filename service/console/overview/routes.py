"""The overview over HTTP, and the transfers that its figures lead to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from litestar import Request, Response, get

from service.approvals import routes as approvals
from service.campaigns import routes as campaigns
from service.console import page
from service.console.calls import ask, may
from service.console.guard import session_of, signed_in
from service.console.overview import figures
from service.console.overview.daily import daily
from service.console.overview.figures import TRANSFERS
from service.console.rooms import HOME
from service.console.table import Column, Row, Table
from service.evidence import routes as evidence
from service.finance import routes as finance
from service.finance.schemas import TransferResponse, TransfersResponse
from service.http.injection import Injected
from service.ingest import routes as ingest
from service.reports import routes as reports
from service.reports.report import Report

if TYPE_CHECKING:
    from service.services import Services

DAYS_OWED, DAYS_MOVED = 90, 30
CAMPAIGNS_SHOWN = 20
TRANSFERS_SHOWN = 100
READ_NOW_MAX = 1_000_000
"""Transfers of a book whose expiry schedule is made for the page; that of a larger one is of its last close."""
_FILTERS = {"from": "since", "to": "until", "class": "account_class"} | {
    name: name for name in ("verb", "campaign", "channel", "action", "grade", "store_id", "terminal_id", "after", "cut")
}

_templates = page.templates_of(Path(__file__).parent)


@get("/", guards=[signed_in()])
async def show_overview(services: Injected[Services], request: Request[Any, Any, Any]) -> Response[bytes]:
    """Show what the person who is signed in may see of the brand's figures."""
    principal = session_of(request).principal
    tables: list[Table] = []
    shown: dict[str, Any] = {"pictures": {}, "waiting": None, "not_paid": None, "schedule": None}
    if may(principal, reports.get_report):
        pictures = await _pictures(services, request)
        tables += [each.table for each in pictures.values()]
        schedule = await _schedule(services, request)
        tables += [] if schedule is None else [figures.expiring(schedule)]
        shown |= {"pictures": pictures, "schedule": schedule}
    if may(principal, campaigns.list_campaigns):
        found = await ask(request, campaigns.list_campaigns, limit=CAMPAIGNS_SHOWN)
        tables.append(figures.budgets(found.items))
    if may(principal, evidence.report_evidence):
        report = await ask(request, evidence.report_evidence, days=DAYS_MOVED)
        tables.append(figures.machines(report))
        shown["not_paid"] = report.total.not_paid_points
    if may(principal, ingest.list_ingest_sources):
        tables.append(figures.sources((await ask(request, ingest.list_ingest_sources)).items))
    if may(principal, approvals.list_approvals):
        shown["waiting"] = len((await ask(request, approvals.list_approvals, in_state="pending")).items)
    return page.show(request, _templates, "overview.html", title="Overview", tables=tables, days=DAYS_MOVED, **shown)


async def _pictures(services: Services, request: Request[Any, Any, Any]) -> dict[str, figures.Picture]:
    brand = session_of(request).principal.brand
    long = await daily(services, brand, days=DAYS_OWED)
    short = long.last(DAYS_MOVED)
    return {"owed": figures.owed(long), "granted": figures.granted(short), "redeemed": figures.redeemed(short)}


async def _schedule(services: Services, request: Request[Any, Any, Any]) -> Report | None:
    """What expires by month: now, or when the last period was closed of a book that is too large to be added up for a page."""
    book = session_of(request).principal.brand.book
    closed = await services.ledger.closes(book, limit=1)
    is_small = (await services.ledger.head(book)).seq <= READ_NOW_MAX
    if not is_small and not closed:
        return None
    to = None if is_small else closed[0].ends_on.isoformat()
    return await ask(request, reports.get_report, report="expiry-schedule", by="month", to=to)


@get(TRANSFERS.removeprefix(HOME), guards=[signed_in()])
async def show_transfers(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Show the transfers behind a figure."""
    asked = {name: request.query_params[name] for name in _FILTERS if name in request.query_params}
    sent = {_FILTERS[name]: value for name, value in asked.items()}
    found: TransfersResponse = await ask(request, finance.list_transfers, limit=TRANSFERS_SHOWN, **sent)
    following = f"{TRANSFERS}?{urlencode(asked | {'after': found.next, 'back': _back(request)})}" if found.next else ""
    table = _transfers(found, following)
    filters = [f"{name} {value}" for name, value in asked.items() if name not in {"after", "cut"}]
    return page.show(
        request, _templates, "transfers.html", title="Transfers", tables=[table], filters=filters, back=_back(request)
    )


def _back(request: Request[Any, Any, Any]) -> str:
    """The page of the console whose figure led here."""
    back = request.query_params.get("back", "")
    return back if back.startswith(f"{HOME}/") else HOME


def _transfers(found: TransfersResponse, following: str) -> Table:
    return Table(
        name="transfers",
        caption="Transfers, oldest first",
        columns=[
            Column("Seq", "number"),
            Column("Posted (UTC)", "instant", "posted_at"),
            Column("Counts on", "date", "accounting_date"),
            Column("Verb"),
            Column("Points", "points", "amount"),
            Column("From", name="debit"),
            Column("To", name="credit"),
            Column("Customer", "id", "customer"),
        ],
        rows=[_transfer(each) for each in found.items],
        empty="No transfer fits on this page." if following else "No transfer fits.",
        following=following,
    )


def _transfer(each: TransferResponse) -> Row:
    return Row([each.seq, each.posted_at, each.accounting_date, each.verb, each.amount, each.debit, each.credit, each.customer])


route_handlers: list[Any] = [show_overview, show_transfers]
