"""Reading what was decided: by id, and newest first by customer, campaign and outcome."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from ledger.reads import event_log
from tests.api_fixtures import Api, make_brand, make_keys
from tests.grants.test_grants_api import CAMPAIGN, post


@pytest.fixture
async def reported(api: Api) -> list[dict[str, Any]]:
    """Twelve clicks of three customers on two campaigns, some refused for want of budget, and an open that waits."""
    for campaign, budget in (("autumn", 30), ("winter", 20)):
        (await api.client("admin").post("/v1/campaigns", json=CAMPAIGN | {"id": campaign, "budget": budget})).raise_for_status()
    answers = [
        (await post(api, campaign=("autumn", "winter")[n % 2], customer={"id": f"c-{n % 3}"}, message_id=f"m-{n}")).json()
        for n in range(12)
    ]
    answers.append((await post(api, customer={"id": "c-0"}, action="open", metadata={"shop": 7})).json())
    return answers


async def listed(api: Api, **query: Any) -> list[dict[str, Any]]:
    """All pages of a list."""
    found: list[dict[str, Any]] = []
    after: dict[str, Any] = {}
    while True:
        page = (await api.client("messaging").get("/v1/grants", params=query | after)).raise_for_status().json()
        assert len(page["items"]) <= query.get("limit", 100)
        found += page["items"]
        if page["next"] is None:
            return found
        after = {"after": page["next"]}


async def test_a_grant_is_read_by_its_id(api: Api, reported: list[dict[str, Any]]) -> None:
    answer = await api.client("messaging").get(f"/v1/grants/{reported[0]['grant_id']}")
    grant = answer.raise_for_status().json()
    assert {name: grant[name] for name in ("grant_id", "campaign", "action", "channel", "message_id", "outcome", "points")} == {
        "grant_id": reported[0]["grant_id"],
        "campaign": "autumn",
        "action": "click",
        "channel": "email",
        "message_id": "m-0",
        "outcome": "granted",
        "points": 5,
    }
    waiting = (await api.client("messaging").get(f"/v1/grants/{reported[-1]['grant_id']}")).json()
    assert (waiting["outcome"], waiting["reason"], waiting["evidence"]) == ("waiting", "stronger_evidence_needed", "D")
    assert waiting["metadata"] == {"shop": 7}


@pytest.mark.parametrize("limit", [1, 2, 5, 100])
@pytest.mark.parametrize("scanned", [3, 10_000])
async def test_pages_of_any_size_list_each_event_once_newest_first(
    api: Api, reported: list[dict[str, Any]], limit: int, scanned: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_log, "SCAN_ROWS_MAX", scanned)
    grants = await listed(api, limit=limit)
    assert sorted(grant["grant_id"] for grant in grants) == sorted(answer["grant_id"] for answer in reported)
    assert [grant["seq"] for grant in grants] == sorted((grant["seq"] for grant in grants), reverse=True)


@pytest.mark.parametrize("limit", [1, 100])
async def test_a_list_is_narrowed_by_customer_campaign_and_outcome(
    api: Api, reported: list[dict[str, Any]], limit: int
) -> None:
    everything = await listed(api)
    of_customer = await listed(api, customer="c-0", limit=limit)
    assert {grant["message_id"] for grant in of_customer} == {"m-0", "m-1", "m-3", "m-6", "m-9"}
    for name, value in (("campaign", "winter"), ("outcome", "granted"), ("outcome", "refused"), ("outcome", "waiting")):
        narrowed = await listed(api, **{name: value, "limit": limit})
        assert narrowed == [grant for grant in everything if grant[name] == value]
        assert narrowed
        both = await listed(api, customer="c-0", **{name: value, "limit": limit})
        assert both == [grant for grant in of_customer if grant[name] == value]
    assert len(everything) == len(reported)
    for nobody in ({"customer": "c-9"}, {"campaign": "nope"}):
        assert await listed(api, **nobody) == []


async def test_another_brands_grant_is_not_there(
    api: Api, reported: list[dict[str, Any]], owner: asyncpg.Connection[Any]
) -> None:
    others = api.client(key=(await make_keys(owner, await make_brand(owner, "other")))["messaging"])
    for name in (reported[0]["grant_id"], "grt_nope", "grt_" + "7" * 40):
        answer = await others.get(f"/v1/grants/{name}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert (await others.get("/v1/grants")).json()["items"] == []
    assert (await api.client("storefront").get("/v1/grants")).json()["code"] == "missing_scope"
