"""Coming to a place earns once per customer and place, and nothing but the place is kept of it."""

from __future__ import annotations

from typing import Any

import asyncpg
import httpx
import pytest

from tests.api_fixtures import Api

CAMPAIGN: dict[str, Any] = {
    "id": "stroll",
    "name": "Stroll",
    "starts_at": "2026-01-01T00:00:00Z",
    "ends_at": "2099-01-01T00:00:00Z",
    "budget": 1_000_000,
    "rules": [
        {"action": "location.enter", "points": 20},
        {"action": "location.dwell", "points": 5, "once_per": "day"},
        {"action": "open", "points": 1},
        {"action": "review", "points": 7},
    ],
}
REPORT: dict[str, Any] = {
    "campaign": "stroll",
    "message_id": "visit-1",
    "customer": {"id": "c-1"},
    "action": "location.enter",
    "channel": "app",
}
AT_STORE = {"place_id": "store-117"}


@pytest.fixture
async def stroll(api: Api) -> Api:
    (await api.client("admin").post("/v1/campaigns", json=CAMPAIGN)).raise_for_status()
    return api


async def post(api: Api, told: dict[str, Any] | None, path: str = "/v1/grants", **changed: Any) -> httpx.Response:
    body = REPORT | changed | ({} if told is None else {"metadata": told})
    return await api.client("messaging").post(path, json=body)


async def enter(api: Api, told: dict[str, Any], **changed: Any) -> tuple[str, bool]:
    answer = (await post(api, told, **changed)).raise_for_status().json()
    return answer["outcome"], answer["replayed"]


async def test_once_per_place_whatever_message_it_came_by(stroll: Api) -> None:
    assert await enter(stroll, AT_STORE) == ("granted", False)
    assert await enter(stroll, AT_STORE) == ("granted", True)
    assert await enter(stroll, AT_STORE, message_id="visit-2", channel="push") == ("granted", True)
    assert await enter(stroll, {"place_id": "berlin-mitte"}) == ("granted", False)
    assert await enter(stroll, AT_STORE, customer={"id": "c-2"}) == ("granted", False)
    assert await enter(stroll, AT_STORE, action="location.dwell") == ("granted", False)
    assert await enter(stroll, AT_STORE, action="location.dwell", occurred_at="2026-10-01T12:00:00Z") == ("granted", False)


async def test_the_grant_keeps_the_place_and_nothing_else(stroll: Api) -> None:
    # The id of a visit is free text: it is no part of what is kept.
    grant_id = (await post(stroll, AT_STORE, message_id="52.520008,13.404954")).json()["grant_id"]
    grant = (await stroll.client("messaging").get(f"/v1/grants/{grant_id}")).json()
    assert (grant["message_id"], grant["metadata"], grant["qualifier"]) == ("store-117", None, "")
    grant_id = (await post(stroll, {"place_id": "mitte"}, store_id="store-117")).json()["grant_id"]
    grant = (await stroll.client("messaging").get(f"/v1/grants/{grant_id}")).json()
    assert (grant["message_id"], grant["metadata"]) == ("mitte", {"store_id": "store-117"})


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "/metadata/place_id"),
    ({"metadata": {}}, "/metadata/place_id"),
    ({"metadata": {"place_id": None}}, "/metadata/place_id"),
    ({"metadata": {"place_id": 117}}, "/metadata/place_id"),
    ({"metadata": {"place_id": "52.52,13.405"}}, "/metadata/place_id"),
    ({"metadata": {"place_id": "u33dc0cppj7d"}}, "/metadata/place_id"),
    ({"metadata": {"place_id": {"lat": 52.5, "lon": 13.4}}}, "/metadata"),
    ({"metadata": AT_STORE | {"lat": 52.5}}, "/metadata/lat"),
    ({"metadata": AT_STORE | {"Längengrad": "13"}}, "/metadata/Längengrad"),
    ({"metadata": AT_STORE | {"a": 52.520008}}, "/metadata/a"),
    ({"metadata": AT_STORE | {"geo": {"type": "Point", "coordinates": [13.4, 52.5]}}}, "/metadata"),
    ({"metadata": AT_STORE | {"52.520008,13.404954": True}}, "/metadata"),
    ({"metadata": AT_STORE, "link": "52.520008,13.404954"}, "/link"),
    ({"metadata": AT_STORE, "store_id": "52.520008,13.404954"}, "/store_id"),
    ({"metadata": AT_STORE, "purchase": {"amount_minor": 1, "currency": "EUR", "order_ref": "o"}}, "/purchase"),
]


@pytest.mark.parametrize(("changed", "pointer"), REFUSED, ids=str)
async def test_coordinates_are_refused_by_the_name_of_their_field_and_nothing_is_recorded(
    stroll: Api, owner: asyncpg.Connection[Any], caplog: pytest.LogCaptureFixture, changed: dict[str, Any], pointer: str
) -> None:
    for path in ("/v1/grants", "/v1/grants/quote"):
        answer = await post(stroll, None, path, **changed)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer), answer.text
        assert "52.52" not in answer.text
    (batch,) = (await stroll.client("messaging").post("/v1/grants/batch", json=[REPORT | changed])).json()["results"]
    assert (batch["status"], batch["problem"]["errors"][0]["pointer"]) == (422, pointer)
    assert await owner.fetchval("SELECT count(*) FROM ledger.event") == 0
    assert not any(written in caplog.text for written in ("52.5", "13.4", "u33dc0cppj7d"))


GIVEN_AWAY: list[tuple[dict[str, Any], str]] = [
    ({"lat": 52.52, "lon": 13.405}, "/metadata/lat"),
    ({"store": "x", "longitude": None}, "/metadata/longitude"),
    ({"note": "geo:52.52,13.405"}, "/metadata/note"),
    ({"note": '{"type":"Point","coordinates":[1,2]}'}, "/metadata/note"),
    ({"a/b": "POINT(13.4 52.5)"}, "/metadata/a~1b"),
]


@pytest.mark.parametrize(("told", "pointer"), GIVEN_AWAY, ids=str)
async def test_no_report_keeps_coordinates_in_its_metadata(stroll: Api, told: dict[str, Any], pointer: str) -> None:
    answer = await post(stroll, told, action="review")
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer), answer.text


async def test_other_metadata_is_taken_as_before(stroll: Api) -> None:
    told = {"price": "19.99, 5.00", "geo": "DE", "rating": 4.125, "place_id": "52"}
    grant_id = (await post(stroll, told, action="review")).raise_for_status().json()["grant_id"]
    assert (await stroll.client("messaging").get(f"/v1/grants/{grant_id}")).json()["metadata"] == told


async def test_it_neither_proves_a_person_on_a_message_nor_is_paid_by_such_proof(stroll: Api) -> None:
    opened = (await post(stroll, None, action="open", message_id="store-117")).json()
    assert opened["outcome"] == "waiting"
    weak = (await post(stroll, AT_STORE, evidence="D")).json()
    assert weak["outcome"] == "waiting"
    assert (await post(stroll, None, action="review", message_id="store-117")).json()["balance"] == 8
    assert await enter(stroll, AT_STORE) == ("granted", False)


async def test_no_link_reports_it_and_it_counts_by_place(stroll: Api) -> None:
    link = {"campaign": "stroll", "message_id": "m-1", "customer": {"id": "c-1"}, "action": "location.enter"}
    link |= {"destination": "https://shop.example/"}
    (result,) = (await stroll.client("messaging").post("/v1/links", json={"links": [link]})).json()["results"]
    assert result["problem"]["errors"][0]["pointer"] == "/action"
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"points": 1, "once_per": "link"}, "/rules/0/once_per"),
        ({"points_per": {"points": 1, "minor_units": 100}}, "/rules/0/points_per"),
    ]
    for rule, pointer in wrong:
        terms = CAMPAIGN | {"id": "other", "rules": [{"action": "location.enter", **rule}]}
        answer = await stroll.client("admin").post("/v1/campaigns", json=terms)
        assert answer.json()["errors"][0]["pointer"] == pointer
