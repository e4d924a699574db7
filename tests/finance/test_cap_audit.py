"""The audit of caps finds a counter that is off, and a customer who got more than a cap allows."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from service.finance.cap_audit import audit_caps
from tests.api_fixtures import Api


@pytest.fixture
async def capped(api: Api) -> Api:
    campaign = {
        "id": "autumn",
        "name": "Autumn",
        "starts_at": "2026-01-01T00:00:00Z",
        "ends_at": "2099-01-01T00:00:00Z",
        "budget": 1000,
        "rules": [{"action": "click", "points": 5}, {"action": "reply", "points": 9}],
        "caps": [
            {"per": "customer", "window": "day", "max_grants": 3},
            {"per": "customer", "window": "day", "action": "click", "max_points": 10},
        ],
    }
    (await api.client("admin").post("/v1/campaigns", json=campaign)).raise_for_status()
    batch = [
        {"campaign": "autumn", "message_id": f"m-{n}", "customer": {"id": "c"}, "action": action, "channel": "sms"}
        for n, action in enumerate(("click", "click", "click", "reply", "reply"))
    ]
    results = (await api.client("messaging").post("/v1/grants/batch", json=batch)).json()["results"]
    assert [result["outcome"] for result in results] == ["granted", "granted", "refused", "granted", "refused"]
    return api


async def test_counters_that_are_right_pass(capped: Api, owner: asyncpg.Connection[Any]) -> None:
    finding = await audit_caps(owner, capped.brand)
    assert (finding.checked, finding.violations) == (2, 0)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE ledger.cap_use SET grants = grants - 1 WHERE cap = 0",
        "UPDATE ledger.cap_use SET points = points + 1 WHERE cap = 1",
        "DELETE FROM ledger.cap_use WHERE cap = 1",
        "UPDATE rewards.campaign_version SET terms = jsonb_set(terms, '{caps,0,max_grants}', '2')",
    ],
)
async def test_a_counter_that_is_off_is_found(capped: Api, owner: asyncpg.Connection[Any], damage: str) -> None:
    await owner.execute(damage)
    finding = await audit_caps(owner, capped.brand)
    assert finding.violations == 1
    assert finding.examples[0].startswith("campaign autumn, customer ")
