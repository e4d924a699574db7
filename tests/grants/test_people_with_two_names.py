"""What waits, is held back, was refused or was sent as a link, when its customer turns out to be another: paid once, to her.

Steps go by turns to two API processes, so that what one of them remembers of her is out of date.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from itertools import permutations
from typing import Any

import asyncpg
import pytest

from ledger import audit
from service.finance.cap_audit import audit_caps
from tests.api_fixtures import BASE_URL, Api, another

CAMPAIGN: dict[str, Any] = {
    "id": "autumn",
    "name": "Autumn",
    "starts_at": "2026-01-01T00:00:00Z",
    "ends_at": "2099-01-01T00:00:00Z",
    "budget": 1_000,
    "rules": [
        {"action": "open", "points": 1},
        {"action": "click", "points": 5},
        {"action": "review", "points": 50, "hold_back_days": 14},
    ],
    "caps": [{"per": "customer", "window": "rolling_day", "action": "review", "max_grants": 1}],
}
Names = dict[str, str]


@pytest.fixture
async def processes(api: Api) -> AsyncGenerator[tuple[Api, Api]]:
    """Two API processes on one database, with a campaign."""
    (await api.client("admin").post("/v1/campaigns", json=CAMPAIGN)).raise_for_status()
    async with another(api) as other:
        yield api, other


async def report(api: Api, who: Names, action: str, **changed: Any) -> dict[str, Any]:
    item = {"campaign": "autumn", "message_id": "m-1", "customer": who, "action": action, "channel": "email"}
    answer = await api.client("messaging").post("/v1/grants", json=item | changed)
    assert answer.is_success, answer.text
    return answer.json()


async def merge(api: Api, own_id: str, name: Names) -> None:
    answer = await api.client("messaging").post(f"/v1/customers/{own_id}/merge", json={"from": name})
    assert answer.is_success, answer.text


async def balance(api: Api, own_id: str) -> tuple[int, int]:
    """What she can spend, and what is pending."""
    answer = (await api.client("storefront").get(f"/v1/customers/{own_id}/balance")).raise_for_status().json()
    return answer["balance"], answer["pending"]


async def check(api: Api, owner: asyncpg.Connection[Any]) -> None:
    findings = [*await audit(owner, api.brand.book), await audit_caps(owner, api.brand)]
    assert [finding for finding in findings if finding.violations] == []


async def test_an_open_under_one_name_and_a_click_under_the_other_in_every_order(
    processes: tuple[Api, Api], owner: asyncpg.Connection[Any]
) -> None:
    for n, order in enumerate(permutations(("open", "click", "merge", "machine"))):
        who, email = {"id": f"c-{n}"}, {"email": f"c-{n}@example.org"}
        for process in processes:
            # Both know her under both names, as two.
            await report(process, who, "open", message_id="m-0")
            await report(process, email, "open", message_id="m-0")
        for turn, step in enumerate(order):
            process = processes[turn % 2]
            if step == "open":
                await report(process, email, "open")
            elif step == "click":
                await report(process, who, "click", evidence="B")
            elif step == "machine":
                await report(process, email, "click", evidence="X")
            else:
                await merge(process, who["id"], email)
        # What waited when the two became one is paid with the next report of it.
        for process in processes:
            for name in (email, who):
                await report(process, name, "open")
                assert (await report(process, name, "click", evidence="B"))["replayed"] is True
        assert await balance(processes[0], who["id"]) == (6, 0), order
    await check(processes[0], owner)


@pytest.mark.parametrize(("how", "end"), [("mature", (50, 0)), ("reject", (0, 0))])
@pytest.mark.parametrize("merged_first", [True, False])
async def test_what_was_held_back_for_one_is_settled_for_the_other(
    processes: tuple[Api, Api], owner: asyncpg.Connection[Any], how: str, end: tuple[int, int], merged_first: bool
) -> None:
    first, second = processes
    await report(second, {"id": "c-1"}, "click")
    held = await report(first, {"email": "c-1@example.org"}, "review")
    path = f"/v1/grants/{held['grant_id']}/{how}"
    if not merged_first:
        assert (await first.client("approver").post(path)).status_code == 201
    await merge(first, "c-1", {"email": "c-1@example.org"})
    if merged_first:
        assert await balance(second, "c-1") == (5, 50)
        assert (await second.client("approver").post(path)).status_code == 201
    assert await balance(second, "c-1") == (end[0] + 5, end[1])
    again = await report(second, {"id": "c-1"}, "review")
    assert (again["replayed"], again["grant_id"]) == (True, held["grant_id"])
    await check(first, owner)


async def test_what_was_refused_to_one_is_paid_to_the_other_when_redecided(
    processes: tuple[Api, Api], owner: asyncpg.Connection[Any]
) -> None:
    first, second = processes
    poor = CAMPAIGN | {"id": "poor", "budget": 1}
    (await first.client("admin").post("/v1/campaigns", json=poor)).raise_for_status()
    await report(first, {"id": "c-1"}, "open", campaign="poor")
    refused = await report(second, {"email": "c-1@example.org"}, "click", campaign="poor")
    assert refused["reason"] == "budget_exhausted"
    await merge(first, "c-1", {"email": "c-1@example.org"})
    body, headers = {"points": 100}, {"Idempotency-Key": "more"}
    (await first.client("finance").post("/v1/campaigns/poor/fund", json=body, headers=headers)).raise_for_status()
    for process, granted in ((second, 1), (first, 0)):
        answer = (await process.client("approver").post("/v1/campaigns/poor/redecide", json={})).raise_for_status()
        assert answer.json()["granted"] == granted
    assert await balance(first, "c-1") == (5, 0)
    await check(first, owner)


@pytest.mark.parametrize("claimed_first", [True, False])
async def test_a_link_that_was_sent_to_one_pays_the_other(
    processes: tuple[Api, Api], owner: asyncpg.Connection[Any], claimed_first: bool
) -> None:
    first, second = processes
    await report(first, {"id": "c-1"}, "open")
    link = {
        "campaign": "autumn",
        "message_id": "m-1",
        "customer": {"email": "c-1@example.org"},
        "action": "click",
        "channel": "email",
        "destination": "https://shop.example/autumn",
    }
    answer = await first.client("messaging").post("/v1/links", json={"links": [link]})
    path = answer.json()["results"][0]["url"].removeprefix(BASE_URL)
    if claimed_first:
        await second.client(None).post(path, follow_redirects=True)
    await merge(first, "c-1", {"email": "c-1@example.org"})
    for process in (second, first):
        page = await process.client(None).post(path, follow_redirects=True)
        assert page.status_code == 200
    assert "You already have these" in (await second.client(None).get(path)).text
    assert (await report(second, {"id": "c-1"}, "click"))["replayed"] is True
    # The open of the one waited for a person; the claim proves her, before or after the two became one.
    await report(second, {"id": "c-1"}, "open")
    assert await balance(first, "c-1") == (6, 0)
    await check(first, owner)
