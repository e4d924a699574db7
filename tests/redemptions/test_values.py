"""What points pay of a purchase: in points, in money, or all there is; and what is rounded, and how."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any

import asyncpg
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import PointValue
from tests.api_fixtures import Api
from tests.redemptions.test_redemptions_api import EARNED, act, authorize, shop

__all__ = ["shop"]


async def set_worth(api: Api, points: int, minor_units: int) -> None:
    """Say what points are worth."""
    admin = api.client("admin")
    brand = (await admin.get("/v1/brand")).json()
    value = {"points": points, "minor_units": minor_units}
    (await admin.put("/v1/brand", json=brand | {"point_value": value, "point_value_version": None})).raise_for_status()


async def quote(shop: httpx.AsyncClient, **asked: Any) -> Any:
    return (await shop.post("/v1/redemptions/quote", json={"customer": {"id": "c-1"}} | asked)).json()


async def redeem(shop: httpx.AsyncClient, key: str, **asked: Any) -> httpx.Response:
    body: dict[str, Any] = {"customer": {"id": "c-1"}, "order_ref": "order-1"}
    return await shop.post("/v1/redemptions", json=body | asked, headers={"Idempotency-Key": key})


terms = st.integers(1, 1_000_000_000)


@given(points=terms, minor_units=terms, asked=st.integers(1, 1_000_000_000_000))
def test_the_fewest_points_that_are_worth_it_are_worth_it(points: int, minor_units: int, asked: int) -> None:
    worth = PointValue(points, minor_units)
    needed = worth.points_for(asked)
    assert needed >= 1
    assert worth.worth(needed) >= asked > worth.worth(needed - 1)


WORTH = [  # points are minor units; asked; taken, pays
    ((100, 50), {"points": 60}, 60, 30),
    ((100, 50), {"points": 61}, 61, 30),
    ((100, 50), {"points": "max"}, 100, 50),
    ((100, 50), {"value": 30}, 60, 30),
    ((3, 1), {"points": 5}, 5, 1),
    ((3, 1), {"points": 3}, 3, 1),
    ((3, 1), {"value": 7}, 21, 7),
    ((3, 2), {"value": 7}, 11, 7),
    ((1, 5), {"points": 4}, 4, 20),
    ((1, 5), {"value": 12}, 3, 12),
    ((7, 999), {"points": "max"}, 100, 14271),
]


@pytest.mark.parametrize(("worth", "asked", "points", "value"), WORTH)
async def test_a_quote_is_what_a_redemption_then_does(
    shop: httpx.AsyncClient, api: Api, worth: tuple[int, int], asked: dict[str, Any], points: int, value: int
) -> None:
    await set_worth(api, *worth)
    quoted = await quote(shop, **asked)
    assert (quoted["points"], quoted["value"], quoted["spendable"], quoted["balance"]) == (points, value, True, EARNED)
    assert (quoted["balance_value"], quoted["currency"]) == (EARNED * worth[1] // worth[0], "EUR")
    assert (await quote(shop, **asked)) == quoted, "a quote holds nothing"
    made = (await redeem(shop, "a", **asked)).json()
    assert (made["authorized"], made["value"], made["balance"]) == (points, value, EARNED - points)


async def test_without_a_value_points_are_all_there_is_to_say(shop: httpx.AsyncClient) -> None:
    quoted = await quote(shop, points=60)
    assert (quoted["value"], quoted["balance_value"], quoted["spendable"]) == (None, None, True)
    made = (await authorize(shop)).json()
    assert (made["value"], made["captured_value"], made["refunded_value"]) == (None, None, None)
    refused = await redeem(shop, "b", value=5)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/value")


@pytest.mark.parametrize(
    "asked", [{}, {"points": 1, "value": 1}, {"points": "all"}, {"points": 0}, {"value": 0}, {"value": 0.5}]
)
async def test_exactly_one_of_points_and_value_is_given(shop: httpx.AsyncClient, api: Api, asked: dict[str, Any]) -> None:
    await set_worth(api, 1, 1)
    for answer in (
        await redeem(shop, "a", **asked),
        await shop.post("/v1/redemptions/quote", json={"customer": {"id": "c-1"}} | asked),
    ):
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_field")


async def test_a_value_that_takes_too_many_points_is_refused(shop: httpx.AsyncClient, api: Api) -> None:
    await set_worth(api, 1_000_000_000, 1)
    answer = await redeem(shop, "a", value=2)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/value")


async def test_a_quote_says_when_there_is_too_little(shop: httpx.AsyncClient, api: Api) -> None:
    await set_worth(api, 100, 50)
    short = await quote(shop, points=101)
    assert (short["points"], short["value"], short["spendable"], short["balance"]) == (101, 50, False, EARNED)
    stranger = await quote(shop, customer={"id": "stranger"}, points="max")
    assert (stranger["points"], stranger["value"], stranger["spendable"], stranger["balance"]) == (0, 0, False, 0)
    unconfirmed = await shop.post("/v1/redemptions/quote", json={"customer": {"email": "ada@example.org"}, "points": "max"})
    assert (unconfirmed.status_code, unconfirmed.json()["code"]) == (409, "customer_not_confirmed")


async def test_max_takes_what_is_there_when_it_is_taken(shop: httpx.AsyncClient, api: Api) -> None:
    await set_worth(api, 100, 50)
    answers = await asyncio.gather(
        *(redeem(shop, f"some-{n}", points=7) for n in range(5)), *(redeem(shop, f"max-{n}", points="max") for n in range(5))
    )
    taken = [answer.json()["authorized"] for answer in answers if answer.status_code == 201]
    assert sum(taken) == EARNED
    assert {answer.status_code for answer in answers} <= {201, 402}
    nothing = await redeem(shop, "late", points="max")
    assert (nothing.status_code, nothing.json()["code"]) == (402, "insufficient_balance")


async def test_a_retry_of_max_gets_the_same_points_though_there_are_others_now(shop: httpx.AsyncClient, api: Api) -> None:
    await set_worth(api, 100, 50)
    first = await redeem(shop, "a", points="max")
    await set_worth(api, 100, 60)
    again = await redeem(shop, "a", points="max")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.content == again.content
    assert (await redeem(shop, "a", points=EARNED)).json()["code"] == "idempotency_key_reused"


async def test_a_redemption_keeps_the_value_it_was_made_with(shop: httpx.AsyncClient, api: Api) -> None:
    await set_worth(api, 100, 50)
    made = (await authorize(shop)).json()
    await set_worth(api, 100, 10)
    captured = (await act(shop, made["redemption_id"], "capture", "c")).json()
    assert (captured["value"], captured["captured_value"]) == (30, 30)
    assert (await redeem(shop, "b", points=40)).json()["value"] == 4


async def test_parts_of_a_value_add_up_to_the_whole(shop: httpx.AsyncClient, api: Api) -> None:
    await set_worth(api, 3, 1)  # 61 points pay 20
    made = (await redeem(shop, "a", points=61)).json()
    redemption = made["redemption_id"]
    assert (made["value"], made["captured_value"], made["refunded_value"]) == (20, 0, 0)
    steps: list[tuple[str, dict[str, Any], int, int]] = [
        ("capture", {"points": 20, "final": False}, 6, 0),
        ("capture", {}, 20, 0),
        ("refund", {"points": 1}, 20, 1),
        ("refund", {"points": 30}, 20, 11),
        ("refund", {}, 20, 20),
    ]
    for n, (operation, body, captured, refunded) in enumerate(steps):
        after = (await act(shop, redemption, operation, f"step-{n}", **body)).json()
        assert (after["value"], after["captured_value"], after["refunded_value"]) == (20, captured, refunded), operation
    assert (await shop.get(f"/v1/redemptions/{redemption}")).json()["refunded_value"] == 20


async def test_a_capture_after_a_refund_leaves_what_went_back(shop: httpx.AsyncClient, api: Api) -> None:
    await set_worth(api, 3, 1)  # 10 points pay 3
    made = (await redeem(shop, "a", points=10)).json()
    steps: list[tuple[str, dict[str, Any], int, int]] = [
        ("capture", {"points": 7, "final": False}, 2, 0),
        ("refund", {"points": 1}, 2, 1),
        ("capture", {"points": 1, "final": False}, 2, 1),
        ("refund", {"points": 2}, 2, 1),
        ("capture", {}, 3, 1),
        ("refund", {}, 3, 3),
    ]
    for n, (operation, body, captured, refunded) in enumerate(steps):
        after = (await act(shop, made["redemption_id"], operation, f"step-{n}", **body)).json()
        assert (after["captured_value"], after["refunded_value"]) == (captured, refunded), operation


async def test_the_log_commits_to_the_value_also_when_the_database_computed_it(
    shop: httpx.AsyncClient, api: Api, owner: asyncpg.Connection[Any]
) -> None:
    await redeem(shop, "none", points=1)
    await set_worth(api, 3, 1)
    for n, asked in enumerate(({"points": 7}, {"value": 3}, {"points": "max"})):
        (await redeem(shop, f"key-{n}", **asked, order_ref='"ö"\\', store_id="s")).raise_for_status()
    rows = await owner.fetch(
        """
        SELECT redemption.*, transfer.details_hash FROM ledger.redemption
        JOIN ledger.transfer ON transfer.book_id = redemption.book_id AND transfer.seq = redemption.id
        ORDER BY redemption.id
        """
    )
    assert [row["value"] for row in rows] == [None, 2, 3, 27]
    for row in rows:
        rest = json.dumps([2, row["value"], row["store_id"], row["terminal_id"]], separators=(",", ":"))
        personal = hashlib.sha256(row["salt"] + b"\0" + row["order_ref"].encode()).digest()
        assert hashlib.sha256(rest.encode() + personal).digest() == row["details_hash"]


WORTH_NOTHING = [  # points are minor units; asked; the fewest points that are worth something
    ((3, 1), {"points": 2}, 3),
    ((3, 1), {"points": 1, "capture": True}, 3),
    ((1_000, 7), {"points": 99}, 143),
    ((1_000, 7), {"points": "max"}, 143),
]


@pytest.mark.parametrize(("worth", "asked", "least"), WORTH_NOTHING)
async def test_points_are_not_taken_for_nothing(
    shop: httpx.AsyncClient, api: Api, worth: tuple[int, int], asked: dict[str, Any], least: int
) -> None:
    await set_worth(api, *worth)
    quoted = await quote(shop, points=asked["points"])
    assert (quoted["value"], quoted["spendable"], quoted["least_points"]) == (0, False, least)
    refused = await redeem(shop, "a", **asked)
    (error,) = refused.json()["errors"]
    assert (refused.status_code, error["pointer"], error["code"]) == (422, "/points", "invalid_field")
    assert error["detail"].startswith(f"must be at least {least}:")
    assert (await shop.get("/v1/customers/c-1/balance")).json()["balance"] == EARNED
    # It was not decided, so with other points it may be asked under the same key.
    await set_worth(api, 1, 1)
    assert (await redeem(shop, "a", points=least if least < EARNED else 1)).status_code == 201


async def test_the_last_capture_takes_at_least_what_is_worth_something(shop: httpx.AsyncClient, api: Api) -> None:
    await set_worth(api, 3, 1)
    held = (await redeem(shop, "a", points=61)).json()["redemption_id"]
    refused = await act(shop, held, "capture", "c-1", points=3)
    assert (refused.status_code, refused.json()["errors"][0]["detail"].split(":")[0]) == (422, "must be at least 4")
    first = (await act(shop, held, "capture", "c-2", points=1, final=False)).json()
    assert (first["status"], first["captured_value"]) == ("partially_captured", 0)
    refused = await act(shop, held, "capture", "c-1", points=2)
    assert (refused.status_code, refused.json()["errors"][0]["detail"].split(":")[0]) == (422, "must be at least 3")
    last = (await act(shop, held, "capture", "c-1", points=3)).json()
    assert (last["status"], last["captured"], last["captured_value"]) == ("captured", 4, 1)


async def test_what_was_decided_at_another_value_is_answered_again(shop: httpx.AsyncClient, api: Api) -> None:
    await set_worth(api, 1, 1)
    by_value = await redeem(shop, "by value", value=10)
    by_points = await redeem(shop, "by points", points=2)
    await set_worth(api, 1_000_000_000, 1)
    for key, asked, first in (("by value", {"value": 10}, by_value), ("by points", {"points": 2}, by_points)):
        again = await redeem(shop, key, **asked)
        assert (again.status_code, again.content) == (200, first.content)
