"""A device is a name like another, but for one thing: people share it, so it leads to its owner only until she has another."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from tests.api_fixtures import Api
from tests.customers.calls import CLICK, authorize, balance, check, grant, identity_of, merge, put, verify

TABLET = {"device": "Ada's tablet ⌘ 7"}
ADA = {"email": "ada@example.org"}
BOB = {"email": "bob@example.org"}


async def test_a_device_earns_and_is_given_to_the_id_that_signs_on(
    funded: Api, other: Api, reader_pool: asyncpg.Pool[Any]
) -> None:
    assert (await grant(funded, TABLET)).json()["balance"] == 5
    assert (await grant(other, TABLET)).json()["replayed"] is True
    refused = await authorize(funded, TABLET, 5)
    assert refused.json()["code"] == "customer_not_confirmed"
    await grant(funded, {"id": "c-1"}, message_id="m-2")
    assert (await put(funded, "c-1", **TABLET)).json()["balance"] == 10
    assert (await authorize(other, TABLET, 10)).status_code == 201
    await check(funded, reader_pool)


async def test_a_device_is_verified_and_redeems(funded: Api) -> None:
    await grant(funded, TABLET)
    tablet = await identity_of(funded, **TABLET)
    assert tablet["kind"] == "device"
    await verify(funded, tablet["identity_id"], "sign_on", "session-1")
    assert (await authorize(funded, TABLET, 5)).status_code == 201


async def test_a_shared_device_makes_nobody_one_with_another(funded: Api, other: Api, reader_pool: asyncpg.Pool[Any]) -> None:
    people = [ADA, BOB, {"id": "c-3"}, {"phone": "+4930901820"}]
    for n, name in enumerate(people):
        answer = (await grant((funded, other)[n % 2], name | TABLET)).json()
        assert (answer["replayed"], answer["balance"]) == (False, 5), name
    # The device stays with whom it came first, and earns for her when it is alone.
    assert (await grant(other, TABLET)).json()["replayed"] is True
    assert (await grant(other, TABLET, message_id="m-2")).json()["balance"] == 10
    for n, name in enumerate(people):
        assert (await grant((other, funded)[n % 2], name)).json()["replayed"] is True
    await check(funded, reader_pool)


async def test_what_a_device_had_earned_is_hers_who_signs_on_first(
    funded: Api, other: Api, owner: asyncpg.Connection[Any], reader_pool: asyncpg.Pool[Any]
) -> None:
    await grant(funded, TABLET)
    await grant(other, {"device": "her telephone"})
    # The other process remembers a device without a name, and so do two copies that come at the same time.
    answers = await asyncio.gather(*(grant(process, name | TABLET) for process in (other, funded) for name in (ADA, BOB)))
    assert sorted(answer.json()["replayed"] for answer in answers) == [False, True, True, True]
    assert {answer.json()["balance"] for answer in answers} == {5}
    for name in (ADA, BOB):
        assert (await grant(other, name)).json()["replayed"] is True
        assert (await grant(funded, name | TABLET)).json()["replayed"] is True
    emails = "SELECT customer FROM rewards.identity WHERE kind = 2"
    assert len({row["customer"] for row in await owner.fetch(emails)}) == 2
    # An id that signs on joins her as it joins an email.
    assert (await grant(funded, {"id": "c-1", "device": "her telephone"})).json()["replayed"] is True
    assert (await balance(other, "c-1"))["balance"] == 5
    assert (await grant(other, {"id": "c-2", "device": "her telephone"})).json()["replayed"] is False
    await check(funded, reader_pool)


async def test_a_device_that_was_merged_elsewhere_leads_to_nobody_else(funded: Api, other: Api) -> None:
    for process in (funded, other):
        await grant(process, TABLET)
    await put(funded, "c-1", **TABLET)
    # The other process remembers a device without a name.
    assert (await grant(other, ADA | TABLET)).json()["replayed"] is False
    assert (await balance(other, "c-1"))["balance"] == 5


async def test_a_device_of_somebody_with_other_names_is_not_given_away_unasked(funded: Api) -> None:
    await grant(funded, ADA | TABLET)
    await grant(funded, {"device": "another"})
    refused = await put(funded, "c-1", device=TABLET["device"], phone="+4930901820")
    assert (refused.status_code, refused.json()["code"]) == (409, "identity_conflict")
    assert [error["pointer"] for error in refused.json()["errors"]] == ["/device"]
    assert (await balance(funded, "c-1"))["known"] is False
    # With her email it is she, and whoever merges has been asked.
    assert (await put(funded, "c-2", **ADA, **TABLET)).json()["balance"] == 5
    items = [{"id": "c-3", "device": "another"}, {"id": "c-4", "device": "another"}]
    results = (await funded.client("messaging").post("/v1/customers/batch", json=items)).json()["results"]
    assert [result["status"] for result in results] == [200, 409]
    await grant(funded, BOB | {"device": "Bob's"})
    await put(funded, "c-5")
    assert (await merge(funded, "c-5", device="Bob's")).json()["balance"] == 5


async def test_a_batch_of_a_shared_device_is_as_many_people(funded: Api, owner: asyncpg.Connection[Any]) -> None:
    customers = [TABLET, ADA | TABLET, BOB | TABLET, {"id": "c-1"} | TABLET, ADA | {"device": "another"}, {"device": "another"}]
    answer = await funded.client("messaging").post("/v1/grants/batch", json=[CLICK | {"customer": each} for each in customers])
    replayed = [result["replayed"] for result in answer.raise_for_status().json()["results"]]
    # The first who gives a name is whoever had earned on the device until then.
    assert replayed == [False, True, False, False, True, True]
    assert await owner.fetchval("SELECT count(*) FROM rewards.customer") == 3


async def test_a_device_does_not_stand_in_for_a_name_that_nobody_has(funded: Api) -> None:
    await put(funded, "c-1", **TABLET)
    await grant(funded, {"id": "c-1"})
    stranger = await authorize(funded, {"id": "c-2"} | TABLET, 5)
    assert (stranger.status_code, stranger.json()["code"]) == (402, "insufficient_balance")
    looked = await funded.client("storefront").post("/v1/customers/lookup", json={"customers": [{"id": "c-2"} | TABLET]})
    assert looked.json()["results"][0]["known"] is False


async def test_a_device_of_another_id_is_a_conflict_until_they_are_merged(funded: Api) -> None:
    await put(funded, "c-1", **TABLET)
    refused = await put(funded, "c-2", **TABLET)
    assert (refused.status_code, refused.json()["code"]) == (409, "identity_conflict")
    assert [error["pointer"] for error in refused.json()["errors"]] == ["/device"]
    await put(funded, "c-2")
    assert (await merge(funded, "c-2", **TABLET)).json()["merged"] == 1
    assert (await balance(funded, "c-1"))["merged_into"] is not None


WRONG = ["", "x" * 201, "a\tb", "a\n", "\x7f"]


@pytest.mark.parametrize("device", WRONG)
async def test_what_is_no_device_is_refused(funded: Api, device: str) -> None:
    refused = await grant(funded, {"device": device})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/customer/device")
    refused = await put(funded, "c-1", device=device)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/device")


async def test_a_device_is_the_customer_of_a_link_and_of_a_batch(funded: Api) -> None:
    link = {
        "campaign": "autumn",
        "message_id": "m-1",
        "customer": TABLET,
        "action": "click",
        "channel": "email",
        "destination": "https://shop.example/autumn",
    }
    minted = await funded.client("messaging").post("/v1/links", json={"links": [link]})
    assert minted.raise_for_status().json()["results"][0]["status"] == 201
    attached = await funded.client("messaging").post("/v1/customers/batch", json=[{"id": "c-1"} | TABLET])
    assert attached.raise_for_status().json()["results"][0]["status"] == 200
    assert (await identity_of(funded, **TABLET))["state"] == "unverified"
    assert (await grant(funded, {"id": "c-1"})).json()["balance"] == 5
    assert (await grant(funded, TABLET)).json()["replayed"] is True
