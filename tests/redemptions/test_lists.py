"""Lists of redemptions by any combination of filters; and filters that say nothing, refused by name."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest

from ledger.reads import redemptions
from tests.api_fixtures import Api
from tests.grants.test_grants_api import CAMPAIGN, CLICK

DAYS = ("2031-03-01", "2031-03-02", "2031-03-03")
FILTERS: dict[str, tuple[str, ...]] = {
    "customer": ("c-1", "c-2", "nobody"),
    "order_ref": ("order-1", "order-2"),
    "store_id": ("Mitte", "Nord", "closed long ago"),
    "terminal_id": ("till 1", "till 2"),
    "status": ("authorized", "captured", "voided"),
    "from": DAYS,
    "to": DAYS,
}


@pytest.fixture
async def sold(api: Api) -> dict[str, Mapping[str, Any]]:
    """Redemptions of three days, by id, newest first: as they are answered, with what was sent and the day."""
    dice = random.Random(5)
    admin, shop = api.client("admin"), api.client("storefront")
    rules = [{"action": "click", "points": 5_000}]
    (await admin.post("/v1/campaigns", json=CAMPAIGN | {"budget": 100_000, "rules": rules})).raise_for_status()
    (await admin.post("/v1/test/clock/advance", json={"to": f"{DAYS[0]}T08:00:00Z"})).raise_for_status()
    for customer in ("c-1", "c-2"):
        (await api.client("messaging").post("/v1/grants", json=CLICK | {"customer": {"id": customer}})).raise_for_status()
    made: dict[str, Mapping[str, Any]] = {}
    for day in DAYS:
        (await admin.post("/v1/test/clock/advance", json={"to": f"{day}T09:00:00Z"})).raise_for_status()
        for n in range(15):
            sent: dict[str, Any] = {
                "customer": {"id": dice.choice(("c-1", "c-2"))},
                "points": 10,
                "order_ref": f"order-{dice.randrange(6)}",
                "store_id": dice.choice(("Mitte", "Nord", None)),
                "terminal_id": dice.choice(("till 1", "till 2", None)),
                "capture": dice.random() < 0.4,
            }
            answer = await shop.post("/v1/redemptions", json=sent, headers={"Idempotency-Key": f"{day} {n}"})
            redemption = answer.json()["redemption_id"]
            if not sent["capture"] and dice.random() < 0.5:
                (await shop.post(f"/v1/redemptions/{redemption}/void", json={})).raise_for_status()
            made[redemption] = {**sent, "day": day, "customer": sent["customer"]["id"]}
    for redemption in made:
        made[redemption] = {**made[redemption], "status": (await shop.get(f"/v1/redemptions/{redemption}")).json()["status"]}
    return dict(reversed(made.items()))


async def listed(api: Api, query: Mapping[str, Any], limit: int) -> list[str]:
    """The ids on all pages of a list."""
    found: list[str] = []
    after: dict[str, str] = {}
    while True:
        answer = await api.client("storefront").get("/v1/redemptions", params={**query, **after, "limit": limit})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page["items"]) <= limit
        found += [item["redemption_id"] for item in page["items"]]
        if page["next"] is None:
            return found
        after = {"after": page["next"]}


async def test_any_combination_lists_what_is_so_and_is_narrow_enough(
    api: Api, sold: dict[str, Mapping[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redemptions, "SCAN_ROWS_MAX", 7)  # so that pages end where nothing was found yet
    dice = random.Random(3)
    found = 0
    for _ in range(80):
        query = {name: dice.choice(values) for name, values in FILTERS.items() if dice.random() < 0.3}
        if query.get("from", "") > query.get("to", "9"):
            continue
        if "terminal_id" in query:
            query = {"store_id": "Mitte"} | query
        days = (query.get("from", ""), query.get("to", "9"))
        wanted = {name: value for name, value in query.items() if name not in ("from", "to")}
        expected = [
            redemption
            for redemption, its in sold.items()
            if days[0] <= its["day"] <= days[1] and all(its[name] == value for name, value in wanted.items())
        ]
        assert await listed(api, query, dice.choice((1, 3, 1_000))) == expected, query
        found += bool(expected)
    assert found > 20


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"from": "March"}, "?from"),
        ({"from": DAYS[1], "to": DAYS[0]}, "?to"),
        ({"shop": "Mitte"}, "?shop"),
        ({"day": DAYS[0], "to": DAYS[0]}, "?day"),
    ],
)
async def test_a_filter_that_says_nothing_is_named(api: Api, query: dict[str, str], pointer: str) -> None:
    refused = (await api.client("storefront").get("/v1/redemptions", params=query)).json()
    assert (refused["status"], refused["errors"][0]["pointer"]) == (422, pointer)
