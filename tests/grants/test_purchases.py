"""Purchases earn by what was paid, rounded down, once per order; what they need is refused by name."""

from __future__ import annotations

from typing import Any

import asyncpg
import httpx
import pytest

from ledger import POINTS_MAX
from service.finance.grant_audit import audit_grants
from tests.api_fixtures import Api

pytestmark = pytest.mark.usefixtures("remembers_shortly")

CAMPAIGN: dict[str, Any] = {
    "id": "shop",
    "name": "Shop",
    "starts_at": "2026-01-01T00:00:00Z",
    "ends_at": "2099-01-01T00:00:00Z",
    "budget": 100_000,
    "class": "purchase",
    "rules": [
        {"action": "purchase", "points_per": {"points": 3, "minor_units": 100}},
        {"action": "purchase", "channel": "pos", "points": 50},
        {"action": "review", "points": 5},
    ],
}


@pytest.fixture
async def shop(api: Api) -> Api:
    (await api.client("admin").post("/v1/campaigns", json=CAMPAIGN)).raise_for_status()
    return api


def report(amount_minor: int | None = 1999, order: str = "order-1", **changed: Any) -> dict[str, Any]:
    body = {"campaign": "shop", "message_id": "m-1", "customer": {"id": "c-1"}, "action": "purchase", "channel": "web"}
    bought = {} if amount_minor is None else {"purchase": {"amount_minor": amount_minor, "currency": "EUR", "order_ref": order}}
    return body | bought | changed


async def buy(api: Api, *args: Any, path: Any = "/v1/grants", **changed: Any) -> httpx.Response:
    return await api.client("messaging").post(path, json=report(*args, **changed))


async def told(api: Api, *args: Any, **changed: Any) -> tuple[str, int, bool]:
    answer = (await buy(api, *args, **changed)).raise_for_status().json()
    return answer["reason"] or answer["outcome"], answer["points"], answer["replayed"]


async def judged(owner: asyncpg.Connection[Any], api: Api) -> tuple[int, int]:
    """How many grants the audit recomputed, and how many are not what was promised."""
    first, *_ = await audit_grants(owner, api.brand)
    return first.checked, first.violations


@pytest.mark.parametrize(("amount_minor", "points"), [(1999, 59), (2000, 60), (2033, 60), (2034, 61), (34, 1)])
async def test_a_purchase_earns_by_its_amount_rounded_down(shop: Api, amount_minor: int, points: int) -> None:
    assert await told(shop, amount_minor) == ("granted", points, False)


async def test_an_order_earns_once_whatever_message_it_came_by(shop: Api, owner: asyncpg.Connection[Any]) -> None:
    assert await told(shop) == ("granted", 59, False)
    assert await told(shop, message_id="m-2", channel="email") == ("granted", 59, True)
    # The first report counts, whatever another says, and even if the other would earn nothing.
    assert await told(shop, 5000) == ("granted", 59, True)
    assert await told(shop, 1) == ("granted", 59, True)
    assert await told(shop, 1000, "order-2") == ("granted", 30, False)
    assert await told(shop, 1000, customer={"id": "c-2"}) == ("granted", 30, False)
    assert await judged(owner, shop) == (3, 0)
    await owner.execute("UPDATE ledger.event SET metadata = replace(metadata, '1999', '2033') WHERE metadata LIKE '%1999%'")
    assert await judged(owner, shop) == (3, 1)


async def test_the_grant_says_what_was_bought(shop: Api) -> None:
    grant_id = (await buy(shop, metadata={"store": "Mitte"})).json()["grant_id"]
    grant = (await shop.client("messaging").get(f"/v1/grants/{grant_id}")).raise_for_status().json()
    assert grant["purchase"] == {"amount_minor": 1999, "currency": "EUR", "order_ref": "order-1"}
    assert grant["metadata"] == {"message_id": "m-1", "store": "Mitte"}
    assert (grant["message_id"], grant["qualifier"]) == ("order-1", "order")
    found = await shop.client("messaging").get("/v1/grants?customer=c-1&message_id=order-1")
    assert [each["grant_id"] for each in found.json()["items"]] == [grant_id]


async def test_less_than_a_point_is_nothing_and_records_nothing(shop: Api) -> None:
    assert await told(shop, 33) == ("amount_too_small", 0, False)
    assert await told(shop, 33, path="/v1/grants/quote") == ("amount_too_small", 0, False)
    assert await told(shop, 34) == ("granted", 1, False)


async def test_a_quote_says_what_an_amount_would_earn(shop: Api) -> None:
    assert await told(shop, path="/v1/grants/quote") == ("granted", 59, False)
    assert await told(shop) == ("granted", 59, False)
    assert await told(shop, path="/v1/grants/quote") == ("granted", 59, True)


async def test_a_rule_of_fixed_points_takes_what_was_bought_too(shop: Api) -> None:
    assert await told(shop, 1999, channel="pos") == ("granted", 50, False)
    assert await told(shop, None, channel="pos", message_id="m-2") == ("granted", 50, False)


async def test_a_purchase_proves_nobody_and_is_proved_by_nobody(shop: Api) -> None:
    assert await told(shop, None, action="review", evidence="D") == ("stronger_evidence_needed", 0, False)
    assert await told(shop, evidence="D") == ("stronger_evidence_needed", 0, False)
    assert await told(shop, None, action="review", evidence="B", message_id="order-1") == ("granted", 5, False)
    assert await told(shop, evidence="D") == ("stronger_evidence_needed", 0, True)
    # The stronger report is what counts, with its amount.
    assert await told(shop, 2000, evidence="B") == ("granted", 60, False)
    assert await told(shop, None, action="review", evidence="D") == ("stronger_evidence_needed", 0, True)


async def test_a_refused_purchase_is_decided_again_by_its_amount(shop: Api, owner: asyncpg.Connection[Any]) -> None:
    terms = {name: value for name, value in CAMPAIGN.items() if name not in {"id", "budget"}}
    admin, day = shop.client("admin"), {"per": "customer", "window": "day"}
    (await admin.post("/v1/campaigns/shop/versions", json=terms | {"caps": [day | {"max_points": 58}]})).raise_for_status()
    assert await told(shop) == ("cap_reached", 0, False)
    (await admin.post("/v1/campaigns/shop/versions", json=terms | {"caps": [day | {"max_points": 59}]})).raise_for_status()
    answer = (await shop.client("approver").post("/v1/campaigns/shop/redecide", json={})).raise_for_status().json()
    assert (answer["granted"], answer["points"]) == (1, 59)
    assert await judged(owner, shop) == (1, 0)


@pytest.mark.parametrize(
    ("changed", "pointer"),
    [
        ({"purchase": None}, "/purchase"),
        ({"purchase": {"amount_minor": 1999, "currency": "USD", "order_ref": "o"}}, "/purchase/currency"),
        ({"purchase": {"amount_minor": 1999, "currency": "eur", "order_ref": "o"}}, "/purchase/currency"),
        ({"purchase": {"amount_minor": 19.99, "currency": "EUR", "order_ref": "o"}}, "/purchase/amount_minor"),
        ({"purchase": {"amount_minor": 0, "currency": "EUR", "order_ref": "o"}}, "/purchase/amount_minor"),
        ({"purchase": {"amount_minor": -5, "currency": "EUR", "order_ref": "o"}}, "/purchase/amount_minor"),
        ({"purchase": {"amount_minor": "1999", "currency": "EUR", "order_ref": "o"}}, "/purchase/amount_minor"),
        ({"purchase": {"amount_minor": 1999, "currency": "EUR"}}, "/purchase/order_ref"),
        ({"purchase": {"amount_minor": 1_000_000_000_000, "currency": "EUR", "order_ref": "o"}}, "/purchase/amount_minor"),
        ({"metadata": {"purchase": "mine"}}, "/metadata/purchase"),
        ({"action": "data.purchase"}, "/purchase"),
    ],
)
async def test_a_report_is_refused_by_the_field_at_fault(shop: Api, changed: dict[str, Any], pointer: str) -> None:
    answer = await buy(shop, **(changed | ({"metadata": DATA} if "action" in changed else {})))
    assert answer.status_code == 422, answer.text
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert (await shop.client("messaging").get("/v1/grants?customer=c-1")).json()["items"] == []


DATA = {"consent_receipt_id": "r", "field": "purchase", "field_version": 1}
assert POINTS_MAX < 1_000_000_000_000 * 3 // 100


@pytest.mark.parametrize(
    ("rule", "pointer"),
    [
        ({}, "/rules/0"),
        ({"points": 5, "points_per": {"points": 1, "minor_units": 100}}, "/rules/0"),
        ({"points_per": {"points": 0, "minor_units": 100}}, "/rules/0/points_per/points"),
        ({"points_per": {"points": 1, "minor_units": 0}}, "/rules/0/points_per/minor_units"),
        ({"points_per": {"points": 1.5, "minor_units": 100}}, "/rules/0/points_per/points"),
        ({"points_per": {"points": 1, "minor_units": 100}, "once_per": "day"}, "/rules/0/points_per"),
        ({"points_per": {"points": 1, "minor_units": 100}, "action": "data.field"}, "/rules/0/points_per"),
    ],
)
async def test_a_rule_is_refused_by_the_field_at_fault(api: Api, rule: dict[str, Any], pointer: str) -> None:
    asked = CAMPAIGN | {"rules": [{"action": "purchase"} | rule]}
    answer = await api.client("admin").post("/v1/campaigns", json=asked)
    assert answer.status_code == 422, answer.text
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


async def test_nobody_buys_by_following_a_link(shop: Api) -> None:
    link = {
        "campaign": "shop",
        "message_id": "m-1",
        "customer": {"id": "c-1"},
        "channel": "web",
        "destination": "https://a.example",
    }
    answer = await shop.client("messaging").post("/v1/links", json={"links": [link | {"action": "purchase"}]})
    [result] = answer.raise_for_status().json()["results"]
    assert "pays for purchase on pos only" in str(result), result
