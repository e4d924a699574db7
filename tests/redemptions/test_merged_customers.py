"""A checkout whose customer becomes one with another between its steps: retries get their first answer, the rest is hers."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from tests.api_fixtures import Api
from tests.redemptions.test_redemptions_api import EARNED, act, authorize, shop

__all__ = ["shop"]

BOTH = 2 * EARNED


@pytest.fixture
async def second(api: Api, shop: httpx.AsyncClient) -> dict[str, str]:
    """Another customer with 100 points, who has an id of the brand's own too."""
    report = {"campaign": "autumn", "message_id": "m", "customer": {"id": "c-2"}, "action": "click", "channel": "email"}
    (await api.client("messaging").post("/v1/grants", json=report)).raise_for_status()
    return {"id": "c-2"}


async def merge(api: Api) -> None:
    """Let ``c-2`` be ``c-1``."""
    answer = await api.client("messaging").post("/v1/customers/c-1/merge", json={"from": {"id": "c-2"}})
    answer.raise_for_status()


async def balance(shop: httpx.AsyncClient) -> tuple[int, int]:
    answer: dict[str, Any] = (await shop.get("/v1/customers/c-1/balance")).json()
    return answer["balance"], answer["held"]


async def test_a_step_that_is_sent_again_after_the_merge_gets_its_first_answer(
    shop: httpx.AsyncClient, api: Api, second: dict[str, str]
) -> None:
    held = await authorize(shop, "a-1", customer=second)
    redemption = held.json()["redemption_id"]
    captured = await act(shop, redemption, "capture", "c-1", points=50, final=False, ref="invoice-1")
    refused = await authorize(shop, "a-2", customer=second, points=41)
    assert (refused.status_code, refused.json()["code"]) == (402, "insufficient_balance")
    await merge(api)

    again = [
        await authorize(shop, "a-1", customer=second),
        await act(shop, redemption, "capture", "c-1", points=50, final=False, ref="invoice-1"),
        await authorize(shop, "a-2", customer=second, points=41),
    ]
    assert [answer.headers["Idempotency-Replayed"] for answer in again] == ["true"] * 3
    assert [answer.content for answer in again[:2]] == [held.content, captured.content]
    assert again[2].json()["code"] == "insufficient_balance"
    assert await balance(shop) == (BOTH - 60, 10)


async def test_what_is_left_of_her_purchase_goes_to_who_she_is(
    shop: httpx.AsyncClient, api: Api, second: dict[str, str]
) -> None:
    redemption = (await authorize(shop, "a-1", customer=second)).json()["redemption_id"]
    await act(shop, redemption, "capture", "c-1", points=20, final=False)
    await merge(api)
    captured = (await act(shop, redemption, "capture", "c-2", points=30, ref="invoice-2")).json()
    assert (captured["status"], captured["captured"], captured["balance"]) == ("captured", 50, BOTH - 50)
    refunded = (await act(shop, redemption, "refund", "r-1")).json()
    assert (refunded["status"], refunded["balance"]) == ("refunded", BOTH)
    assert [(each["type"], each["points"], each["ref"]) for each in refunded["operations"]] == [
        ("authorize", 60, None),
        ("capture", 20, None),
        ("capture", 30, "invoice-2"),
        ("void", 10, None),
        ("refund", 50, None),
    ]
    for customer in ("c-1", "c-2"):
        found = (await shop.get("/v1/redemptions", params={"customer": customer})).json()["items"]
        assert [each["redemption_id"] for each in found] == [redemption]
    # All that the two have is hers now, under either id.
    assert (await authorize(shop, "a-3", customer=second, points=BOTH)).status_code == 201


async def test_checkouts_of_both_while_they_become_one_spend_what_there_is_and_no_more(
    shop: httpx.AsyncClient, api: Api, second: dict[str, str]
) -> None:
    tills = [authorize(shop, f"till-{n}", customer={"id": f"c-{1 + n % 2}"}, points=9, order_ref=f"o-{n}") for n in range(60)]
    first, _, rest = await asyncio.gather(asyncio.gather(*tills[:10]), merge(api), asyncio.gather(*tills[10:]))
    decided = [*first, *rest]
    assert {answer.status_code for answer in decided} == {201, 402}
    granted = sum(answer.status_code == 201 for answer in decided)
    assert await balance(shop) == (BOTH - 9 * granted, 9 * granted)
    assert granted == BOTH // 9
