"""Money: each number is the API's, a figure leads to its transfers and back, and a period is closed by its checklist."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import asyncpg
import pytest

from ledger import track_layers
from ledger.testing import order, set_clock
from service.auth.roles import Role, scopes_of
from service.auth.scopes import Scope
from service.console.money import routes
from tests.api_fixtures import Api
from tests.closes.test_closes import MIDNIGHT
from tests.closes.test_closes import over as over
from tests.closes.test_closes import till as till
from tests.console.test_overview import report, rows_of
from tests.console.visitors import Owner, visitor_as
from tests.finance.conftest import Till

PERIOD = {"from": "2029-12", "to": "2029-12"}
ASKED = "?from=2029-12&to=2029-12"
REPORTS = ("roll-forward", "expiry-schedule", "vintages", "breakage", "settlement")
PAGES = ("", "/trial-balance", "/closes", "/closes/2029-12", *(f"/reports/{name}" for name in REPORTS))


def text_of(value: Any) -> str:
    return "" if value is None else str(value)


@pytest.fixture
async def worth(api: Api, over: Till, worker_pool: asyncpg.Pool[Any]) -> Till:
    """The book at five past midnight, its points worth something."""
    valued = {"points": 10, "minor_units": 7}
    (await api.client("admin").patch("/v1/brand", json={"point_value": valued})).raise_for_status()
    while await track_layers(worker_pool, over.book):
        pass
    return over


@pytest.mark.usefixtures("worth")
@pytest.mark.parametrize("name", REPORTS)
async def test_a_report_is_the_apis(api: Api, owner: Owner, name: str) -> None:
    faye = await visitor_as(api, owner, Role.FINANCE)
    asked = {"to": "2029-12"} if name == "expiry-schedule" else PERIOD
    made = await report(api, name, **asked)
    query = "&".join(f"{key}={value}" for key, value in asked.items())
    shown = await rows_of(faye, f"/console/money/reports/{name}?{query}", name)
    assert shown == [{key: text_of(value) for key, value in row.items()} for row in made["rows"]]
    assert shown or name in {"breakage", "settlement"}
    checked = await rows_of(faye, f"/console/money/reports/{name}?{query}", "checks")
    assert [(row["name"], int(row["reported"])) for row in checked] == [
        (each["name"], each["reported"]) for each in made["checks"]
    ]


@pytest.mark.usefixtures("worth")
async def test_the_statement_is_the_roll_forwards_totals(api: Api, owner: Owner) -> None:
    faye = await visitor_as(api, owner, Role.FINANCE)
    totals = (await report(api, "roll-forward", **PERIOD))["totals"]
    lines = await rows_of(faye, f"/console/money{ASKED}", "statement")
    names = [row["line"].lower().replace(" ", "_") for row in lines]
    points = {name: row["points"] for name, row in zip(names, lines, strict=True) if row["points"]}
    money = {f"{name}_value": row["value"] for name, row in zip(names, lines, strict=True) if row["value"]}
    assert points | money == {name: str(value) for name, value in totals.items() if value is not None}
    assert 'href="/console/money"' in (await faye.get("/console")).text.partition("<main")[2]
    assert points["granted"] == "130"
    assert points["expired"] == "100"


@pytest.mark.usefixtures("over")
async def test_the_trial_balance_is_the_apis(api: Api, owner: Owner) -> None:
    faye = await visitor_as(api, owner, Role.FINANCE)
    for cut in ("", "2"):
        asked = {"cut": cut} if cut else {}
        found = (await api.client("finance").get("/v1/ledger/trial-balance", params=asked)).json()
        shown = await rows_of(faye, f"/console/money/trial-balance?cut={cut}", "trial-balance")
        assert shown == [
            {key: text_of(each[key]) for key in ("account", "expires_on", "debits", "credits", "balance")}
            for each in found["accounts"]
        ]
        assert shown


@pytest.mark.usefixtures("over")
async def test_a_figure_leads_to_its_transfers_and_back(api: Api, owner: Owner) -> None:
    faye = await visitor_as(api, owner, Role.FINANCE)
    here = f"/console/money/reports/roll-forward{ASKED}&by=class"
    page = (await faye.get(here)).text
    granted = next(unescape(path) for path in re.findall(r'href="(/console/transfers[^"]+)"', page) if "grant" in path)
    shown = await rows_of(faye, granted, "transfers")
    assert [row["verb"] for row in shown] == ["grant", "grant"]
    assert sum(int(row["amount"]) for row in shown) == 130
    transfers = unescape((await faye.get(granted)).text)
    assert re.findall(r'href="([^"]+)">Back', transfers) == [here]
    assert 'href="/console/money?from=2029-12&to=2029-12"' in unescape(page)
    elsewhere = (await faye.get("/console/transfers?back=https://evil.example/")).text
    assert re.findall(r'href="([^"]+)">Back', elsewhere) == ["/console"]


@pytest.mark.usefixtures("over")
async def test_a_period_is_closed_by_its_checklist(api: Api, owner: Owner) -> None:
    faye = await visitor_as(api, owner, Role.FINANCE)
    page = "/console/money/closes/2029-12"
    checked = (await api.client("finance").get("/v1/closes/2029-12/checklist")).json()["items"]
    listed = await rows_of(faye, page, "checklist")
    assert [(row["code"], row["severity"], int(row["count"]), row["detail"]) for row in listed] == [
        (each["code"], each["severity"], each["count"], each["detail"]) for each in checked
    ]
    sent = await faye.send(page, {}, of=page)
    assert sent.status_code == 303, sent.text
    assert "2029-12 is closed." in (await faye.get(sent.headers["location"])).text
    again = await faye.send(page, {}, of="/console/account")
    assert again.status_code == 303
    close = (await api.client("finance").get("/v1/closes/2029-12")).json()
    totals = await rows_of(faye, page, "totals")
    assert [(row["kind"], int(row["debits"]), int(row["credits"]), int(row["balance"])) for row in totals] == [
        (each["kind"], each["debits"], each["credits"], each["balance"]) for each in close["totals"]["kinds"]
    ]
    (row,) = await rows_of(faye, "/console/money/closes", "closes")
    assert (row["period"], row["state"], int(row["points_owed"])) == ("2029-12", close["state"], close["totals"]["points_owed"])
    who = await owner.fetch(
        "SELECT person.name FROM rewards.audit_trail AS trail JOIN rewards.api_key USING (api_key_id)"
        " JOIN rewards.person USING (person_id) WHERE act = 'close.make'"
    )
    assert [each["name"] for each in who] == ["Ada"]


@pytest.mark.usefixtures("over")
async def test_what_cannot_be_closed_is_refused(api: Api, owner: Owner) -> None:
    faye = await visitor_as(api, owner, Role.FINANCE)
    page = "/console/money/closes/2029-12"
    wrong = await faye.send(page, {"skip/no_such_item": "why not"}, of=page)
    assert wrong.status_code == 422
    early = await faye.send("/console/money/closes/2030-01", {}, of=page)
    assert early.status_code == 409
    assert "midnight" in early.text
    assert (await faye.get("/console/money/closes/yesterday")).status_code == 404


@pytest.mark.usefixtures("worth")
@pytest.mark.parametrize("role", Role)
async def test_each_role_sees_what_its_scopes_show(api: Api, owner: Owner, role: Role) -> None:
    visitor = await visitor_as(api, owner, role)
    may_read, may_close = (scope in scopes_of([role]) for scope in (Scope.LEDGER_READ, Scope.EXPORTS_WRITE))
    assert ('href="/console/money"' in (await visitor.get("/console")).text) is may_read
    for path in PAGES:
        assert (await visitor.get(f"/console/money{path}")).status_code == (200 if may_read else 403), path
    page = "/console/money/closes/2029-12"
    if may_read:
        assert ("Close 2029-12</button>" in (await visitor.get(page)).text) is may_close
    sent = await visitor.send(page, {}, of="/console/account")
    assert sent.status_code == (303 if may_close else 403)


@pytest.mark.usefixtures("worth")
async def test_a_large_book_is_added_up_when_the_form_asks(api: Api, owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "READ_NOW_MAX", 0)
    faye = await visitor_as(api, owner, Role.FINANCE)
    for path, table in (("", "statement"), ("/trial-balance", "trial-balance"), ("/reports/vintages", "vintages")):
        page = f"/console/money{path}"
        assert "This book is large" in (await faye.get(page)).text
        assert (await faye.get(f"{page}?csv={table}")).status_code == 404
        assert await rows_of(faye, f"{page}?make=yes", table)
    (await api.client("finance").post("/v1/closes", json={"period": "2029-12"})).raise_for_status()
    assert await rows_of(faye, "/console/money", "statement") == await rows_of(faye, f"/console/money{ASKED}", "statement")


async def test_an_empty_book_says_what_to_do(api: Api, owner: Owner) -> None:
    faye = await visitor_as(api, owner, Role.FINANCE)
    for path in PAGES:
        # What was spent is followed from its grants by the worker, which has not begun.
        followed = path == "/reports/vintages"
        assert (await faye.get(f"/console/money{path}")).status_code == (409 if followed else 200), path
    assert "No period is closed yet" in (await faye.get("/console/money/closes")).text
    assert (await faye.get("/console/money/reports/nothing")).status_code == 404
    assert (await faye.get("/console/money?from=yesterday")).status_code == 422
    by = await faye.get("/console/money/reports/vintages?by=shoe")
    assert by.status_code == 422
    assert "cannot be broken down by" in by.text
    assert 'name="by"' in by.text


async def test_a_warning_is_skipped_with_a_reason(api: Api, owner: Owner, till: Till) -> None:
    due_at = MIDNIGHT + timedelta(days=9)
    await till.ledger.grant(order(till.book, campaign_no=till.campaign_no, points=7, held_back=True, due_at=due_at))
    await set_clock(owner, till.book, MIDNIGHT + timedelta(minutes=5))
    faye = await visitor_as(api, owner, Role.FINANCE)
    page = "/console/money/closes/2029-12"
    refused = await faye.send(page, {}, of=page)
    assert refused.status_code == 409
    assert 'name="skip/grants_to_approve"' in refused.text
    assert "1: Grants that are held back" in refused.text
    sent = await faye.send(page, {"skip/grants_to_approve": "They take their time."}, of=page)
    assert sent.status_code == 303
    noted = await owner.fetchval("SELECT after FROM rewards.audit_trail WHERE act = 'close.make'")
    assert noted == {"skip": {"grants_to_approve": "They take their time."}}
