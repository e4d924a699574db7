"""Returns of purchases over HTTP: what was earned is taken back in proportion, and what cannot be is told."""

from __future__ import annotations

import itertools
from typing import Any

import asyncpg
import httpx
import pytest

from ledger import audit
from tests.api_fixtures import Api, make_brand, make_keys
from tests.corrections.test_claw_backs import claw_back, redeem

CAMPAIGN: dict[str, Any] = {
    "id": "shop",
    "name": "Shop",
    "starts_at": "2026-01-01T00:00:00Z",
    "ends_at": "2099-01-01T00:00:00Z",
    "budget": 1_000,
    "class": "purchase",
    "rules": [
        {"action": "purchase", "points_per": {"points": 3, "minor_units": 100}},
        {"action": "purchase", "channel": "app", "points_per": {"points": 3, "minor_units": 100}, "hold_back_days": 14},
        {"action": "purchase", "channel": "pos", "points": 50},
        {"action": "click", "points": 5, "min_evidence": "A"},
    ],
}


@pytest.fixture
async def shop(api: Api) -> Api:
    admin = api.client("admin")
    (await admin.post("/v1/campaigns", json=CAMPAIGN)).raise_for_status()
    (await admin.patch("/v1/brand", json={"point_value": {"points": 2, "minor_units": 1}})).raise_for_status()
    return api


async def bought(api: Api, amount_minor: int | None = 1999, order: str = "order-1", **changed: Any) -> str:
    """Report a purchase; returns its grant's id."""
    event = {"campaign": "shop", "message_id": "m-1", "customer": {"id": "c-1"}, "action": "purchase", "channel": "web"}
    paid = {"amount_minor": amount_minor, "currency": "EUR", "order_ref": order}
    of_what = {} if amount_minor is None else {"purchase": paid}
    answer = await api.client("messaging").post("/v1/grants", json=event | of_what | changed)
    assert answer.is_success, answer.text
    return answer.json()["grant_id"]


async def returns(
    api: Api, grant: str, amount: int, name: str = "r-1", who: str = "storefront", **asked: Any
) -> httpx.Response:
    body = {"reference": name, "amount_minor": amount, "currency": "EUR"} | asked
    return await api.client(who).post(f"/v1/grants/{grant}/returns", json=body)


async def quoted(api: Api, grant: str, amount_minor: int) -> dict[str, Any]:
    body = {"amount_minor": amount_minor, "currency": "EUR"}
    answer = await api.client("storefront").post(f"/v1/grants/{grant}/returns/quote", json=body)
    return answer.raise_for_status().json()


def sums(answer: dict[str, Any]) -> tuple[int, ...]:
    """Points, taken, shortfall, still to be taken, and what is left of the purchase."""
    return tuple(answer[name] for name in ("points", "clawed_back", "shortfall", "outstanding", "left_minor"))


async def done(*args: Any, **changed: Any) -> dict[str, Any]:
    answer = await returns(*args, **changed)
    assert answer.is_success, answer.text
    return answer.json()


async def test_a_return_takes_back_what_it_earned(shop: Api, owner: asyncpg.Connection[Any]) -> None:
    grant = await bought(shop)
    answer = await returns(shop, grant, 500)
    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert told.pop("posted_at")
    assert told.pop("customer")
    assert told == {
        "correction_id": f"cor_{shop.brand.book.book_id:08x}{1:016x}",
        "grant_id": grant,
        "outcome": "returned",
        "amount_minor": 500,
        "currency": "EUR",
        "left_minor": 1499,
        # 59 of 19.99 less 44 of 14.99.
        "points": 15,
        "clawed_back": 15,
        "shortfall": 0,
        "outstanding": 0,
        "withheld_points": 0,
        "withheld_minor": 0,
        "balance": 44,
        "reason": "returned",
        "reference": "r-1",
        "seq": 3,
    }
    again = await returns(shop, grant, 500)
    assert (again.status_code, again.headers["Idempotency-Replayed"], again.json()) == (200, "true", answer.json())
    assert sums(await done(shop, grant, 1499, "r-2", reason="defect")) == (44, 44, 0, 0, 0)
    campaign = (await shop.client("admin").get("/v1/campaigns/shop")).json()
    assert campaign["budget"] == campaign["budget"] | {"granted": 0, "left": 1_000}
    assert [finding for finding in await audit(owner, shop.brand.book) if finding.violations] == []


async def test_parts_take_what_the_whole_would(shop: Api) -> None:
    for n, parts in enumerate(itertools.permutations((1, 33, 966, 999))):
        grant = await bought(shop, 1999, f"order-{n}")
        taken = [(await done(shop, grant, part, f"r-{part}"))["clawed_back"] for part in parts]
        assert sum(taken) == 59, parts


async def test_points_that_are_fixed_go_with_the_last_of_the_purchase(shop: Api) -> None:
    grant = await bought(shop, channel="pos")
    assert sums(await done(shop, grant, 1998)) == (0, 0, 0, 0, 1)
    assert sums(await done(shop, grant, 1, "r-2")) == (50, 50, 0, 0, 0)


async def test_later_versions_change_nothing(shop: Api) -> None:
    grant = await bought(shop)
    terms = {name: value for name, value in CAMPAIGN.items() if name not in {"id", "budget"}}
    generous = [{"action": "purchase", "points_per": {"points": 1, "minor_units": 1}}]
    (await shop.client("admin").post("/v1/campaigns/shop/versions", json=terms | {"rules": generous})).raise_for_status()
    assert sums(await done(shop, grant, 500)) == (15, 15, 0, 0, 1499)


async def test_what_was_set_aside_is_taken_when_it_is_released(shop: Api) -> None:
    """Authorize, return the goods, void: the points are not kept."""
    grant = await bought(shop)
    hold = await redeem(shop, "", "a-1", customer={"id": "c-1"}, points=59, order_ref="order-2")
    assert sums(await done(shop, grant, 1999)) == (59, 0, 59, 59, 0)
    voided = await redeem(shop, f"/{hold['redemption_id']}/void", "v-1")
    assert voided["balance"] == 0


async def test_who_pays_for_what_was_spent_keeps_it(shop: Api, owner: asyncpg.Connection[Any]) -> None:
    grant = await bought(shop)
    spent = await redeem(shop, "", "a-1", customer={"id": "c-1"}, points=59, order_ref="order-2", capture=True)
    asked = await quoted(shop, grant, 999)
    assert (asked["points"], asked["shortfall"], asked["withhold_minor"], asked["left_minor"]) == (29, 29, 14, 1999)
    told = await done(shop, grant, 999, withhold=True)
    assert (told["shortfall"], told["outstanding"], told["withheld_points"], told["withheld_minor"]) == (0, 0, 29, 14)
    # 59 points at half a cent are 29 cents, of which 14 were withheld: no order of parts loses a cent.
    assert (await quoted(shop, grant, 1000))["withhold_minor"] == 15
    # Points that were paid for are not taken, wherever they are.
    refunded = await redeem(shop, f"/{spent['redemption_id']}/refund", "f-1")
    assert refunded["balance"] == 59
    assert sums(await done(shop, grant, 1000, "r-2")) == (30, 30, 0, 0, 0)
    again = (await claw_back(shop, grant)).json()
    assert (again["clawed_back"], again["shortfall"], again["balance"]) == (0, 0, 29)
    assert [finding for finding in await audit(owner, shop.brand.book) if finding.violations] == []


async def test_no_more_is_withheld_than_is_refunded(shop: Api) -> None:
    (await shop.client("admin").patch("/v1/brand", json={"point_value": {"points": 1, "minor_units": 50}})).raise_for_status()
    grant = await bought(shop)
    await redeem(shop, "", "a-1", customer={"id": "c-1"}, points=59, order_ref="order-2", capture=True)
    assert (await quoted(shop, grant, 500))["withhold_minor"] == 500
    told = await done(shop, grant, 500, withhold=True)
    assert (told["points"], told["withheld_points"], told["withheld_minor"], told["shortfall"]) == (15, 10, 500, 5)


async def test_a_quote_says_what_the_return_then_does(shop: Api) -> None:
    grant = await bought(shop)
    await redeem(shop, "", "a-1", customer={"id": "c-1"}, points=50, order_ref="order-2", capture=True)
    for reference, amount in (("r-1", 100), ("r-2", 700), ("r-3", 1199)):
        asked = await quoted(shop, grant, amount)
        assert asked == await quoted(shop, grant, amount)
        told = await done(shop, grant, amount, reference)
        assert {name: told[name] for name in ("points", "clawed_back", "shortfall")} == {
            name: asked[name] for name in ("points", "clawed_back", "shortfall")
        }


async def test_what_was_taken_back_before_is_gone(shop: Api) -> None:
    grant = await bought(shop)
    (await claw_back(shop, grant, points=40)).raise_for_status()
    assert sums(await done(shop, grant, 999)) == (29, 19, 0, 0, 1000)
    assert sums(await done(shop, grant, 1000, "r-2")) == (30, 0, 0, 0, 0)


async def test_what_is_held_back_is_rejected_with_the_last_of_it(shop: Api) -> None:
    grant = await bought(shop, channel="app")
    part = await returns(shop, grant, 1998)
    assert (part.status_code, part.json()["code"]) == (409, "held_back")
    assert (await quoted(shop, grant, 1999))["outcome"] == "rejected"
    whole = await done(shop, grant, 1999)
    assert (whole["outcome"], whole["points"], whole["clawed_back"], whole["balance"]) == ("rejected", 59, 59, 0)
    assert (await returns(shop, grant, 1999)).status_code == 200


async def test_each_refusal_has_its_name(shop: Api, owner: asyncpg.Connection[Any]) -> None:
    grant = await bought(shop)
    (await returns(shop, grant, 1000)).raise_for_status()
    for amount, reference, code in ((999, "r-1", "return_exists"), (1000, "r-2", "return_exceeds_purchase")):
        answer = await returns(shop, grant, amount, reference)
        assert (answer.status_code, answer.json()["code"]) == (409, code)
    assert "999 minor units" in answer.json()["detail"]
    said = await shop.client("storefront").post(
        f"/v1/grants/{grant}/returns/quote", json={"amount_minor": 1000, "currency": "EUR"}
    )
    assert (said.status_code, said.json()["code"]) == (409, "return_exceeds_purchase")
    clicked = await bought(shop, None, action="click", evidence="A")
    weak = await bought(shop, None, action="click", evidence="D", message_id="m-2")
    for other in (clicked, weak):
        answer = await returns(shop, other, 1)
        assert (answer.status_code, answer.json()["code"]) == (409, "not_a_purchase")
    for unknown in (grant[:-1] + ("0" if grant[-1] != "0" else "1"), "grt_7"):
        missing = await returns(shop, unknown, 1)
        assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    refused = await returns(shop, grant, 1, "r-3", who="messaging")
    assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope")
    theirs = await make_keys(owner, await make_brand(owner, "other"))
    foreign = await shop.client(key=theirs["storefront"]).post(
        f"/v1/grants/{grant}/returns", json={"reference": "r-3", "amount_minor": 1, "currency": "EUR"}
    )
    assert (foreign.status_code, foreign.json()["code"]) == (404, "not_found")
    assert (await quoted(shop, grant, 999))["left_minor"] == 999


async def test_a_refused_purchase_has_nothing_to_return(shop: Api) -> None:
    grant = await bought(shop, 1_000_000)
    answer = await returns(shop, grant, 1)
    assert (answer.status_code, answer.json()["code"]) == (409, "not_granted")


@pytest.mark.parametrize(
    ("changed", "pointer"),
    [
        ({"currency": "USD"}, "/currency"),
        ({"currency": "eur"}, "/currency"),
        ({"amount_minor": 4.5}, "/amount_minor"),
        ({"amount_minor": 0}, "/amount_minor"),
        ({"amount_minor": -1}, "/amount_minor"),
        ({"reference": ""}, "/reference"),
        ({"points": 5}, "/points"),
    ],
)
async def test_a_return_is_refused_by_the_field_at_fault(shop: Api, changed: dict[str, Any], pointer: str) -> None:
    grant = await bought(shop)
    answer = await returns(shop, grant, 500, **changed)
    assert answer.status_code == 422, answer.text
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert (await quoted(shop, grant, 1999))["left_minor"] == 1999


async def test_nothing_is_withheld_before_points_have_a_value(api: Api) -> None:
    (await api.client("admin").post("/v1/campaigns", json=CAMPAIGN)).raise_for_status()
    grant = await bought(api)
    assert (await quoted(api, grant, 500))["withhold_minor"] is None
    answer = await returns(api, grant, 500, withhold=True)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/withhold")
