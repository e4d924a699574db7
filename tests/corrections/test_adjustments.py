"""Adjustments over HTTP: given out of a capped budget for a declared reason, or taken; each refusal has its name."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from ledger import audit
from ledger.testing import set_clock
from tests.api_fixtures import Api, make_brand, make_keys
from tests.corrections.test_claw_backs import CAMPAIGN, granted

CARE = CAMPAIGN | {"id": "care", "name": "Care", "budget": 100, "rules": [{"action": "care", "points": 1}]}


@pytest.fixture
async def care(api: Api) -> Api:
    """A brand with a campaign for everybody, one whose budget care has, and two reasons."""
    admin = api.client("admin")
    for campaign in (CAMPAIGN, CARE):
        (await admin.post("/v1/campaigns", json=campaign)).raise_for_status()
    for reason, about in {"goodwill": {"name": "Goodwill", "campaign": "care"}, "fraud": {"name": "Fraud"}}.items():
        (await admin.put(f"/v1/adjustment-reasons/{reason}", json=about)).raise_for_status()
    await granted(api)
    return api


async def adjust(api: Api, points: int, key: str = "a-1", *, who: str = "care", **asked: Any) -> httpx.Response:
    body = {"customer": {"id": "c-1"}, "points": points, "reason": "goodwill" if points > 0 else "fraud"} | asked
    return await api.client(who).post("/v1/adjustments", json=body, headers={"Idempotency-Key": key})


async def balance(api: Api, who: str = "c-1") -> int:
    return (await api.client("storefront").get(f"/v1/customers/{who}/balance")).json()["balance"]


async def test_points_are_given_out_of_the_reasons_budget(care: Api, owner: asyncpg.Connection[Any]) -> None:
    answer = await adjust(care, 40, reference="ticket-1", note="had to wait", expires_on="2098-12-31")
    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert told | {"customer": 0, "posted_at": "", "made_by": ""} == {
        "adjustment_id": f"cor_{care.brand.book.book_id:08x}{1:016x}",
        "customer": 0,
        "points": 40,
        "reason": "goodwill",
        "campaign": "care",
        "budget_left": 60,
        "balance": 140,
        "reference": "ticket-1",
        "note": "had to wait",
        "made_by": "",
        "seq": 4,
        "posted_at": "",
    }
    again = await adjust(care, 40, reference="ticket-1", note="had to wait", expires_on="2098-12-31")
    assert (again.status_code, again.json()) == (200, told)
    reused = await adjust(care, 41)
    assert (reused.status_code, reused.json()["code"]) == (422, "idempotency_key_reused")
    assert await balance(care) == 140
    shown = (await care.client("care").get(f"/v1/adjustments/{told['adjustment_id']}")).json()
    listed = {name: value for name, value in told.items() if name not in ("balance", "budget_left")}
    assert shown == listed | {"correction": None}
    assert [finding for finding in await audit(owner, care.brand.book) if finding.violations] == []


async def test_points_are_taken_all_or_none(care: Api, owner: asyncpg.Connection[Any]) -> None:
    more = await adjust(care, -101)
    assert (more.status_code, more.json()["code"]) == (402, "insufficient_balance")
    taken = await adjust(care, -30, key="a-2")
    assert (taken.json()["points"], taken.json()["campaign"], taken.json()["balance"]) == (-30, None, 70)
    assert [finding for finding in await audit(owner, care.brand.book) if finding.violations] == []


async def test_agents_at_once_give_no_more_than_the_budget_has(care: Api) -> None:
    answers = await asyncio.gather(*[adjust(care, 15, f"a-{n}") for n in range(9)])
    assert sorted(answer.status_code for answer in answers) == [201] * 6 + [402] * 3
    assert {answer.json()["code"] for answer in answers if answer.status_code == 402} == {"budget_exhausted"}
    assert await balance(care) == 100 + 6 * 15
    campaign = (await care.client("admin").get("/v1/campaigns/care")).json()
    assert campaign["budget"] == {"funded": 100, "granted": 90, "left": 10}
    reconciled = (await care.client("admin").get("/v1/campaigns/care/reconciliation")).json()
    assert (reconciled["budget"]["granted"], reconciled["adjusted"], reconciled["totals"]) == (90, 90, [])


async def test_they_are_found_by_the_days_on_which_they_were_made(care: Api, owner: asyncpg.Connection[Any]) -> None:
    today = datetime.now(UTC) + timedelta(minutes=1)
    for day in range(3):
        await set_clock(owner, care.brand.book, today + timedelta(days=day))
        await adjust(care, 10 + day, f"a-{day}")
    days = [f"{care.brand.calendar.day(today + timedelta(days=day))}" for day in range(-1, 4)]
    for query, points in {
        f"from={days[2]}&to={days[2]}": [11],
        f"from={days[2]}": [12, 11],
        f"to={days[2]}&customer=c-1": [11, 10],
        f"from={days[1]}&reason=goodwill&limit=2": [12, 11],
        f"from={days[4]}": [],
        f"to={days[0]}": [],
    }.items():
        listed = await care.client("care").get(f"/v1/adjustments?{query}")
        assert [each["points"] for each in listed.json()["items"]] == points, query
    first = (await care.client("care").get(f"/v1/adjustments?from={days[2]}&limit=1")).json()
    rest = (await care.client("care").get(f"/v1/adjustments?from={days[2]}&limit=1&after={first['next']}")).json()
    assert ([each["points"] for each in rest["items"]], rest["next"]) == ([11], None)
    wrong = await care.client("care").get("/v1/adjustments?from=2026-02-30")
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "?from")


async def test_they_are_listed_and_in_feed_statement_report_and_trail(care: Api) -> None:
    await adjust(care, 40, "a-1")
    await adjust(care, -10, "a-2")
    lister = care.client("care")
    every = (await lister.get("/v1/adjustments?limit=1")).json()
    assert [each["points"] for each in every["items"]] == [-10]
    rest = (await lister.get(f"/v1/adjustments?limit=1&after={every['next']}")).json()
    assert ([each["points"] for each in rest["items"]], rest["next"]) == ([40], None)
    for query, points in {"customer=c-1": [-10, 40], "reason=goodwill": [40], "reason=none": [], "customer=c-2": []}.items():
        listed = (await lister.get(f"/v1/adjustments?{query}")).json()["items"]
        assert [each["points"] for each in listed] == points, query
    both = await lister.get("/v1/adjustments?customer=c-1&reason=fraud")
    assert (both.status_code, both.json()["errors"][0]["pointer"]) == (422, "?reason")
    feed = (await care.client("messaging").get("/v1/events")).json()["items"]
    assert [(each["type"], each["balance_change"], each["campaign"]) for each in feed[1:]] == [
        ("adjust", 40, "care"),
        ("adjust", -10, None),
    ]
    statement = (await care.client("storefront").get("/v1/customers/c-1/statement")).json()["items"]
    assert [(each["type"], each["points"]) for each in statement[:2]] == [("adjust", -10), ("adjust", 40)]
    totals = (await care.client("finance").get("/v1/reports/roll-forward")).json()["totals"]
    assert (totals["granted"], totals["adjusted"], totals["closing"]) == (100, 30, 130)
    trail = (await care.client("admin").get("/v1/audit-trail")).json()["items"]
    acts = [(each["act"], each["after"]) for each in trail if each["act"] == "adjustment.make"]
    assert acts == [
        ("adjustment.make", {"points": 40, "reason": "goodwill"}),
        ("adjustment.make", {"points": -10, "reason": "fraud"}),
    ]


async def test_reasons_are_declared_changed_and_withdrawn(care: Api) -> None:
    admin = care.client("admin")
    listed = (await care.client("admin").get("/v1/adjustment-reasons")).json()["items"]
    assert listed == [
        {"code": "fraud", "name": "Fraud", "campaign": None, "withdrawn": False},
        {"code": "goodwill", "name": "Goodwill", "campaign": "care", "withdrawn": False},
    ]
    await admin.put("/v1/adjustment-reasons/goodwill", json={"name": "Goodwill", "campaign": "care", "withdrawn": True})
    gone = await adjust(care, 5)
    assert (gone.status_code, gone.json()["errors"][0]) == (
        422,
        {"pointer": "/reason", "code": "invalid_field", "detail": "is not declared; there are: fraud"},
    )
    for code, body, pointer in (
        ("Good will", {"name": "x"}, "{reason}"),
        ("good", {"name": "x", "campaign": "nothing"}, "/campaign"),
        ("good", {}, "/name"),
    ):
        refused = await admin.put(f"/v1/adjustment-reasons/{code}", json=body)
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, pointer)


async def test_each_refusal_has_its_name(care: Api, owner: asyncpg.Connection[Any]) -> None:
    for n, (points, asked, pointer) in enumerate(
        (
            (0, {"reason": "fraud"}, "/points"),
            (5, {"reason": "none_such"}, "/reason"),
            (5, {"reason": "fraud"}, "/points"),
            (5, {"expires_on": "2020-01-01"}, "/expires_on"),
            (-5, {"expires_on": "2098-01-01"}, "/expires_on"),
            (5, {"note": ""}, "/note"),
            (10**10, {}, "/points"),
        )
    ):
        refused = await adjust(care, points, f"b-{n}", **asked)
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, pointer), refused.text
    unknown = await adjust(care, 5, "c-1", customer={"id": "nobody"})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")
    (await care.client("admin").post("/v1/campaigns/care/pause")).raise_for_status()
    paused = await adjust(care, 5, "c-2")
    assert (paused.status_code, paused.json()["code"]) == (409, "campaign_paused")
    other = await make_brand(owner, "other")
    keys = await make_keys(owner, other)
    made = (await adjust(care, -5, "c-3")).json()["adjustment_id"]
    theirs = await care.client(key=keys["care"]).get(f"/v1/adjustments/{made}")
    assert (theirs.status_code, theirs.json()["code"]) == (404, "not_found")


async def test_a_merged_customer_has_what_the_other_was_given(care: Api) -> None:
    await granted(care, "mail-7", customer={"id": "c-2"})
    await adjust(care, 20, "before", customer={"id": "c-2"})
    merged = await care.client("messaging").post("/v1/customers/c-1/merge", json={"from": {"id": "c-2"}})
    assert merged.is_success, merged.text
    given = await adjust(care, 10, customer={"id": "c-2"})
    assert given.json()["balance"] == await balance(care) == 230
    listed = (await care.client("care").get("/v1/adjustments?customer=c-2")).json()["items"]
    assert [each["points"] for each in listed] == [10, 20]
