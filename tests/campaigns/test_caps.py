"""Caps: for one customer or for all together, by the calendar or in any 24 hours; and the audit that recomputes them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from service.campaigns.rules import Cap, number_caps
from service.finance.cap_audit import audit_caps
from tests.api_fixtures import Api
from tests.processes import REMEMBERED_S

CAMPAIGN: dict[str, Any] = {
    "id": "autumn",
    "name": "Autumn",
    "starts_at": "2026-01-01T00:00:00Z",
    "ends_at": "2099-01-01T00:00:00Z",
    "budget": 100_000,
    "rules": [{"action": "click", "points": 5}, {"action": "reply", "points": 9}],
}
HOUR = timedelta(hours=1)


async def make(api: Api, *caps: dict[str, Any]) -> httpx.Response:
    return await api.client("admin").post("/v1/campaigns", json=CAMPAIGN | {"caps": caps})


async def outcomes(api: Api, *reports: tuple[str, datetime], action: str = "click") -> list[str]:
    """What is decided on clicks of customers at times, in one batch."""
    batch = [
        {
            "campaign": "autumn",
            "message_id": f"{who} {at.isoformat()}",
            "customer": {"id": who},
            "action": action,
            "channel": "sms",
            "occurred_at": at.isoformat(),
        }
        for who, at in reports
    ]
    results = (await api.client("messaging").post("/v1/grants/batch", json=batch)).json()["results"]
    return [result["reason"] or result["outcome"] for result in results]


async def check(api: Api, owner: asyncpg.Connection[Any], checked: int) -> None:
    finding = await audit_caps(owner, api.brand)
    assert (finding.checked, finding.violations, finding.examples) == (checked, 0, ())


async def test_a_campaigns_cap_counts_all_its_customers(api: Api, owner: asyncpg.Connection[Any]) -> None:
    assert (await make(api, {"per": "campaign", "window": "ever", "max_points": 22})).status_code == 201
    now = datetime.now(UTC)
    clicks = await outcomes(api, *((f"c-{n}", now) for n in range(5)))
    assert clicks == ["granted"] * 4 + ["cap_reached"]
    assert await outcomes(api, ("c-0", now - HOUR)) == ["cap_reached"]
    await check(api, owner, 1)


async def test_caps_of_one_and_of_all_hold_together(api: Api, owner: asyncpg.Connection[Any]) -> None:
    await make(
        api,
        {"per": "customer", "window": "ever", "max_grants": 2},
        {"per": "campaign", "window": "ever", "action": "click", "max_grants": 3},
    )
    now = datetime.now(UTC)
    clicks = await outcomes(api, *(("a", now - n * HOUR) for n in range(3)), ("b", now), ("c", now))
    assert clicks == ["granted", "granted", "cap_reached", "granted", "cap_reached"]
    assert await outcomes(api, ("b", now), ("b", now - HOUR), ("c", now), action="reply") == [
        "granted",
        "cap_reached",
        "granted",
    ]
    await check(api, owner, 4)


async def test_a_rolling_day_holds_in_any_24_hours_however_late_reports_come(api: Api, owner: asyncpg.Connection[Any]) -> None:
    assert (await make(api, {"per": "customer", "window": "rolling_day", "max_grants": 2})).status_code == 201
    now = datetime.now(UTC)
    assert await outcomes(api, ("c", now), ("c", now - 10 * HOUR), ("c", now - 20 * HOUR)) == [
        "granted",
        "granted",
        "cap_reached",
    ]
    # Within a day of it there are the two of above; further back there is room again.
    assert await outcomes(api, ("c", now - 23 * HOUR)) == ["cap_reached"]
    assert await outcomes(api, ("c", now - 30 * HOUR), ("c", now - 35 * HOUR)) == ["granted", "granted"]
    assert await outcomes(api, ("other", now)) == ["granted"]
    await check(api, owner, 2)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"per": "campaign", "window": "rolling_day", "max_grants": 1}, "/caps/0/window"),
    ({"per": "brand", "window": "day", "max_grants": 1}, "/caps/0/per"),
    ({"per": "customer", "window": "rolling_week", "max_grants": 1}, "/caps/0/window"),
    ({"per": "campaign", "window": "day"}, "/caps/0"),
]


@pytest.mark.parametrize(("cap", "pointer"), REFUSED)
async def test_a_cap_that_cannot_be_kept_is_refused_by_name(api: Api, cap: dict[str, Any], pointer: str) -> None:
    answer = await make(api, cap)
    assert (answer.status_code, [error["pointer"] for error in answer.json()["errors"]]) == (422, [pointer])


def test_caps_of_one_and_of_all_have_numbers_of_their_own() -> None:
    mine, ours = Cap("customer", "day", max_grants=1), Cap("campaign", "day", max_grants=1)
    rolling = Cap("customer", "rolling_day", max_grants=1)
    assert number_caps([mine, ours, rolling], ()) == (0, 1, 2)


@pytest.mark.usefixtures("remembers_shortly")
async def test_a_rolling_day_goes_on_counting_when_its_limit_changes(api: Api, owner: asyncpg.Connection[Any]) -> None:
    cap = {"per": "customer", "window": "rolling_day", "max_grants": 1}
    await make(api, cap, {"per": "campaign", "window": "ever", "max_grants": 10})
    now = datetime.now(UTC)
    assert await outcomes(api, ("c", now - HOUR), ("c", now)) == ["granted", "cap_reached"]
    terms = {name: value for name, value in CAMPAIGN.items() if name not in {"id", "budget"}}
    # The order of caps is another, too.
    caps = [{"per": "campaign", "window": "ever", "max_grants": 10}, cap | {"max_grants": 2}]
    (await api.client("admin").post("/v1/campaigns/autumn/versions", json=terms | {"caps": caps})).raise_for_status()
    await asyncio.sleep(REMEMBERED_S)
    later = datetime.now(UTC)
    assert await outcomes(api, ("c", later), ("c", later - timedelta(milliseconds=1))) == ["granted", "cap_reached"]
    await check(api, owner, 2)


DAMAGES = [
    "UPDATE ledger.cap_use SET points = points + 1 WHERE customer = 0",
    "DELETE FROM ledger.cap_use WHERE customer = 0",
    "UPDATE ledger.cap_recent SET counted_at = counted_at[2:], points = points[2:]",
    "UPDATE ledger.cap_recent SET points[1] = points[1] + 1",
    "UPDATE ledger.cap_recent SET counted_at = counted_at || counted_at[1:1], points = points || points[1:1]",
    "DELETE FROM ledger.cap_recent",
    "UPDATE rewards.campaign_version SET terms = jsonb_set(terms, '{caps,0,max_grants}', '1')",
    "UPDATE rewards.campaign_version SET terms = jsonb_set(terms, '{caps,1,max_points}', '9')",
]


@pytest.mark.parametrize("damage", DAMAGES)
async def test_the_audit_finds_a_cap_that_was_passed_or_miscounted(
    api: Api, owner: asyncpg.Connection[Any], damage: str
) -> None:
    await make(
        api,
        {"per": "customer", "window": "rolling_day", "max_grants": 2},
        {"per": "campaign", "window": "ever", "max_points": 20},
    )
    now = datetime.now(UTC)
    assert await outcomes(api, ("c", now), ("c", now - HOUR)) == ["granted", "granted"]
    await check(api, owner, 2)
    await owner.execute(damage)
    finding = await audit_caps(owner, api.brand)
    assert finding.violations >= 1
    assert finding.examples[0].startswith("campaign autumn, ")
