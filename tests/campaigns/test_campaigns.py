"""Campaigns over HTTP: created once, funded within what the brand may issue, and never twice the same."""

from __future__ import annotations

from typing import Any

import pytest

from ledger import Grade
from service.campaigns.rules import Campaign, Rule, claimed_grade
from tests.api_fixtures import Api

CAMPAIGN: dict[str, Any] = {
    "id": "autumn",
    "name": "Autumn",
    "starts_at": "2026-01-01T00:00:00Z",
    "ends_at": "2099-01-01T00:00:00Z",
    "budget": 1000,
    "rules": [{"action": "click", "points": 5}, {"action": "click", "channel": "sms", "points": 9}],
    "caps": [{"per": "customer", "window": "day", "max_grants": 3}],
}


async def test_a_campaign_is_created_and_funded_in_one_call(api: Api) -> None:
    answer = await api.client("admin").post("/v1/campaigns", json=CAMPAIGN)
    assert answer.status_code == 201, answer.text
    assert answer.json()["budget"] == {"funded": 1000, "granted": 0, "left": 1000}
    shown = await api.client("messaging").get("/v1/campaigns/autumn")
    assert shown.json() == answer.json()


async def test_creating_the_same_campaign_again_funds_it_once(api: Api) -> None:
    admin = api.client("admin")
    answers = [await admin.post("/v1/campaigns", json=CAMPAIGN) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 200, 200]
    assert answers[-1].json()["budget"]["funded"] == 1000


@pytest.mark.parametrize("change", [{"name": "Winter"}, {"budget": 2000}, {"rules": [{"action": "click", "points": 6}]}])
async def test_another_campaign_of_the_same_id_is_refused(api: Api, change: dict[str, Any]) -> None:
    admin = api.client("admin")
    await admin.post("/v1/campaigns", json=CAMPAIGN)
    answer = await admin.post("/v1/campaigns", json=CAMPAIGN | change)
    assert (answer.status_code, answer.json()["code"]) == (409, "campaign_exists")
    assert (await admin.get("/v1/campaigns/autumn")).json()["budget"]["funded"] == 1000


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"ends_at": "2025-01-01T00:00:00Z"}, "/ends_at"),
    ({"starts_at": "2026-01-01"}, "/starts_at"),
    ({"starts_at": "2026-01-01T00:00:00"}, "/starts_at"),
    ({"id": "Autumn!"}, "/id"),
    ({"rules": []}, "/rules"),
    ({"rules": [{"action": "click", "points": 0}]}, "/rules/0/points"),
    ({"rules": [{"action": "click", "points": 1.5}]}, "/rules/0/points"),
    ({"rules": [{"action": "click", "points": 1}, {"action": "click", "points": 2}]}, "/rules/1"),
    ({"rules": [{"action": "Click", "points": 1}]}, "/rules/0/action"),
    ({"caps": [{"per": "customer", "window": "day"}]}, "/caps/0"),
    ({"caps": [{"per": "customer", "window": "year", "max_grants": 1}]}, "/caps/0/window"),
    ({"budget": -1}, "/budget"),
    ({"expires_after_months": 0}, "/expires_after_months"),
]


@pytest.mark.parametrize(("change", "pointer"), WRONG)
async def test_what_is_wrong_with_a_campaign_is_named(api: Api, change: dict[str, Any], pointer: str) -> None:
    answer = await api.client("admin").post("/v1/campaigns", json=CAMPAIGN | change)
    assert answer.status_code == 422, answer.text
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


async def test_funding_stops_at_what_the_brand_may_issue(api: Api) -> None:
    admin, finance = api.client("admin"), api.client("finance")
    await admin.post("/v1/campaigns", json=CAMPAIGN)
    refused = await finance.post("/v1/campaigns/autumn/fund", json={"points": 10**15}, headers={"Idempotency-Key": "too-much"})
    assert (refused.status_code, refused.json()["code"]) == (402, "issue_limit_reached")
    answers = [
        await finance.post("/v1/campaigns/autumn/fund", json={"points": 500}, headers={"Idempotency-Key": "more"})
        for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [201, 200]
    assert answers[0].json() == answers[1].json()
    assert answers[0].json()["budget_left"] == 1500
    reused = await finance.post("/v1/campaigns/autumn/fund", json={"points": 501}, headers={"Idempotency-Key": "more"})
    assert (reused.status_code, reused.json()["code"]) == (422, "idempotency_key_reused")


async def test_a_messaging_key_can_neither_create_nor_fund(api: Api) -> None:
    messaging = api.client("messaging")
    for answer in (
        await messaging.post("/v1/campaigns", json=CAMPAIGN),
        await messaging.post("/v1/campaigns/autumn/fund", json={"points": 1}, headers={"Idempotency-Key": "k"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")


def _campaign(*rules: Rule) -> Campaign:
    said: dict[str, Any] = {**dict.fromkeys(Campaign.__struct_fields__), "rules": rules}
    return Campaign(**said)


def test_the_rule_that_names_the_channel_wins() -> None:
    campaign = _campaign(Rule("click", 5), Rule("click", 9, "sms"))
    assert [campaign.rule_number("click", channel) for channel in ("sms", "email")] == [1, 0]
    assert campaign.rule_for("reply", "sms") is None


@pytest.mark.parametrize(
    ("action", "asked", "strongest", "grade"),
    [
        ("click", None, Grade.B, Grade.B),
        ("click", Grade.A, Grade.B, Grade.B),
        ("click", Grade.C, Grade.B, Grade.C),
        ("open", None, Grade.A, Grade.D),
        ("open", Grade.B, Grade.A, Grade.B),
    ],
)
def test_a_report_claims_no_more_than_its_key_may(action: str, asked: Grade | None, strongest: Grade, grade: Grade) -> None:
    assert claimed_grade(action, asked, strongest) is grade


async def test_a_list_shows_each_campaign_with_its_own_budget(api: Api) -> None:
    admin = api.client("admin")
    for name, budget in (("rich", 700), ("poor", 0), ("middling", 300)):
        (await admin.post("/v1/campaigns", json=CAMPAIGN | {"id": name, "budget": budget})).raise_for_status()
    listed = (await admin.get("/v1/campaigns")).json()["items"]
    assert [(each["id"], each["budget"]["funded"]) for each in listed] == [("rich", 700), ("poor", 0), ("middling", 300)]
