"""Late captures over HTTP: what a brand allows, and what a till that was offline is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from ledger.testing import set_clock
from tests.api_fixtures import Api
from tests.redemptions.test_redemptions_api import EARNED, act, authorize, shop  # pyright: ignore[reportUnusedImport]

__all__ = ["shop"]

HOUR_S = 3_600


async def allow(api: Api, grace_s: int) -> None:
    """Let holds be captured for so long after their deadlines."""
    (await api.client("admin").patch("/v1/brand", json={"late_capture_grace_s": grace_s})).raise_for_status()


@pytest.fixture
async def held(api: Api, owner: asyncpg.Connection[Any], shop: httpx.AsyncClient) -> dict[str, Any]:
    """Sixty points, set aside for an hour, an hour after that."""
    held = (await authorize(shop, expires_in_s=HOUR_S, store_id="berlin-1", terminal_id="pos-1")).json()
    await set_clock(owner, api.brand.book, datetime.fromisoformat(held["expires_at"]) + timedelta(hours=1))
    return held


async def test_a_brand_allows_none_unless_it_says_so(api: Api, shop: httpx.AsyncClient, held: dict[str, Any]) -> None:
    assert (await api.client("admin").get("/v1/brand")).json()["late_capture_grace_s"] == 0
    refused = await act(shop, held["redemption_id"], "capture", "c-1")
    assert (refused.status_code, refused.json()["code"]) == (409, "authorization_expired")
    assert held["expires_at"][:19] in refused.json()["detail"]
    assert "accepted until" not in refused.json()["detail"]


async def test_a_till_that_was_offline_captures_once(api: Api, shop: httpx.AsyncClient, held: dict[str, Any]) -> None:
    await allow(api, 2 * HOUR_S)
    till = {
        "store_id": "kiel-1",
        "terminal_id": "pos-7",
        "ref": "receipt-17",
        "occurred_at": held["operations"][0]["posted_at"],
    }
    first = await act(shop, held["redemption_id"], "capture", "pos-7 receipt-17", points=50, **till)
    assert first.status_code == 201, first.text
    answer = first.json()
    assert (answer["status"], answer["captured"], answer["released"], answer["balance"]) == ("captured", 50, 10, EARNED - 50)
    assert [(each["type"], each["points"], each["occurred_at"]) for each in answer["operations"]] == [
        ("authorize", 60, None),
        ("void", 60, held["expires_at"]),
        ("capture", 50, till["occurred_at"]),
    ]
    again = await act(shop, held["redemption_id"], "capture", "pos-7 receipt-17", points=50, **till)
    assert (again.status_code, again.content) == (200, first.content)
    other = await act(shop, held["redemption_id"], "capture", "pos-8 receipt-17", points=50)
    assert (other.status_code, other.json()["code"]) == (409, "fully_captured")
    voided = await act(shop, held["redemption_id"], "void", "v-1")
    assert (voided.status_code, voided.json()["code"]) == (409, "fully_captured")
    refunded = await act(shop, held["redemption_id"], "refund", "r-1")
    assert (refunded.json()["status"], refunded.json()["balance"]) == ("refunded", EARNED)
    assert (await shop.get(f"/v1/redemptions/{held['redemption_id']}")).json() == refunded.json()


async def test_it_is_told_until_when_it_might_have(
    api: Api, owner: asyncpg.Connection[Any], shop: httpx.AsyncClient, held: dict[str, Any]
) -> None:
    await allow(api, 2 * HOUR_S)
    until = datetime.fromisoformat(held["expires_at"]) + timedelta(hours=2)
    await set_clock(owner, api.brand.book, until)
    refused = await act(shop, held["redemption_id"], "capture", "c-1")
    assert (refused.status_code, refused.json()["code"]) == (409, "authorization_expired")
    assert f"accepted until {until:%Y-%m-%dT%H:%M:%S}" in refused.json()["detail"]


async def test_it_is_told_what_is_missing(api: Api, shop: httpx.AsyncClient, held: dict[str, Any]) -> None:
    await allow(api, 2 * HOUR_S)
    await authorize(shop, "a-2", points=70, capture=True)
    refused = await act(shop, held["redemption_id"], "capture", "c-1")
    assert (refused.status_code, refused.json()["code"]) == (409, "released_points_gone")
    assert refused.json()["detail"].endswith("Of 60 points to capture, 30 are missing.")
    assert (await act(shop, held["redemption_id"], "capture", "c-2", points=30)).json()["balance"] == 0


@pytest.mark.parametrize("days", [1, -1], ids=["in the future", "before it authorized"])
async def test_it_cannot_have_happened(api: Api, shop: httpx.AsyncClient, held: dict[str, Any], days: int) -> None:
    await allow(api, 2 * HOUR_S)
    at = datetime.fromisoformat(held["expires_at"]) + timedelta(days=days)
    refused = await act(shop, held["redemption_id"], "capture", "c-1", occurred_at=at.isoformat())
    error = refused.json()["errors"][0]
    assert (refused.status_code, error["code"], error["pointer"]) == (422, "occurred_at_out_of_range", "/occurred_at")
    assert (await shop.get(f"/v1/redemptions/{held['redemption_id']}")).json()["status"] == "expired"


async def test_an_authorization_too_says_when_the_till_did_it(shop: httpx.AsyncClient) -> None:
    at = datetime.now(UTC) - timedelta(hours=2)
    made = (await authorize(shop, occurred_at=at.isoformat())).json()
    assert datetime.fromisoformat(made["operations"][0]["occurred_at"]) == at
    refused = await authorize(shop, "a-2", points=1, occurred_at=(at - timedelta(days=30)).isoformat())
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "occurred_at_out_of_range")


@pytest.mark.parametrize("wrong", [-1, 30 * 24 * HOUR_S + 1, 1.5, None])
async def test_a_grace_is_a_number_of_seconds_up_to_thirty_days(api: Api, wrong: object) -> None:
    answer = await api.client("admin").patch("/v1/brand", json={"late_capture_grace_s": wrong})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/late_capture_grace_s")


async def test_stores_and_the_feed_have_the_late_capture(api: Api, shop: httpx.AsyncClient, held: dict[str, Any]) -> None:
    await allow(api, 2 * HOUR_S)
    (await act(shop, held["redemption_id"], "capture", "c-1", store_id="kiel-1")).raise_for_status()
    entries = (await api.client("finance").get("/v1/events?limit=1000")).json()["items"]
    assert [(each["type"], each["balance_change"]) for each in entries][-3:] == [
        ("authorize", -60),
        ("void", 60),
        ("capture", -60),
    ]
    found = (await api.client("finance").get("/v1/ledger/transfers?verb=capture&store_id=kiel-1&customer=c-1")).json()["items"]
    assert [(each["debit"].split(":")[0], each["amount"]) for each in found] == [("lot", 60)]
