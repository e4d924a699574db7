"""Points that a rule holds back: pending until somebody approves of them or rejects them, once; rejected when nobody does."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import httpx
import pytest

from ledger import audit, sweep
from service.finance.cap_audit import audit_caps
from tests.api_fixtures import Api

REVIEW: dict[str, Any] = {
    "campaign": "reviews",
    "message_id": "order-17",
    "customer": {"id": "c-1"},
    "action": "review",
    "channel": "web",
    "evidence": "A",
}
CAMPAIGN: dict[str, Any] = {
    "id": "reviews",
    "name": "Reviews",
    "starts_at": "2026-01-01T00:00:00Z",
    "ends_at": "2099-01-01T00:00:00Z",
    "budget": 100,
    "rules": [{"action": "review", "points": 50, "hold_back_days": 14}, {"action": "click", "points": 5}],
    "caps": [
        {"per": "customer", "window": "month", "action": "review", "max_grants": 1},
        {"per": "customer", "window": "rolling_day", "max_points": 60},
        {"per": "campaign", "window": "ever", "max_grants": 9},
    ],
    "expires_after_months": 2,
}


@pytest.fixture
async def reviews(api: Api) -> Api:
    (await api.client("admin").post("/v1/campaigns", json=CAMPAIGN)).raise_for_status()
    return api


async def report(api: Api, **changed: Any) -> dict[str, Any]:
    answer = await api.client("messaging").post("/v1/grants", json=REVIEW | changed)
    assert answer.is_success, answer.text
    return answer.json()


async def settle(api: Api, grant_id: str, how: str) -> httpx.Response:
    return await api.client("approver").post(f"/v1/grants/{grant_id}/{how}")


async def say(api: Api, channel: str, status: str) -> None:
    said = {"status": status, "source": "complaint"}
    (await api.client("messaging").put(f"/v1/customers/c-1/consents/{channel}", json=said)).raise_for_status()


async def decided(api: Api) -> list[tuple[str, str, str, Any]]:
    """Who decided what was held back, as the audit trail has it."""
    trail = (await api.client("admin").get("/v1/audit-trail?limit=1000")).json()["items"]
    return [(e["key_name"], e["act"], e["subject"], e["after"]) for e in trail if e["act"].startswith("grant.")]


async def balance(api: Api) -> tuple[int, int]:
    """What can be spent, and what is pending."""
    answer = (await api.client("storefront").get("/v1/customers/c-1/balance")).raise_for_status().json()
    return answer["balance"], answer["pending"]


async def budget(api: Api) -> dict[str, int]:
    return (await api.client("admin").get("/v1/campaigns/reviews")).raise_for_status().json()["budget"]


async def advance(api: Api, days: int) -> None:
    answer = await api.client("admin").post("/v1/test/clock/advance", json={"seconds": days * 86_400})
    assert answer.is_success, answer.text


async def check(api: Api, owner: asyncpg.Connection[Any]) -> None:
    """The books agree with themselves, and caps with the events."""
    findings = [*await audit(owner, api.brand.book), await audit_caps(owner, api.brand)]
    assert [finding for finding in findings if finding.violations] == []


async def test_a_review_is_pending_until_it_is_approved_of(reviews: Api, owner: asyncpg.Connection[Any]) -> None:
    held = await report(reviews)
    assert (held["outcome"], held["reason"], held["points"], held["balance"]) == ("held_back", "awaiting_approval", 50, 0)
    assert await balance(reviews) == (0, 50)
    again = await report(reviews)
    assert again == held | {"replayed": True}
    await check(reviews, owner)

    answers = [await settle(reviews, held["grant_id"], "mature") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 200]
    assert answers[1].headers["Idempotency-Replayed"] == "true"
    for answer in answers:
        assert (answer.json()["outcome"], answer.json()["reason"], answer.json()["points"]) == ("granted", None, 50)
        assert answer.json()["due_at"] is None
    assert await balance(reviews) == (50, 0)
    assert (await report(reviews))["outcome"] == "granted"
    await check(reviews, owner)


async def test_a_rejected_review_voids_the_pending_grant_and_frees_its_caps(
    reviews: Api, owner: asyncpg.Connection[Any]
) -> None:
    held = await report(reviews)
    assert (await report(reviews, message_id="order-18"))["reason"] == "cap_reached"
    assert await budget(reviews) == {"funded": 100, "granted": 50, "left": 50}

    answers = [await settle(reviews, held["grant_id"], "reject") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 200]
    assert {(answer.json()["outcome"], answer.json()["reason"], answer.json()["points"]) for answer in answers} == {
        ("refused", "rejected", 0)
    }
    assert await balance(reviews) == (0, 0)
    assert await budget(reviews) == {"funded": 100, "granted": 0, "left": 100}
    assert (await report(reviews))["reason"] == "rejected"
    await check(reviews, owner)

    assert (await report(reviews, message_id="order-19"))["outcome"] == "held_back"
    assert await balance(reviews) == (0, 50)
    await check(reviews, owner)


@pytest.mark.parametrize(("first", "then"), [("mature", "reject"), ("reject", "mature")])
async def test_what_is_settled_is_not_settled_the_other_way(reviews: Api, first: str, then: str) -> None:
    held = await report(reviews)
    await settle(reviews, held["grant_id"], first)
    before = await balance(reviews)
    answer = await settle(reviews, held["grant_id"], then)
    assert (answer.status_code, answer.json()["code"]) == (409, "already_settled")
    assert await balance(reviews) == before


async def test_many_who_settle_at_once_settle_once(reviews: Api, owner: asyncpg.Connection[Any]) -> None:
    held = await report(reviews)
    answers = await asyncio.gather(*(settle(reviews, held["grant_id"], how) for _ in range(6) for how in ("mature", "reject")))
    assert sum(answer.status_code == 201 for answer in answers) == 1
    assert sum(answer.status_code == 409 for answer in answers) == 6
    await check(reviews, owner)


async def test_only_what_is_held_back_can_be_settled(reviews: Api) -> None:
    granted = await report(reviews, action="click")
    waiting = await report(reviews, action="click", message_id="m-2", evidence="D")
    for grant_id in (granted["grant_id"], waiting["grant_id"]):
        for how in ("mature", "reject"):
            answer = await settle(reviews, grant_id, how)
            assert (answer.status_code, answer.json()["code"]) == (409, "not_held_back")
    for unknown in ("grt_" + "0" * 40, "grt_7", granted["grant_id"][:-1]):
        assert (await settle(reviews, unknown, "mature")).status_code == 404
    held = await report(reviews)
    for name in ("storefront", "messaging", "admin"):
        for how in ("mature", "reject"):
            answer = await reviews.client(name).post(f"/v1/grants/{held['grant_id']}/{how}")
            assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")


@pytest.mark.parametrize("channel", ["web", "rewards"])
async def test_who_refuses_in_between_is_not_paid(reviews: Api, owner: asyncpg.Connection[Any], channel: str) -> None:
    held = await report(reviews)
    await say(reviews, channel, "refused")
    answers = [await settle(reviews, held["grant_id"], how) for how in ("mature", "mature", "reject")]
    assert [answer.status_code for answer in answers] == [201, 409, 200]
    assert (answers[0].json()["outcome"], answers[0].json()["reason"]) == ("refused", "rejected")
    assert await decided(reviews) == [("approver", "grant.reject", held["grant_id"], {"reason": "consent_refused"})]
    assert await balance(reviews) == (0, 0)
    # Nor later, when they want to be rewarded again: it was settled.
    await say(reviews, channel, "granted")
    assert (await settle(reviews, held["grant_id"], "mature")).json()["code"] == "already_settled"
    await check(reviews, owner)


async def test_a_refusal_of_another_channel_or_one_that_was_taken_back_changes_nothing(reviews: Api) -> None:
    held = await report(reviews)
    for channel, status in (("sms", "refused"), ("web", "refused"), ("web", "granted")):
        await say(reviews, channel, status)
    assert (await settle(reviews, held["grant_id"], "mature")).json()["outcome"] == "granted"
    assert await decided(reviews) == [("approver", "grant.mature", held["grant_id"], None)]
    # What was paid stays paid, and a retry is answered as it was.
    await say(reviews, "web", "refused")
    again = await settle(reviews, held["grant_id"], "mature")
    assert (again.status_code, again.json()["outcome"]) == (200, "granted")
    assert len(await decided(reviews)) == 1


async def test_points_last_from_when_they_mature(reviews: Api) -> None:
    held = await report(reviews)
    shown = (await reviews.client("messaging").get(f"/v1/grants/{held['grant_id']}")).json()
    decided_at, due_at = (datetime.fromisoformat(shown[name]) for name in ("decided_at", "due_at"))
    assert timedelta(days=14) - timedelta(minutes=1) < due_at - decided_at <= timedelta(days=14)
    await advance(reviews, 13)
    matured = await settle(reviews, held["grant_id"], "mature")
    assert matured.status_code == 201
    balance = (await reviews.client("storefront").get("/v1/customers/c-1/balance")).json()
    matured_on = (decided_at + timedelta(days=13)).astimezone(ZoneInfo("Europe/Berlin")).date()
    month = matured_on.year * 12 + matured_on.month - 1 + 2
    assert [lot["expires_on"][:7] for lot in balance["lots"]] == [f"{month // 12}-{month % 12 + 1:02}"]


@pytest.mark.one_process("sweeps, or does not, by itself")
@pytest.mark.parametrize("swept", [True, False], ids=["swept", "not swept"])
async def test_what_nobody_approves_of_in_time_is_rejected(
    reviews: Api, worker_pool: asyncpg.Pool[Any], owner: asyncpg.Connection[Any], swept: bool
) -> None:
    held = await report(reviews)
    await advance(reviews, 15)
    if swept:
        assert await sweep(worker_pool, reviews.brand.book, limit=10) == 1
    late = await settle(reviews, held["grant_id"], "mature")
    assert (late.status_code, late.json()["code"]) == (409, "already_settled")
    shown = (await reviews.client("messaging").get(f"/v1/grants/{held['grant_id']}")).json()
    assert (shown["outcome"], shown["reason"], shown["points"]) == ("refused", "rejected", 0)
    assert await balance(reviews) == (0, 0)
    await check(reviews, owner)


async def test_what_is_held_back_is_listed_and_counted_as_such(reviews: Api) -> None:
    held = await report(reviews)
    await report(reviews, action="click")
    for outcome, found in (("held_back", [held["grant_id"]]), ("refused", [])):
        listed = await reviews.client("messaging").get("/v1/grants", params={"outcome": outcome})
        assert [each["grant_id"] for each in listed.json()["items"]] == found
    counted = (await reviews.client("messaging").get("/v1/campaigns/reviews/reconciliation")).json()
    assert [(each["outcome"], each["events"], each["points"]) for each in counted["totals"]] == [
        ("granted", 1, 5),
        ("held_back", 1, 50),
    ]
    await settle(reviews, held["grant_id"], "reject")
    listed = await reviews.client("messaging").get("/v1/grants", params={"outcome": "refused"})
    assert [each["reason"] for each in listed.json()["items"]] == ["rejected"]
    counted = (await reviews.client("messaging").get("/v1/campaigns/reviews/reconciliation")).json()
    assert counted["budget"] == {"funded": 100, "granted": 5, "left": 95}


async def test_a_weak_report_waits_and_is_held_back_once_a_person_is_proved(
    reviews: Api, owner: asyncpg.Connection[Any]
) -> None:
    assert (await report(reviews, evidence="D"))["outcome"] == "waiting"
    await report(reviews, action="click")
    assert await balance(reviews) == (5, 50)
    held = await report(reviews)
    assert (held["outcome"], held["replayed"]) == ("held_back", True)
    await settle(reviews, held["grant_id"], "mature")
    assert await balance(reviews) == (55, 0)
    await check(reviews, owner)
