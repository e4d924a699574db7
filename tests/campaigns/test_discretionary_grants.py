"""Surprise and delight: a service agent gives points at her discretion, with a reason, out of a budget of its own."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import httpx
import pytest

from tests.api_fixtures import Api

PERIOD = {"starts_at": "2026-01-01T00:00:00Z", "ends_at": "2099-01-01T00:00:00Z"}
DELIGHT: dict[str, Any] = PERIOD | {
    "id": "delight",
    "name": "Surprise and delight",
    "budget": 100,
    "rules": [
        {"action": "apology", "points": 30},
        {"action": "gesture", "points": 10},
        {"action": "surprise", "points": 40, "hold_back_days": 7},
    ],
}
AUTUMN: dict[str, Any] = PERIOD | {"id": "autumn", "name": "Autumn", "budget": 50, "rules": [{"action": "click", "points": 5}]}


@pytest.fixture
async def funded(api: Api) -> Api:
    """The brand with its budget for delight, and another campaign with its own."""
    for campaign in (DELIGHT, AUTUMN):
        (await api.client("admin").post("/v1/campaigns", json=campaign)).raise_for_status()
    return api


async def delight(api: Api, ticket: str, action: str = "apology") -> httpx.Response:
    """Give a customer points for what went wrong in a ticket."""
    report = {
        "campaign": "delight",
        "message_id": ticket,
        "customer": {"id": f"customer of {ticket}"},
        "action": action,
        "channel": "app",
        "metadata": {"reason": f"parcel of {ticket} was late", "agent": "A. Lovelace"},
    }
    return await api.client("messaging").post("/v1/grants", json=report)


async def budget(api: Api, campaign: str) -> dict[str, int]:
    return (await api.client("finance").get(f"/v1/campaigns/{campaign}")).json()["budget"]


async def test_delight_ends_with_its_budget_to_the_point_whoever_gives_it_at_once(funded: Api) -> None:
    answers = await asyncio.gather(*(delight(funded, f"ticket-{n}") for n in range(20)))
    decided = [answer.json() for answer in answers]
    outcomes = Counter((each["outcome"], each.get("reason"), each["points"]) for each in decided)
    assert outcomes == {("granted", None, 30): 3, ("refused", "budget_exhausted", 0): 17}
    assert await budget(funded, "delight") == {"funded": 100, "granted": 90, "left": 10}

    # What is left pays something smaller, and then nothing more.
    last, over = await delight(funded, "ticket-50", "gesture"), await delight(funded, "ticket-51", "gesture")
    assert (last.json()["outcome"], last.json()["points"]) == ("granted", 10)
    assert (over.json()["outcome"], over.json()["reason"]) == ("refused", "budget_exhausted")
    assert await budget(funded, "delight") == {"funded": 100, "granted": 100, "left": 0}

    # Another campaign's budget is another account.
    click = {"campaign": "autumn", "message_id": "m", "customer": {"id": "c-1"}, "action": "click", "channel": "email"}
    assert (await funded.client("messaging").post("/v1/grants", json=click)).json()["outcome"] == "granted"
    assert await budget(funded, "autumn") == {"funded": 50, "granted": 5, "left": 45}


async def test_a_refused_apology_stays_refused_and_a_new_one_is_paid_once_there_is_money(funded: Api) -> None:
    given = [await delight(funded, f"ticket-{n}") for n in range(4)]
    assert [each.json()["outcome"] for each in given] == ["granted"] * 3 + ["refused"]
    more = {"points": 60}
    funding = await funded.client("finance").post(
        "/v1/campaigns/delight/fund", json=more, headers={"Idempotency-Key": "delight-2"}
    )
    assert (funding.status_code, funding.json()["budget_left"]) == (201, 70)
    again, new = await delight(funded, "ticket-3"), await delight(funded, "ticket-4")
    assert (again.json()["outcome"], again.json()["replayed"]) == ("refused", True)
    assert (new.json()["outcome"], new.json()["points"]) == ("granted", 30)
    assert await budget(funded, "delight") == {"funded": 160, "granted": 120, "left": 40}


async def test_the_reason_is_kept_with_the_grant(funded: Api) -> None:
    given = (await delight(funded, "ticket-1")).json()
    shown = (await funded.client("messaging").get(f"/v1/grants/{given['grant_id']}")).json()
    assert shown["metadata"] == {"reason": "parcel of ticket-1 was late", "agent": "A. Lovelace"}
    assert (shown["campaign"], shown["action"]) == ("delight", "apology")


async def test_what_needs_approval_counts_against_the_budget_until_it_is_rejected(funded: Api) -> None:
    approver = funded.client("approver")
    asked = [(await delight(funded, f"ticket-{n}", "surprise")).json() for n in range(3)]
    assert [(each["outcome"], each["points"]) for each in asked] == [("held_back", 40), ("held_back", 40), ("refused", 0)]
    assert (await budget(funded, "delight"))["left"] == 20
    (await approver.post(f"/v1/grants/{asked[0]['grant_id']}/reject")).raise_for_status()
    assert (await budget(funded, "delight"))["left"] == 60

    assert (await delight(funded, "ticket-3", "surprise")).json()["outcome"] == "held_back"
    assert (await delight(funded, "ticket-4")).json()["reason"] == "budget_exhausted"
    approved = (await approver.post(f"/v1/grants/{asked[1]['grant_id']}/mature")).json()
    assert (approved["outcome"], approved["points"]) == ("granted", 40)
    assert await budget(funded, "delight") == {"funded": 100, "granted": 80, "left": 20}
    balance = (await approver.get("/v1/customers/customer of ticket-1/balance")).json()
    assert (balance["balance"], balance["pending"]) == (40, 0)
