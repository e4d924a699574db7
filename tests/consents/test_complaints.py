"""A complaint stops what is held back for its channel, once and for good, and nothing else."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from ledger import audit
from service.finance.cap_audit import audit_caps
from tests.api_fixtures import Api

CAMPAIGN: dict[str, Any] = {
    "id": "reviews",
    "name": "Reviews",
    "starts_at": "2026-01-01T00:00:00Z",
    "ends_at": "2099-01-01T00:00:00Z",
    "budget": 1_000_000,
    "rules": [{"action": "click", "points": 50, "hold_back_days": 14}],
    "caps": [{"per": "campaign", "window": "ever", "max_grants": 1_000}],
}


@pytest.fixture
async def reviews(api: Api) -> Api:
    (await api.client("admin").post("/v1/campaigns", json=CAMPAIGN)).raise_for_status()
    return api


async def click(api: Api, message_id: str, *, customer: str = "c-1", channel: str = "email", **changed: Any) -> str:
    """Report a click, which is held back; its grant's id."""
    body = {
        "campaign": "reviews",
        "message_id": message_id,
        "customer": {"id": customer},
        "action": "click",
        "channel": channel,
    }
    answer = (await api.client("messaging").post("/v1/grants", json=body | changed)).raise_for_status().json()
    assert answer["outcome"] == "held_back", answer
    return answer["grant_id"]


async def say(api: Api, status: str, *, customer: str = "c-1", channel: str = "email", **said: Any) -> dict[str, Any]:
    body = {"status": status, "source": "feedback loop"} | said
    answer = await api.client("messaging").put(f"/v1/customers/{customer}/consents/{channel}", json=body)
    return answer.raise_for_status().json()


async def outcome(api: Api, grant_id: str) -> tuple[str, str]:
    answer = (await api.client("messaging").get(f"/v1/grants/{grant_id}")).raise_for_status().json()
    return answer["outcome"], answer["reason"]


async def mature(api: Api, grant_id: str) -> tuple[int, str]:
    answer = await api.client("approver").post(f"/v1/grants/{grant_id}/mature")
    return answer.status_code, answer.json().get("outcome") or answer.json()["code"]


async def rejected(api: Api) -> list[tuple[str, str, Any]]:
    trail = (await api.client("admin").get("/v1/audit-trail?limit=1000")).json()["items"]
    return [(each["key_name"], each["subject"], each["after"]) for each in trail if each["act"] == "grant.reject"]


async def check(api: Api, owner: asyncpg.Connection[Any]) -> None:
    findings = [*await audit(owner, api.brand.book), await audit_caps(owner, api.brand)]
    assert [finding for finding in findings if finding.violations] == []


HELD_BACK = ("held_back", "awaiting_approval")
REJECTED = ("refused", "rejected")


@pytest.mark.parametrize("reason", ["complaint", "stop"])
async def test_a_complaint_after_a_click_blocks_maturing_whatever_they_consent_to_later(
    reviews: Api, owner: asyncpg.Connection[Any], reason: str
) -> None:
    held = await click(reviews, "m-1")
    said = await say(reviews, "refused", reason=reason)
    assert (said["recorded"], said["current"]["reason"]) == (True, reason)
    assert await outcome(reviews, held) == REJECTED
    balance = (await reviews.client("storefront").get("/v1/customers/c-1/balance")).json()
    assert (balance["balance"], balance["pending"]) == (0, 0)
    campaign = (await reviews.client("admin").get("/v1/campaigns/reviews")).json()
    assert campaign["budget"]["left"] == CAMPAIGN["budget"]

    await say(reviews, "granted")
    assert await mature(reviews, held) == (409, "already_settled")
    # Saying it again changes nothing; it is in the trail once.
    await say(reviews, "refused", reason=reason)
    assert await rejected(reviews) == [("messaging", held, {"reason": reason})]
    await check(reviews, owner)


async def test_the_feed_and_the_log_have_it_once_however_often_it_is_said(reviews: Api, owner: asyncpg.Connection[Any]) -> None:
    held = await click(reviews, "m-1")
    await asyncio.gather(*(say(reviews, "refused", reason="complaint") for _ in range(6)))
    assert await rejected(reviews) == [("messaging", held, {"reason": "complaint"})]
    feed = (await reviews.client("messaging").get("/v1/events?limit=100")).raise_for_status().json()["items"]
    assert [each["type"] for each in feed] == ["hold_back", "reject"]
    await check(reviews, owner)


async def test_other_channels_customers_and_what_came_after_are_left_alone(reviews: Api) -> None:
    complained_at = datetime.now(UTC) - timedelta(minutes=5)
    other_channel = await click(reviews, "m-1", channel="sms")
    other_customer = await click(reviews, "m-1", customer="c-2")
    before = await click(reviews, "m-2", occurred_at=(complained_at - timedelta(minutes=1)).isoformat())
    # They consented again before the complaint reached us, and clicked after that.
    await say(reviews, "granted", at=(complained_at + timedelta(minutes=1)).isoformat())
    after = await click(reviews, "m-3", occurred_at=(complained_at + timedelta(minutes=2)).isoformat())
    await say(reviews, "refused", at=complained_at.isoformat(), reason="complaint")
    assert [await outcome(reviews, each) for each in (other_channel, other_customer, before, after)] == [
        HELD_BACK,
        HELD_BACK,
        REJECTED,
        HELD_BACK,
    ]
    assert await mature(reviews, after) == (201, "granted")


async def test_a_complaint_about_all_rewards_stops_every_channel(reviews: Api) -> None:
    held = [await click(reviews, "m-1", channel=channel) for channel in ("email", "sms")]
    await say(reviews, "refused", channel="rewards", reason="stop")
    assert [await outcome(reviews, each) for each in held] == [REJECTED, REJECTED]


async def test_a_refusal_without_a_reason_waits_for_whoever_approves(reviews: Api) -> None:
    held = await click(reviews, "m-1")
    await say(reviews, "refused")
    assert await outcome(reviews, held) == HELD_BACK


async def test_what_was_held_back_under_another_number_is_rejected_too(reviews: Api, owner: asyncpg.Connection[Any]) -> None:
    merged, own = await click(reviews, "m-1", customer="c-2"), await click(reviews, "m-2")
    await merge(reviews)
    await say(reviews, "refused", customer="c-2", reason="complaint")
    assert [await outcome(reviews, each) for each in (merged, own)] == [REJECTED, REJECTED]
    await check(reviews, owner)


async def test_what_a_merge_brings_in_after_the_complaint_does_not_mature(reviews: Api) -> None:
    brought = await click(reviews, "m-1")
    await click(reviews, "m-2", customer="c-2")
    await say(reviews, "refused", customer="c-2", reason="complaint")
    await merge(reviews)
    await say(reviews, "granted")
    assert await mature(reviews, brought) == (201, "refused")
    assert ("approver", brought, {"reason": "complaint"}) in await rejected(reviews)


async def test_many_are_rejected_page_by_page(reviews: Api) -> None:
    held = [await click(reviews, f"m-{n}") for n in range(103)]
    await say(reviews, "refused", reason="complaint")
    assert len(await rejected(reviews)) == len(held)
    assert await outcome(reviews, held[-1]) == REJECTED


async def test_in_a_list_each_complaint_counts_for_its_own_customer(reviews: Api) -> None:
    held = [await click(reviews, "m-1", customer=each) for each in ("c-1", "c-2", "c-3")]
    listed = [
        {"customer": {"id": "c-1"}, "channel": "email", "status": "refused", "source": "list", "reason": "complaint"},
        {"customer": {"id": "c-2"}, "channel": "email", "status": "refused", "source": "list"},
        {"customer": {"id": "c-3"}, "channel": "email", "status": "granted", "source": "list", "reason": "stop"},
    ]
    answer = (await reviews.client("messaging").post("/v1/consents/batch", json=listed)).raise_for_status().json()
    assert [each["status"] for each in answer["results"]] == [200, 200, 422]
    assert answer["results"][2]["problem"]["errors"][0]["pointer"] == "/reason"
    assert [await outcome(reviews, each) for each in held] == [REJECTED, HELD_BACK, HELD_BACK]


async def merge(api: Api) -> None:
    answer = await api.client("admin").post("/v1/customers/c-1/merge", json={"from": {"id": "c-2"}})
    assert answer.is_success, answer.text
