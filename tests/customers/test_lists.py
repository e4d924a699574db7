"""Customers with points, and who loses some soon."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.reads import wallets
from tests.api_fixtures import Api
from tests.grants.test_grants_api import CAMPAIGN, CLICK

TERMS: dict[str, dict[str, Any]] = {
    "short": {"expires_after_months": 1, "rules": [{"action": "click", "points": 5}]},
    "long": {"expires_after_months": 3, "rules": [{"action": "click", "points": 7}]},
    "ever": {"expires_after_months": None, "rules": [{"action": "click", "points": 11}]},
}
EARNED = {"c-1": ("short",), "c-2": ("long", "ever"), "c-3": ("ever",), "c-4": ("short", "long"), "c-5": ("short",)}
"""On 10 March 2031, so that `short` lasts until the end of April and `long` of June."""


@pytest.fixture
async def rich(api: Api) -> Api:
    admin = api.client("admin")
    (await admin.post("/v1/test/clock/advance", json={"to": "2031-03-10T12:00:00Z"})).raise_for_status()
    for name, terms in TERMS.items():
        (await admin.post("/v1/campaigns", json=CAMPAIGN | terms | {"id": name, "budget": 1_000})).raise_for_status()
    for customer, campaigns in EARNED.items():
        for name in campaigns:
            act = CLICK | {"campaign": name, "customer": {"id": customer}}
            (await api.client("messaging").post("/v1/grants", json=act)).raise_for_status()
    await redeem(api, "c-5", 5, expires_in_s=86_400)
    return api


async def redeem(api: Api, customer: str, points: int, **changed: Any) -> None:
    body = {"customer": {"id": customer}, "points": points, "order_ref": "order"} | changed
    answer = await api.client("storefront").post("/v1/redemptions", json=body, headers={"Idempotency-Key": customer})
    answer.raise_for_status()


async def listed(api: Api, limit: int = 2, **query: Any) -> list[tuple[int, int, str | None]]:
    """All pages: what each has, what of it expires by the day, and the next day on which some does."""
    found: list[Any] = []
    after: dict[str, str] = {}
    while True:
        answer = await api.client("storefront").get("/v1/customers", params={"limit": limit, **query, **after})
        assert answer.status_code == 200, answer.text
        assert len(answer.json()["items"]) <= limit
        found += answer.json()["items"]
        if answer.json()["next"] is None:
            assert [each["customer"] for each in found] == sorted({each["customer"] for each in found})
            return [(each["spendable"], each["expiring"], each["next_expiry_on"]) for each in found]
        after = {"after": answer.json()["next"]}


C_1, C_2, C_3, C_4 = (5, 0, "2031-04-30"), (18, 0, "2031-06-30"), (11, 0, None), (12, 0, "2031-04-30")


@pytest.mark.parametrize("walked", [1, 3, 10_000])
async def test_who_loses_points_by_a_day_is_listed_with_how_many(
    rich: Api, monkeypatch: pytest.MonkeyPatch, walked: int
) -> None:
    monkeypatch.setattr(wallets, "WALLETS_MAX", walked)
    assert await listed(rich) == [C_1, C_2, C_3, C_4]  # the points of c-5 are held
    assert await listed(rich, expires_by="2031-04-29") == []
    assert await listed(rich, expires_by="2031-04-30") == [(5, 5, "2031-04-30"), (12, 5, "2031-04-30")]
    assert await listed(rich, expires_by="2031-06-30") == [
        (5, 5, "2031-04-30"),
        (18, 7, "2031-06-30"),
        (12, 12, "2031-04-30"),
    ]


async def test_what_is_due_counts_though_nobody_has_posted_it(rich: Api) -> None:
    """A hold that timed out gave its points back; and at midnight those of April are gone."""
    admin = rich.client("admin")
    (await admin.post("/v1/test/clock/advance", json={"to": "2031-03-20T12:00:00Z"})).raise_for_status()
    assert await listed(rich, expires_by="2031-04-30") == [(5, 5, "2031-04-30"), (12, 5, "2031-04-30"), (5, 5, "2031-04-30")]
    (await admin.post("/v1/test/clock/advance", json={"to": "2031-04-30T22:00:00Z"})).raise_for_status()
    assert await listed(rich) == [C_2, C_3, (7, 0, "2031-06-30")]


async def test_what_was_spent_or_merged_away_is_nobodys(rich: Api) -> None:
    await redeem(rich, "c-1", 5)
    admin = rich.client("admin")
    (await admin.post("/v1/customers/c-2/merge", json={"from": {"id": "c-3"}})).raise_for_status()
    assert await listed(rich) == [(29, 0, "2031-06-30"), C_4]


@pytest.mark.parametrize(("query", "pointer"), [({"expires_by": "soon"}, "?expires_by"), ({"expires": "x"}, "?expires")])
async def test_a_filter_that_says_nothing_is_named(api: Api, query: dict[str, str], pointer: str) -> None:
    refused = (await api.client("storefront").get("/v1/customers", params=query)).json()
    assert (refused["status"], refused["errors"][0]["pointer"]) == (422, pointer)
