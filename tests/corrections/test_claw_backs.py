"""Claw-backs over HTTP: what is left of a grant is taken, the shortfall is told, and each refusal has its name."""

from __future__ import annotations

from typing import Any

import asyncpg
import httpx
import pytest

from ledger import audit
from tests.api_fixtures import Api, make_brand, make_keys

CAMPAIGN: dict[str, Any] = {
    "id": "autumn",
    "name": "Autumn",
    "starts_at": "2026-01-01T00:00:00Z",
    "ends_at": "2099-01-01T00:00:00Z",
    "budget": 1_000,
    "rules": [
        {"action": "click", "points": 100},
        {"action": "review", "points": 50, "hold_back_days": 14},
        {"action": "open", "points": 5, "min_evidence": "A"},
    ],
}
WHY = {"reason": "paid_by_mistake"}


@pytest.fixture
async def autumn(api: Api) -> Api:
    (await api.client("admin").post("/v1/campaigns", json=CAMPAIGN)).raise_for_status()
    return api


async def granted(api: Api, message: str = "mail-1", action: str = "click", **changed: Any) -> str:
    """Report an event; returns its grant's id."""
    event = {"campaign": "autumn", "message_id": message, "customer": {"id": "c-1"}, "action": action, "channel": "email"}
    answer = await api.client("messaging").post("/v1/grants", json=event | {"evidence": "A"} | changed)
    assert answer.is_success, answer.text
    return answer.json()["grant_id"]


async def claw_back(api: Api, grant_id: str, key: str = "k-1", who: str = "care", **asked: Any) -> httpx.Response:
    return await api.client(who).post(f"/v1/grants/{grant_id}/clawback", json=WHY | asked, headers={"Idempotency-Key": key})


async def redeem(api: Api, path: str, key: str, **asked: Any) -> dict[str, Any]:
    answer = await api.client("storefront").post(f"/v1/redemptions{path}", json=asked, headers={"Idempotency-Key": key})
    assert answer.is_success, answer.text
    return answer.json()


async def test_a_grant_is_taken_back(autumn: Api, owner: asyncpg.Connection[Any]) -> None:
    grant = await granted(autumn)
    answer = await claw_back(autumn, grant, points=30, reference="ticket-1")
    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert told.pop("posted_at")
    assert told == {
        "correction_id": f"cor_{autumn.brand.book.book_id:08x}{1:016x}",
        "grant_id": grant,
        "outcome": "clawed_back",
        "clawed_back": 30,
        "shortfall": 0,
        "outstanding": 0,
        "customer": told["customer"],
        "balance": 70,
        "reason": "paid_by_mistake",
        "reference": "ticket-1",
        "seq": 3,
    }
    again = await claw_back(autumn, grant, points=30, reference="ticket-1")
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (200, "true")
    assert again.json() == answer.json()
    campaign = (await autumn.client("admin").get("/v1/campaigns/autumn")).json()
    assert campaign["budget"] == campaign["budget"] | {"granted": 70, "left": 930}
    reconciled = (await autumn.client("admin").get("/v1/campaigns/autumn/reconciliation")).json()
    assert (reconciled["budget"]["granted"], reconciled["clawed_back"], reconciled["totals"][0]["points"]) == (70, 30, 100)
    assert [finding for finding in await audit(owner, autumn.brand.book) if finding.violations] == []


async def test_what_is_set_aside_is_taken_when_it_is_released(autumn: Api) -> None:
    grant = await granted(autumn)
    hold = await redeem(autumn, "", "a-1", customer={"id": "c-1"}, points=80, order_ref="order-1")
    told = (await claw_back(autumn, grant)).json()
    assert (told["clawed_back"], told["shortfall"], told["outstanding"], told["balance"]) == (20, 80, 80, 0)
    captured = await redeem(autumn, f"/{hold['redemption_id']}/capture", "c-1", points=50)
    assert (captured["released"], captured["balance"]) == (30, 0)
    refunded = await redeem(autumn, f"/{hold['redemption_id']}/refund", "r-1")
    assert (refunded["refunded"], refunded["balance"]) == (50, 0)


async def test_it_is_in_the_feed_the_statement_the_log_and_the_trail(autumn: Api) -> None:
    grant = await granted(autumn)
    await claw_back(autumn, grant, points=30)
    feed = (await autumn.client("messaging").get("/v1/events")).json()["items"]
    assert [(each["type"], each["balance_change"], each["grant_id"]) for each in feed] == [
        ("grant", 100, grant),
        ("clawback", -30, grant),
    ]
    statement = (await autumn.client("storefront").get("/v1/customers/c-1/statement")).json()["items"]
    assert [(each["type"], each["points"]) for each in statement] == [("clawback", -30), ("grant", 100)]
    uses = (await autumn.client("messaging").get(f"/v1/grants/{grant}/uses")).json()
    assert (uses["left"], [(each["type"], each["points"]) for each in uses["items"]]) == (70, [("clawback", 30)])
    log = (await autumn.client("finance").get("/v1/ledger/transfers?verb=clawback")).json()["items"]
    assert [(each["amount"], each["debit"].split(":")[0], each["credit"].split(":")[0]) for each in log] == [
        (30, "lot", "budget")
    ]
    trail = (await autumn.client("admin").get("/v1/audit-trail")).json()["items"]
    assert [(each["subject"], each["after"]) for each in trail if each["act"] == "grant.clawback"] == [
        (grant, {"reason": "paid_by_mistake", "points": 30, "reference": None})
    ]


async def test_the_roll_forward_has_what_was_clawed_back(autumn: Api) -> None:
    grant = await granted(autumn)
    await claw_back(autumn, grant, points=30)
    report = (await autumn.client("finance").get("/v1/reports/roll-forward")).json()
    totals = report["totals"]
    assert (totals["granted"], totals["clawed_back"], totals["closing"]) == (100, 30, 70)


async def test_what_is_held_back_is_rejected(autumn: Api) -> None:
    grant = await granted(autumn, action="review")
    part = await claw_back(autumn, grant, points=49)
    assert (part.status_code, part.json()["code"]) == (409, "held_back")
    whole = await claw_back(autumn, grant, key="k-2")
    assert (whole.json()["outcome"], whole.json()["clawed_back"], whole.json()["balance"]) == ("rejected", 50, 0)


async def test_each_refusal_has_its_name(autumn: Api, owner: asyncpg.Connection[Any]) -> None:
    grant = await granted(autumn)
    more = await claw_back(autumn, grant, points=101)
    assert (more.status_code, more.json()["code"]) == (409, "clawback_exceeds_grant")
    assert "100 points" in more.json()["detail"]
    again = await claw_back(autumn, grant, points=101)
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (409, "true")
    reused = await claw_back(autumn, grant, points=100)
    assert (reused.status_code, reused.json()["code"]) == (422, "idempotency_key_reused")
    weak = await claw_back(autumn, await granted(autumn, "mail-2", action="open", evidence="D"), key="k-2")
    assert (weak.status_code, weak.json()["code"]) == (409, "not_granted")
    for unknown in (grant[:-1] + ("0" if grant[-1] != "0" else "1"), "grt_7"):
        missing = await claw_back(autumn, unknown, key="k-3")
        assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    unnamed = await autumn.client("care").post(f"/v1/grants/{grant}/clawback", json=WHY)
    assert (unnamed.status_code, unnamed.json()["code"]) == (400, "idempotency_key_required")
    without = await autumn.client("care").post(f"/v1/grants/{grant}/clawback", json={}, headers={"Idempotency-Key": "k-4"})
    assert (without.status_code, without.json()["errors"][0]["pointer"]) == (422, "/reason")
    refused = await claw_back(autumn, grant, who="finance", key="k-5")
    assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope")
    other = await make_brand(owner, "other")
    keys = await make_keys(owner, other)
    theirs = await autumn.client(key=keys["care"]).post(
        f"/v1/grants/{grant}/clawback", json=WHY, headers={"Idempotency-Key": "k-6"}
    )
    assert (theirs.status_code, theirs.json()["code"]) == (404, "not_found")
