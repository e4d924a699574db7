"""Deciding refusals anew: after a budget or a cap was raised, in order, by the terms of their time, and each paid once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from ledger import audit
from service.finance.cap_audit import audit_caps
from tests.api_fixtures import Api
from tests.processes import REMEMBERED_S

pytestmark = pytest.mark.usefixtures("remembers_shortly")

CAMPAIGN: dict[str, Any] = {
    "id": "autumn",
    "name": "Autumn",
    "starts_at": "2026-01-01T00:00:00Z",
    "ends_at": "2099-01-01T00:00:00Z",
    "budget": 10,
    "rules": [{"action": "click", "points": 5}],
    "caps": [{"per": "customer", "window": "day", "max_grants": 3}],
}
TERMS = {name: value for name, value in CAMPAIGN.items() if name not in {"id", "budget"}}


@pytest.fixture
async def autumn(api: Api) -> Api:
    (await api.client("admin").post("/v1/campaigns", json=CAMPAIGN)).raise_for_status()
    return api


async def click(api: Api, *people: str, message_id: str = "m-1", **changed: Any) -> list[str]:
    """What is decided on a click of each."""
    batch = [
        {
            "campaign": "autumn",
            "message_id": message_id,
            "customer": {"id": who},
            "action": "click",
            "channel": "sms",
            **changed,
        }
        for who in people
    ]
    results = (await api.client("messaging").post("/v1/grants/batch", json=batch)).json()["results"]
    return [result["reason"] or result["outcome"] for result in results]


async def redecide(api: Api, **asked: Any) -> dict[str, Any]:
    answer = await api.client("approver").post("/v1/campaigns/autumn/redecide", json=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def redecide_all(api: Api, **asked: Any) -> list[dict[str, Any]]:
    """Every page."""
    pages = [await redecide(api, **asked)]
    while (following := pages[-1]["next"]) is not None:
        pages.append(await redecide(api, **asked | {"after": following}))
        assert len(pages) < 50
    return pages


async def fund(api: Api, points: int) -> None:
    body, headers = {"points": points}, {"Idempotency-Key": f"more {points}"}
    (await api.client("finance").post("/v1/campaigns/autumn/fund", json=body, headers=headers)).raise_for_status()


async def change(api: Api, **terms: Any) -> None:
    (await api.client("admin").post("/v1/campaigns/autumn/versions", json=TERMS | terms)).raise_for_status()
    await asyncio.sleep(REMEMBERED_S)


async def balance(api: Api, who: str) -> int:
    return (await api.client("storefront").get(f"/v1/customers/{who}/balance")).json()["balance"]


async def check(api: Api, owner: asyncpg.Connection[Any]) -> None:
    findings = [*await audit(owner, api.brand.book), await audit_caps(owner, api.brand)]
    assert [finding for finding in findings if finding.violations] == []


async def test_a_raised_budget_pays_those_whom_it_refused_in_their_order(autumn: Api, owner: asyncpg.Connection[Any]) -> None:
    people = [f"c-{n}" for n in range(6)]
    assert await click(autumn, *people) == ["granted"] * 2 + ["budget_exhausted"] * 4
    assert await redecide(autumn) == {"decided": 4, "granted": 0, "points": 0, "next": None}
    await fund(autumn, 15)
    assert await redecide(autumn) == {"decided": 4, "granted": 3, "points": 15, "next": None}
    assert [await balance(autumn, who) for who in people] == [5, 5, 5, 5, 5, 0]
    # Again it decides only what is still refused; a retry is answered what was decided last.
    assert await redecide(autumn) == {"decided": 1, "granted": 0, "points": 0, "next": None}
    assert await click(autumn, *people) == ["granted"] * 5 + ["budget_exhausted"]
    await check(autumn, owner)


async def test_pages_come_to_an_end_and_leave_nobody_out(autumn: Api, owner: asyncpg.Connection[Any]) -> None:
    people = [f"c-{n}" for n in range(25)]
    await click(autumn, *people)
    await fund(autumn, 5 * 11)
    pages = await redecide_all(autumn, limit=4)
    assert [page["decided"] for page in pages] == [4, 4, 4, 4, 4, 3]
    assert [page["granted"] for page in pages] == [4, 4, 3, 0, 0, 0]
    await fund(autumn, 1_000)
    assert sum(page["granted"] for page in await redecide_all(autumn, limit=5)) == 12
    assert [await balance(autumn, who) for who in people] == [5] * 25
    await check(autumn, owner)


async def test_a_raised_cap_pays_when_it_happened_with_the_points_of_its_own_version(
    autumn: Api, owner: asyncpg.Connection[Any]
) -> None:
    await fund(autumn, 1_000)
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    for day in ({"occurred_at": yesterday}, {}):
        for n in range(5):
            await click(autumn, "c", message_id=f"m-{n} {day}", **day)
    assert await balance(autumn, "c") == 30
    await change(autumn, rules=[{"action": "click", "points": 7}], caps=[CAMPAIGN["caps"][0] | {"max_grants": 4}])
    assert await redecide(autumn, reasons=["budget_exhausted"]) == {"decided": 0, "granted": 0, "points": 0, "next": None}
    # A version knows only what was before it: all of these are of the first, and each day has room for one more.
    assert await redecide(autumn, reasons=["cap_reached"]) == {"decided": 4, "granted": 2, "points": 10, "next": None}
    assert await balance(autumn, "c") == 40
    await check(autumn, owner)


async def test_a_rolling_day_is_redecided_too(autumn: Api, owner: asyncpg.Connection[Any]) -> None:
    await fund(autumn, 1_000)
    rolling = {"per": "customer", "window": "rolling_day", "max_grants": 1}
    await change(autumn, caps=[rolling])
    for n in range(3):
        await click(autumn, "c", message_id=f"m-{n}")
    await change(autumn, caps=[rolling | {"max_grants": 2}])
    assert await redecide(autumn) == {"decided": 2, "granted": 1, "points": 5, "next": None}
    await check(autumn, owner)
    # Four days later nobody can tell any more who has come near it.
    await autumn.client("admin").post("/v1/test/clock/advance", json={"seconds": 4 * 86_400})
    await change(autumn, caps=[rolling | {"max_grants": 9}])
    assert await redecide(autumn) == {"decided": 1, "granted": 0, "points": 0, "next": None}
    await check(autumn, owner)


async def test_a_cap_that_was_given_up_keeps_what_it_said(autumn: Api, owner: asyncpg.Connection[Any]) -> None:
    await fund(autumn, 1_000)
    for n in range(4):
        await click(autumn, "c", message_id=f"m-{n}")
    await change(autumn, caps=[])
    assert await redecide(autumn) == {"decided": 1, "granted": 0, "points": 0, "next": None}
    await check(autumn, owner)


async def test_many_who_redecide_at_once_pay_once(autumn: Api, owner: asyncpg.Connection[Any]) -> None:
    await click(autumn, *(f"c-{n}" for n in range(12)))
    await fund(autumn, 1_000)
    pages = await asyncio.gather(*(redecide(autumn) for _ in range(5)))
    assert sum(page["granted"] for page in pages) == 10
    assert (await autumn.client("admin").get("/v1/campaigns/autumn")).json()["budget"]["granted"] == 60
    await check(autumn, owner)


async def test_what_is_redecided_may_be_held_back_and_lasts_from_then(api: Api, owner: asyncpg.Connection[Any]) -> None:
    rule = {"action": "click", "points": 5, "hold_back_days": 3}
    campaign = CAMPAIGN | {"rules": [rule], "budget": 1, "expires_after_months": 1}
    (await api.client("admin").post("/v1/campaigns", json=campaign)).raise_for_status()
    assert await click(api, "c") == ["budget_exhausted"]
    await fund(api, 5)
    await api.client("admin").post("/v1/test/clock/advance", json={"seconds": 70 * 86_400})
    assert await redecide(api) == {"decided": 1, "granted": 1, "points": 5, "next": None}
    (grant,) = (await api.client("messaging").get("/v1/grants", params={"customer": "c"})).json()["items"]
    assert grant["outcome"] == "held_back"
    now = datetime.now(UTC) + timedelta(days=70)
    assert abs(datetime.fromisoformat(grant["due_at"]) - now - timedelta(days=3)) < timedelta(minutes=5)
    await check(api, owner)


async def test_it_takes_a_right_of_its_own_and_is_in_the_audit_trail(autumn: Api) -> None:
    refused = await autumn.client("messaging").post("/v1/campaigns/autumn/redecide", json={})
    assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope")
    await redecide(autumn, reasons=["cap_reached"], limit=7)
    entries = (await autumn.client("admin").get("/v1/audit-trail")).json()["items"]
    assert [(each["act"], each["subject"]) for each in entries][-1] == ("campaign.redecide", "autumn")
    assert entries[-1]["after"] == {"reasons": ["cap_reached"], "limit": 7, "after": None}


async def test_a_paused_campaign_redecides_nothing(autumn: Api) -> None:
    await click(autumn, "a", "b", "c")
    await fund(autumn, 5)
    await autumn.client("admin").post("/v1/campaigns/autumn/pause")
    answer = await autumn.client("approver").post("/v1/campaigns/autumn/redecide", json={})
    assert (answer.status_code, answer.json()["code"]) == (409, "campaign_paused")
    assert await balance(autumn, "c") == 0


WRONG: list[tuple[str, dict[str, Any], int, str]] = [
    ("autumn", {"limit": 1_001}, 422, "/limit"),
    ("autumn", {"reasons": []}, 422, "/reasons"),
    ("autumn", {"reasons": ["rejected"]}, 422, "/reasons/0"),
    ("autumn", {"after": "7"}, 422, "/after"),
    ("autumn", {"all": True}, 422, "/all"),
    ("winter", {}, 404, ""),
]


@pytest.mark.parametrize(("campaign", "asked", "status", "pointer"), WRONG)
async def test_what_is_wrong_is_named(autumn: Api, campaign: str, asked: dict[str, Any], status: int, pointer: str) -> None:
    answer = await autumn.client("approver").post(f"/v1/campaigns/{campaign}/redecide", json=asked)
    assert answer.status_code == status
    assert "".join(error["pointer"] for error in answer.json()["errors"]) == pointer
