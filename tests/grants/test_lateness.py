"""How late a report may come and still count when it happened: each key has its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from service.auth.actions import create_key
from tests.api_fixtures import Api
from tests.grants.test_grants_api import CAMPAIGN, CLICK

LAST_MINUTE = timedelta(minutes=1)


@pytest.fixture
async def reporters(api: Api, owner: asyncpg.Connection[Any]) -> dict[int, str]:
    """Keys by the hours that their reports may be late."""
    return {
        hours: (await create_key(owner, "lumen", f"late by {hours}", ["grants:write"], "A", lateness_hours=hours))[0]
        for hours in (0, 1, 72)
    }


async def report(api: Api, key: str, **changed: Any) -> dict[str, Any]:
    answer = await api.client(key=key).post("/v1/grants", json=CLICK | changed)
    assert answer.is_success, answer.text
    return answer.json()


async def make_campaign(api: Api, **changed: Any) -> None:
    (await api.client("admin").post("/v1/campaigns", json=CAMPAIGN | changed)).raise_for_status()


async def test_a_click_in_the_last_minute_reported_two_hours_later_is_paid_to_whom_may_be_late(
    api: Api, reporters: dict[int, str]
) -> None:
    ended_at = datetime.now(UTC) - timedelta(hours=2)
    await make_campaign(api, starts_at="2026-01-01T00:00:00Z", ends_at=ended_at.isoformat())
    click = {"occurred_at": (ended_at - LAST_MINUTE).isoformat()}
    for hours in (0, 1):
        late = await report(api, reporters[hours], **click)
        assert (late["outcome"], late["reason"]) == ("ignored", "campaign_over")
    assert (await report(api, reporters[72], **click))["outcome"] == "granted"


async def test_who_may_not_be_late_reports_in_time_what_counts(api: Api, reporters: dict[int, str]) -> None:
    await make_campaign(api, starts_at="2026-01-01T00:00:00Z", ends_at="2099-01-01T00:00:00Z")
    happened = (datetime.now(UTC) - timedelta(hours=5)).isoformat()
    assert (await report(api, reporters[0], occurred_at=happened))["outcome"] == "granted"


async def test_a_retry_on_the_next_day_is_the_same_event_however_late_a_key_may_be(api: Api, reporters: dict[int, str]) -> None:
    await make_campaign(api, starts_at="2026-01-01T00:00:00Z", ends_at="2099-01-01T00:00:00Z")
    yesterday = (datetime.now(UTC) - timedelta(hours=25)).isoformat()
    answers = [await report(api, reporters[hours], action="checkin", occurred_at=yesterday) for hours in (0, 1, 72, 0)]
    assert {answer["grant_id"] for answer in answers} == {answers[0]["grant_id"]}
    assert [answer["replayed"] for answer in answers] == [False, True, True, True]
    today = await report(api, reporters[0], action="checkin")
    assert (today["outcome"], today["replayed"]) == ("granted", False)
