"""Grants over HTTP: one report, one decision, the same answer for ever; and bad input that says what would be right."""

from __future__ import annotations

import asyncio
import gzip
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api_fixtures import Api

CAMPAIGN: dict[str, Any] = {
    "id": "autumn",
    "name": "Autumn",
    "starts_at": "2026-01-01T00:00:00Z",
    "ends_at": "2099-01-01T00:00:00Z",
    "budget": 100,
    "rules": [
        {"action": "open", "points": 1},
        {"action": "click", "points": 5},
        {"action": "visit", "points": 2, "once_per": "link"},
        {"action": "checkin", "points": 3, "once_per": "day"},
    ],
}
CLICK: dict[str, Any] = {
    "campaign": "autumn",
    "message_id": "m-1",
    "customer": {"id": "c-1"},
    "action": "click",
    "channel": "email",
}


@pytest.fixture
async def funded(api: Api) -> Api:
    (await api.client("admin").post("/v1/campaigns", json=CAMPAIGN)).raise_for_status()
    return api


async def post(api: Api, **changed: Any) -> Any:
    return await api.client("messaging").post("/v1/grants", json=CLICK | changed)


async def test_a_report_is_paid_once_and_answered_the_same(funded: Api) -> None:
    first, again = await post(funded), await post(funded)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert first.json() | {"replayed": True} == again.json()
    assert first.json()["points"] == first.json()["balance"] == 5


async def test_a_customer_is_the_same_by_id_email_and_phone(funded: Api) -> None:
    await post(funded, customer={"id": "c-1", "email": " Ada@Example.ORG ", "phone": "+49 (30) 901-820"})
    for customer in ({"email": "ada@example.org"}, {"phone": "+4930901820"}, {"id": "c-1"}):
        answer = await post(funded, customer=customer)
        assert answer.json()["replayed"] is True, customer


async def test_an_email_that_earned_first_joins_the_id_that_comes_with_it(funded: Api) -> None:
    await post(funded, customer={"email": "ada@example.org"})
    assert (await post(funded, customer={"id": "c-1", "email": "ada@example.org"})).json()["replayed"] is True
    balance = await funded.client("storefront").get("/v1/customers/c-1/balance")
    assert balance.json()["balance"] == 5


async def test_two_ids_with_one_address_between_them_are_two_customers(funded: Api) -> None:
    await post(funded, customer={"id": "c-1", "email": "family@example.org"})
    other = await post(funded, customer={"id": "c-2", "email": "family@example.org"})
    assert (other.status_code, other.json()["replayed"]) == (201, False)


async def test_a_new_customer_reported_by_many_at_once_is_one_customer(funded: Api) -> None:
    answers = await asyncio.gather(*(post(funded, message_id=f"m-{n % 4}") for n in range(16)))
    assert sum(answer.status_code == 201 for answer in answers) == 4
    assert (await funded.client("storefront").get("/v1/customers/c-1/balance")).json()["balance"] == 20


async def test_a_weak_open_waits_until_stronger_evidence_of_it_comes(funded: Api) -> None:
    weak = await post(funded, action="open")
    assert (weak.json()["outcome"], weak.json()["reason"]) == ("waiting", "stronger_evidence_needed")
    strong = await post(funded, action="open", evidence="B")
    assert (strong.status_code, strong.json()["outcome"], strong.json()["points"]) == (201, "granted", 1)
    assert (await post(funded, action="open")).json()["outcome"] == "granted"


IGNORED = [
    ({"evidence": "X"}, "machine"),
    ({"action": "reply"}, "no_rule"),
]


@pytest.mark.parametrize(("change", "reason"), IGNORED)
async def test_what_can_be_computed_again_is_answered_and_not_recorded(
    funded: Api, change: dict[str, Any], reason: str
) -> None:
    answer = await post(funded, **change)
    assert (answer.status_code, answer.json()["outcome"], answer.json()["reason"]) == (200, "ignored", reason)
    assert (await post(funded)).json()["outcome"] == "granted"


async def test_a_campaign_pays_only_in_its_time(api: Api) -> None:
    now = datetime.now(UTC)
    for name, starts, ends in (("later", 1, 2), ("over", -9, -5)):
        times = {"starts_at": (now + timedelta(days=starts)).isoformat(), "ends_at": (now + timedelta(days=ends)).isoformat()}
        (await api.client("admin").post("/v1/campaigns", json=CAMPAIGN | times | {"id": name})).raise_for_status()
    assert (await post(api, campaign="later")).json()["reason"] == "campaign_not_started"
    assert (await post(api, campaign="over")).json()["reason"] == "campaign_over"


async def test_a_late_report_counts_when_it_happened_but_at_most_72_hours_back(api: Api) -> None:
    now = datetime.now(UTC)
    ended = {"starts_at": "2026-01-01T00:00:00Z", "ends_at": (now - timedelta(hours=29)).isoformat()}
    (await api.client("admin").post("/v1/campaigns", json=CAMPAIGN | ended)).raise_for_status()
    in_time = (now - timedelta(hours=30)).isoformat()
    assert (await post(api, occurred_at=in_time)).json()["outcome"] == "granted"
    assert (await post(api, message_id="m-2")).json()["reason"] == "campaign_over"


async def test_once_per_says_what_is_one_event(funded: Api) -> None:
    visits = [await post(funded, action="visit", link=label) for label in ("hero", "footer", "hero")]
    assert [answer.status_code for answer in visits] == [201, 201, 200]
    checkins = [await post(funded, action="checkin") for _ in range(2)]
    assert [answer.status_code for answer in checkins] == [201, 200]


async def test_a_budget_pays_to_the_last_point_and_then_refuses(funded: Api) -> None:
    batch = [CLICK | {"message_id": f"m-{n}"} for n in range(21)]
    answer = await funded.client("messaging").post("/v1/grants/batch", json=batch)
    results = answer.json()["results"]
    assert [result["outcome"] for result in results] == ["granted"] * 20 + ["refused"]
    assert results[-1]["reason"] == "budget_exhausted"
    assert (await funded.client("admin").get("/v1/campaigns/autumn")).json()["budget"]["left"] == 0


HUGE = 10**30
BAD_ITEMS: list[tuple[dict[str, Any], str, str]] = [
    ({"points": 5}, "unknown_field", "/points"),
    ({"customer": {"name": "Ada"}}, "unknown_field", "/customer/name"),
    ({"customer": {}}, "invalid_field", "/customer"),
    ({"customer": {"id": 7}}, "invalid_field", "/customer/id"),
    ({"customer": {"id": ""}}, "invalid_field", "/customer/id"),
    ({"customer": {"email": "ada"}}, "invalid_field", "/customer/email"),
    ({"customer": {"email": "a b@example.org"}}, "invalid_field", "/customer/email"),
    ({"customer": {"email": "ada@localhost"}}, "invalid_field", "/customer/email"),
    ({"customer": {"phone": "030 901820"}}, "invalid_field", "/customer/phone"),
    ({"customer": {"phone": "+4930abc"}}, "invalid_field", "/customer/phone"),
    ({"message_id": "a\0b"}, "invalid_field", "/message_id"),
    ({"message_id": "\ud800"}, "invalid_field", "/message_id"),
    ({"message_id": "ä" * 200}, "invalid_field", "/message_id"),
    ({"message_id": None}, "invalid_field", "/message_id"),
    ({"action": "Click"}, "invalid_field", "/action"),
    ({"channel": ""}, "invalid_field", "/channel"),
    ({"evidence": "E"}, "invalid_field", "/evidence"),
    ({"campaign": "nope"}, "unknown_campaign", "/campaign"),
    ({"occurred_at": "yesterday"}, "invalid_field", "/occurred_at"),
    ({"occurred_at": "2026-01-01T00:00:00"}, "invalid_field", "/occurred_at"),
    ({"occurred_at": "2199-01-01T00:00:00Z"}, "occurred_at_out_of_range", "/occurred_at"),
    ({"occurred_at": "2024-01-01T00:00:00Z"}, "occurred_at_out_of_range", "/occurred_at"),
    ({"metadata": {"k": "v" * 3000}}, "invalid_field", "/metadata"),
    ({"metadata": {"k": {"deep": 1}}}, "invalid_field", "/metadata"),
    ({"metadata": {"k": "\0"}}, "invalid_field", "/metadata/k"),
]


@pytest.mark.parametrize(("change", "code", "pointer"), BAD_ITEMS)
async def test_bad_input_is_refused_by_name(funded: Api, change: dict[str, Any], code: str, pointer: str) -> None:
    answer = await funded.client("messaging").post(
        "/v1/grants", content=json.dumps(CLICK | change), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 422, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (answer.json()["code"], [error["pointer"] for error in answer.json()["errors"]]) == (code, [pointer])


async def test_in_a_batch_what_is_wrong_with_one_item_concerns_that_item_alone(funded: Api) -> None:
    items = [CLICK | {"message_id": "good-0"}]
    for n, (change, _, _) in enumerate(BAD_ITEMS):
        items += [CLICK | change, CLICK | {"message_id": f"good-{n}"}]
    lines = [json.dumps(item).encode() for item in items]
    lines.insert(3, b'{"campaign": "autumn", "message_id"')
    answer = await funded.client("messaging").post(
        "/v1/grants/batch", content=b"\n".join(lines), headers={"Content-Type": "application/x-ndjson"}
    )
    results = answer.json()["results"]
    assert [result["index"] for result in results] == list(range(len(lines)))
    assert results[3]["problem"]["code"] == "malformed_body"
    good = [result for result in results if "problem" not in result]
    # The first item comes twice, and is paid once.
    assert [result["status"] for result in good] == [201, 200] + [201] * 19 + [201] * (len(BAD_ITEMS) - 20)
    refused = [result["problem"]["code"] for result in results if "problem" in result]
    assert sorted(refused) == sorted([code for _, code, _ in BAD_ITEMS] + ["malformed_body"])


async def test_the_same_event_twice_in_one_batch_is_paid_once(funded: Api) -> None:
    answer = await funded.client("messaging").post("/v1/grants/batch", json=[CLICK, CLICK | {"channel": "sms"}, CLICK])
    assert [(each["status"], each["replayed"]) for each in answer.json()["results"]] == [
        (201, False),
        (200, True),
        (200, True),
    ]


async def test_a_batch_may_be_compressed(funded: Api) -> None:
    answer = await funded.client("messaging").post(
        "/v1/grants/batch",
        content=gzip.compress(json.dumps([CLICK]).encode()),
        headers={"Content-Type": "application/json", "Content-Encoding": "gzip"},
    )
    assert answer.json()["results"][0]["status"] == 201


async def test_an_item_is_told_by_its_own_mark(funded: Api) -> None:
    answer = await funded.client("messaging").post(
        "/v1/grants/batch", json=[CLICK | {"ref": "row-1"}, CLICK | {"ref": "row-2", "campaign": "nope"}]
    )
    assert [result["ref"] for result in answer.json()["results"]] == ["row-1", "row-2"]


async def test_a_storefront_key_cannot_grant(funded: Api) -> None:
    answer = await funded.client("storefront").post("/v1/grants", json=CLICK)
    assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")
