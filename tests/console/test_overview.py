"""The overview: each number is the API's, each role sees what it may, and what is forced is refused."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from typing import Any

import pytest
from litestar import get

from service.auth.roles import Role, scopes_of
from service.auth.scopes import Scope
from service.console.guard import signed_in
from tests.api_fixtures import Api
from tests.console.visitors import Owner, Visitor, visitor_as
from tests.links.campaigns import make_campaign

SEEN: Mapping[str, Scope] = {
    "owed": Scope.LEDGER_READ,
    "granted": Scope.LEDGER_READ,
    "redeemed": Scope.LEDGER_READ,
    "expiring": Scope.LEDGER_READ,
    "budgets": Scope.CAMPAIGNS_READ,
    "machines": Scope.CAMPAIGNS_READ,
    "sources": Scope.SOURCES_READ,
}
"""The tables, and which scope shows each."""


async def rows_of(visitor: Visitor, path: str, table: str) -> list[dict[str, str]]:
    answer = await visitor.get(f"{path}{'&' if '?' in path else '?'}csv={table}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(answer.text)))


async def some_history(api: Api) -> None:
    """Grants on two channels, a purchase with points, and a link that a scanner followed."""
    admin, messaging, storefront = (api.client(name) for name in ("admin", "messaging", "storefront"))
    await make_campaign(admin, points=25)
    acts = [
        {"campaign": "autumn", "message_id": f"m-{n}", "customer": {"id": f"C-{n % 3}"}, "action": "reply", "channel": channel}
        for n, channel in enumerate(("sms", "sms", "whatsapp", "sms"))
    ]
    for act in acts:
        assert (await messaging.post("/v1/grants", json=act)).json()["outcome"] == "granted"
    # A day on which less is owed in the end than at first.
    (await admin.post("/v1/test/clock/advance", json={"seconds": 86_400})).raise_for_status()
    paid = {"customer": {"id": "C-0"}, "points": 10, "order_ref": "o-1", "capture": True}
    answer = await storefront.post("/v1/redemptions", json=paid, headers={"Idempotency-Key": "o-1"})
    assert answer.status_code == 201, answer.text


async def report(api: Api, name: str, **asked: str) -> dict[str, Any]:
    answer = await api.client("finance").get(f"/v1/reports/{name}", params=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_every_number_is_the_apis(api: Api, owner: Owner) -> None:
    await some_history(api)
    valued = {"points": 10, "minor_units": 3}
    (await api.client("admin").patch("/v1/brand", json={"point_value": valued})).raise_for_status()
    otto = await visitor_as(api, owner, Role.AUDITOR)
    owed = await rows_of(otto, "/console", "owed")
    begin = min(row["day"] for row in owed if int(row["owed"]))
    flow = (await report(api, "roll-forward", **{"from": begin}))["totals"]
    assert len(owed) == 90
    assert int(owed[0]["owed"]) == flow["closing"] > 0
    assert int(owed[1]["owed"]) == flow["closing"] + flow["redeemed"]
    granted = await rows_of(otto, "/console", "granted")
    assert sum(int(row["points"]) for row in granted) == flow["granted"] + flow["matured"]
    assert {row["channel"] for row in granted} == {"sms", "whatsapp"}
    assert sum(int(row["points"]) for row in await rows_of(otto, "/console", "redeemed")) == flow["redeemed"] == 10

    schedule = await report(api, "expiry-schedule", by="month")
    expiring = await rows_of(otto, "/console", "expiring")
    assert [(row["month"], int(row["points"])) for row in expiring] == [
        (row["month"], row["points"]) for row in schedule["rows"]
    ]
    campaigns = (await api.client("admin").get("/v1/campaigns")).json()["items"]
    budgets = await rows_of(otto, "/console", "budgets")
    assert [(row["campaign"], int(row["funded"]), int(row["granted"]), int(row["left"])) for row in budgets] == [
        (each["id"], each["budget"]["funded"], each["budget"]["granted"], each["budget"]["left"]) for each in campaigns
    ]
    page = (await otto.get("/console")).text
    assert f"{flow['closing']}</p>" in page
    worth = schedule["totals"]["value"]
    assert worth > 0
    assert f"worth €{worth // 100}.{worth % 100:02} on {schedule['to']}" in page


async def test_a_figure_leads_to_its_transfers(api: Api, owner: Owner) -> None:
    await some_history(api)
    otto = await visitor_as(api, owner, Role.AUDITOR)
    page = (await otto.get("/console")).text
    (path,) = set(re.findall(r'"(/console/transfers\?[^"]*capture[^"]*)"', page))
    shown = await rows_of(otto, path.replace("&amp;", "&"), "transfers")
    listed = await api.client("finance").get("/v1/ledger/transfers", params={"verb": "capture"})
    assert [(int(row["seq"]), int(row["amount"])) for row in shown] == [
        (each["seq"], each["amount"]) for each in listed.json()["items"]
    ]
    assert len(shown) == 1


@pytest.mark.parametrize("role", Role)
async def test_each_role_sees_what_its_scopes_show(api: Api, owner: Owner, role: Role) -> None:
    visitor = await visitor_as(api, owner, role)
    page = await visitor.get("/console")
    assert page.status_code == 200
    for table, scope in SEEN.items():
        is_shown = f'id="t-{table}"' in page.text or f'id="c-{table}"' in page.text
        assert is_shown is (scope in scopes_of([role])), table
        if not is_shown:
            assert (await visitor.get(f"/console?csv={table}")).status_code == 404
    forced = await visitor.get("/console/transfers")
    assert forced.status_code == (200 if Scope.LEDGER_READ in scopes_of([role]) else 403)


@pytest.mark.one_process("adds a route to one application")
@pytest.mark.parametrize(("role", "status"), [(Role.OPERATOR, 200), (Role.AUDITOR, 403)])
async def test_a_guard_asks_for_its_scopes(api: Api, owner: Owner, role: Role, status: int) -> None:
    @get(f"/console-guarded/{role}", guards=[signed_in(Scope.ADMIN)], include_in_schema=False)
    async def guarded() -> str:
        return "shown"

    api.app.register(guarded)
    visitor = await visitor_as(api, owner, role)
    assert (await visitor.get(f"/console-guarded/{role}")).status_code == status


async def test_an_empty_book_says_what_to_do(api: Api, owner: Owner) -> None:
    otto = await visitor_as(api, owner, Role.AUDITOR)
    page = (await otto.get("/console")).text
    assert "There is no campaign yet" in page
    assert "Nothing is owed yet" in page
    assert "No messaging provider is connected yet" in page


async def test_what_is_asked_for_wrongly_is_said(api: Api, owner: Owner) -> None:
    otto = await visitor_as(api, owner, Role.AUDITOR)
    wrong = await otto.get("/console/transfers?from=yesterday")
    assert wrong.status_code == 422
    assert "<h1>" in wrong.text
    assert (await otto.get("/console/transfers?after=x")).status_code == 422
    assert (await otto.get("/console?csv=nothing")).status_code == 404
    assert (await otto.get("/console/nothing/at/all")).status_code == 404
    assert (await otto.browser.post("/console")).status_code == 405


async def test_a_page_is_light_and_runs_nothing(api: Api, owner: Owner) -> None:
    await some_history(api)
    otto = await visitor_as(api, owner, Role.AUDITOR)
    page = await otto.get("/console")
    files = re.findall(r'<link rel="stylesheet" href="([^"]+)"', page.text)
    sent = [page, *[await otto.get(file) for file in files]]
    assert [each.status_code for each in sent] == [200, 200, 200]
    assert sum(len(each.content) for each in sent) < 60_000
    assert "immutable" in sent[1].headers["cache-control"]
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script|<style|\sstyle=|\son\w+=", page.text)


async def test_looks_and_acts_are_under_the_person(api: Api, owner: Owner) -> None:
    await some_history(api)
    otto = await visitor_as(api, owner, Role.AUDITOR)
    await otto.get("/console/transfers?verb=grant")
    row = await owner.fetchrow(
        "SELECT api_key.person_id, trail.after FROM rewards.audit_trail AS trail JOIN rewards.api_key USING (api_key_id)"
        " WHERE act = 'customer.look' LIMIT 1"
    )
    assert row is not None
    assert row["person_id"] == await owner.fetchval("SELECT person_id FROM rewards.person")
    assert row["after"] == {"call": "GET /console/transfers"}


async def test_only_a_page_of_ours_says_what_was_done(api: Api, owner: Owner) -> None:
    otto = await visitor_as(api, owner, Role.AUDITOR)
    assert "You won" not in (await otto.get("/console?done=You+won")).text
    assert "You won" not in (await otto.get("/console?done=You+won&mark=0011223344556677")).text
