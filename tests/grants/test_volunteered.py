"""What customers tell about themselves is paid once per field and version, and never without a consent receipt."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.api_fixtures import Api

CAMPAIGN: dict[str, Any] = {
    "id": "profile",
    "name": "Profile",
    "starts_at": "2026-01-01T00:00:00Z",
    "ends_at": "2099-01-01T00:00:00Z",
    "budget": 1_000_000,
    "rules": [{"action": "data.profile_field", "points": 20, "min_evidence": "B"}, {"action": "click", "points": 5}],
}
TOLD: dict[str, Any] = {"consent_receipt_id": "rcpt-1", "field": "birthday", "field_version": 1}
REPORT: dict[str, Any] = {
    "campaign": "profile",
    "message_id": "m-1",
    "customer": {"id": "c-1"},
    "action": "data.profile_field",
    "channel": "email",
    "evidence": "A",
}


@pytest.fixture
async def profile(api: Api) -> Api:
    (await api.client("admin").post("/v1/campaigns", json=CAMPAIGN)).raise_for_status()
    return api


async def post(api: Api, told: dict[str, Any] | None, path: str = "/v1/grants", **changed: Any) -> httpx.Response:
    body = REPORT | changed | ({} if told is None else {"metadata": told})
    return await api.client("messaging").post(path, json=body)


async def tell(api: Api, told: dict[str, Any], **changed: Any) -> tuple[str, bool]:
    answer = (await post(api, told, **changed)).raise_for_status().json()
    return answer["outcome"], answer["replayed"]


async def test_once_per_field_and_version_whatever_message_it_came_by(profile: Api) -> None:
    assert await tell(profile, TOLD) == ("granted", False)
    assert await tell(profile, TOLD) == ("granted", True)
    # Another message, channel or receipt, and a version written as text, make no other event of it.
    assert await tell(profile, TOLD, message_id="m-2", channel="sms") == ("granted", True)
    assert await tell(profile, TOLD | {"consent_receipt_id": "rcpt-2", "field_version": "1"}) == ("granted", True)
    assert await tell(profile, TOLD | {"field_version": 2}) == ("granted", False)
    assert await tell(profile, TOLD | {"field": "city"}) == ("granted", False)
    assert await tell(profile, TOLD, customer={"id": "c-2"}) == ("granted", False)
    balance = (await profile.client("storefront").get("/v1/customers/c-1/balance")).raise_for_status().json()
    assert balance["balance"] == 60


async def test_the_grant_keeps_the_receipt_the_version_and_the_message(profile: Api) -> None:
    grant_id = (await post(profile, TOLD)).raise_for_status().json()["grant_id"]
    grant = (await profile.client("messaging").get(f"/v1/grants/{grant_id}")).raise_for_status().json()
    assert (grant["message_id"], grant["qualifier"]) == ("data", "birthday@1")
    assert grant["metadata"] == TOLD | {"message_id": "m-1"}


WRONG: list[tuple[dict[str, Any] | None, str]] = [
    (None, "consent_receipt_id"),
    ({}, "consent_receipt_id"),
    ({"field": "birthday", "field_version": 1}, "consent_receipt_id"),
    (TOLD | {"consent_receipt_id": ""}, "consent_receipt_id"),
    (TOLD | {"consent_receipt_id": None}, "consent_receipt_id"),
    (TOLD | {"consent_receipt_id": "r" * 257}, "consent_receipt_id"),
    ({"consent_receipt_id": "rcpt-1", "field_version": 1}, "field"),
    (TOLD | {"field": "a@b"}, "field"),
    (TOLD | {"field": "birthday\n"}, "field"),
    ({"consent_receipt_id": "rcpt-1", "field": "birthday"}, "field_version"),
    (TOLD | {"field_version": True}, "field_version"),
    (TOLD | {"field_version": 1.5}, "field_version"),
    (TOLD | {"field_version": "1@2"}, "field_version"),
]


@pytest.mark.parametrize(("told", "name"), WRONG)
async def test_what_is_missing_is_named_and_nothing_is_recorded(profile: Api, told: dict[str, Any] | None, name: str) -> None:
    for path in ("/v1/grants", "/v1/grants/quote"):
        answer = await post(profile, told, path)
        assert answer.status_code == 422, answer.text
        assert [error["pointer"] for error in answer.json()["errors"]] == [f"/metadata/{name}"]
    assert (await profile.client("messaging").get("/v1/grants")).json()["items"] == []


async def test_in_a_batch_it_concerns_its_own_item(profile: Api) -> None:
    items = [REPORT | {"metadata": TOLD}, REPORT, REPORT | {"action": "click"}]
    answer = await profile.client("messaging").post("/v1/grants/batch", json=items)
    results = answer.raise_for_status().json()["results"]
    assert [result["status"] for result in results] == [201, 422, 201]


async def test_it_proves_no_person_and_is_paid_by_no_proof(profile: Api) -> None:
    assert await tell(profile, TOLD, message_id="data") == ("granted", False)
    proof = await post(profile, None, action="click", message_id="data")
    assert proof.json()["outcome"] == "granted"
    for version in (2, 3):
        assert await tell(profile, TOLD | {"field_version": version}, evidence="C", message_id="data") == ("waiting", False)
    assert await tell(profile, TOLD | {"field_version": 2}) == ("granted", False)
    # What waits of a message does not take it for proof either.
    weak = await post(profile, None, action="click", message_id="m-9", evidence="D")
    assert weak.json()["outcome"] == "waiting"
    assert await tell(profile, TOLD | {"field_version": 4}, message_id="m-9") == ("granted", False)
    again = await post(profile, None, action="click", message_id="m-9", evidence="D")
    assert again.json()["outcome"] == "waiting"


async def test_after_a_merge_it_was_told_already(profile: Api) -> None:
    assert await tell(profile, TOLD) == ("granted", False)
    assert await tell(profile, TOLD | {"field": "city"}, customer={"id": "c-2"}) == ("granted", False)
    merged = await profile.client("messaging").post("/v1/customers/c-1/merge", json={"from": {"id": "c-2"}})
    assert merged.is_success, merged.text
    for field in ("birthday", "city"):
        assert await tell(profile, TOLD | {"field": field}, customer={"id": "c-2"}) == ("granted", True)
