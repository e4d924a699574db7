"""Who pauses is obeyed: at once by the process that answers, and by every other within a second.

What is new is known everywhere at once.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncGenerator
from typing import Any

import asyncpg
import pytest

from tests.api_fixtures import Api, another

pytestmark = pytest.mark.one_process("has a second process of its own")

CAMPAIGN: dict[str, Any] = {
    "id": "autumn",
    "name": "Autumn",
    "starts_at": "2026-01-01T00:00:00Z",
    "ends_at": "2099-01-01T00:00:00Z",
    "budget": 1_000_000,
    "rules": [{"action": "click", "points": 10}],
}
REPORTERS = 48
DECIDED_FIRST = 100
OBEYED_ELSEWHERE_WITHIN_S = 1.0


@pytest.fixture
async def other(api: Api) -> AsyncGenerator[Api]:
    async with another(api) as other:
        yield other


async def create(api: Api, **changed: Any) -> None:
    (await api.client("admin").post("/v1/campaigns", json=CAMPAIGN | changed)).raise_for_status()


async def report(api: Api, message_id: str, **changed: Any) -> dict[str, Any]:
    sent = {"campaign": "autumn", "message_id": message_id, "customer": {"id": "c"}, "action": "click", "channel": "email"}
    return (await api.client("messaging").post("/v1/grants", json=sent | changed)).json()


async def decided(owner: asyncpg.Connection[Any]) -> int:
    return await owner.fetchval("SELECT count(*) FROM ledger.event")


async def test_nothing_is_paid_after_pause_has_answered(api: Api, owner: asyncpg.Connection[Any]) -> None:
    await create(api)
    numbers = itertools.count()
    stopped, in_full_swing = asyncio.Event(), asyncio.Event()

    async def keep_reporting() -> list[str]:
        outcomes: list[str] = []
        while not stopped.is_set():
            number = next(numbers)
            outcomes.append((await report(api, f"m-{number}"))["outcome"])
            if number > DECIDED_FIRST:
                in_full_swing.set()
        return outcomes

    reporting = [asyncio.create_task(keep_reporting()) for _ in range(REPORTERS)]
    await in_full_swing.wait()
    (await api.client("admin").post("/v1/campaigns/autumn/pause")).raise_for_status()
    then = await decided(owner)
    # All at once: while one waited for the next, the reporters sent a hundred times as much.
    late = await asyncio.gather(*(report(api, f"late-{n}") for n in range(2 * REPORTERS)))
    assert {each["reason"] for each in late} == {"campaign_paused"}
    stopped.set()
    outcomes = [outcome for of_one in await asyncio.gather(*reporting) for outcome in of_one]
    assert await decided(owner) == then
    assert outcomes.count("granted") == then

    (await api.client("admin").post("/v1/campaigns/autumn/resume")).raise_for_status()
    assert (await report(api, "late-0"))["outcome"] == "granted"


async def test_pause_is_obeyed_elsewhere_within_a_second_and_resume_at_once(api: Api, other: Api) -> None:
    await create(api)
    assert (await report(other, "before"))["outcome"] == "granted"
    (await api.client("admin").post("/v1/campaigns/autumn/pause")).raise_for_status()
    answered_at = time.monotonic()
    for n in itertools.count():
        arrived_after_s = time.monotonic() - answered_at
        outcome = (await report(other, f"m-{n}"))["outcome"]
        if arrived_after_s > OBEYED_ELSEWHERE_WITHIN_S:
            assert outcome == "ignored"
            break
    (await api.client("admin").post("/v1/campaigns/autumn/resume")).raise_for_status()
    assert (await report(other, "after"))["outcome"] == "granted"


async def test_a_new_campaign_is_known_to_every_process_that_was_asked_for_it_a_moment_before(api: Api, other: Api) -> None:
    for each in (api, other):
        assert (await report(each, "early"))["code"] == "unknown_campaign"
    await create(api)
    for n, each in enumerate((api, other)):
        assert (await report(each, f"m-{n}"))["outcome"] == "granted"


async def test_what_a_new_version_pays_for_is_paid_and_minted_by_every_process_at_once(api: Api, other: Api) -> None:
    await create(api)
    for each in (api, other):
        assert (await report(each, "early", action="reply"))["reason"] == "no_rule"
    terms = {name: value for name, value in CAMPAIGN.items() if name not in {"id", "budget"}}
    rules = [*CAMPAIGN["rules"], {"action": "reply", "points": 20}, {"action": "share", "points": 5}]
    (await api.client("admin").post("/v1/campaigns/autumn/versions", json=terms | {"rules": rules})).raise_for_status()
    for n, each in enumerate((api, other)):
        assert (await report(each, f"m-{n}", action="reply"))["outcome"] == "granted"
    link = {"campaign": "autumn", "message_id": "m", "customer": {"id": "c"}, "action": "share"}
    minted = await other.client("messaging").post(
        "/v1/links", json={"links": [link | {"destination": "https://shop.example/"}]}
    )
    assert minted.json()["results"][0]["status"] == 201, minted.text


async def test_what_a_brand_is_allowed_now_is_allowed_by_every_process_at_once(api: Api, other: Api) -> None:
    await create(api)
    links = {
        "links": [
            {
                "campaign": "autumn",
                "message_id": "m",
                "customer": {"id": "c"},
                "action": "click",
                "destination": "https://new.example/",
            }
        ]
    }
    await report(other, "m")
    refused = await other.client("messaging").post("/v1/links", json=links)
    assert refused.json()["results"][0]["problem"]["errors"][0]["pointer"] == "/destination"
    by_value = {"customer": {"id": "c"}, "value": 1}
    assert (await other.client("storefront").post("/v1/redemptions/quote", json=by_value)).status_code == 422

    brand = (await api.client("admin").get("/v1/brand")).json()
    changed = {"destination_hosts": ["shop.example", "new.example"], "point_value": {"points": 1, "minor_units": 1}}
    (await api.client("admin").put("/v1/brand", json=brand | changed)).raise_for_status()
    minted = await other.client("messaging").post("/v1/links", json=links)
    assert minted.json()["results"][0]["status"] == 201, minted.text
    assert (await other.client("storefront").post("/v1/redemptions/quote", json=by_value)).json()["points"] == 1
