"""A name in two spellings is one name: whoever had it under the former form is found, and no points move unasked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg
import pytest

from service.customers import queries as rows
from service.customers.identities import FORM, Identity, IdentityKind, StoredAs, mac
from tests.api_fixtures import Api
from tests.customers.calls import check, grant, identity_of, put, verify

FORMER = [
    ("+49030901820", ["+49 (0)30 901820", "+4930901820", "0049 30 901820"]),
    ("+5215512345678", ["+525512345678", "+52 1 55 1234 5678"]),
    ("+5491123456789", ["+54 11 2345-6789", "+54 9 11 2345-6789", "+54 11 15 2345-6789"]),
    ("+553187654321", ["+55 31 98765-4321", "+55 31 8765-4321"]),
    ("+22997123456", ["+229 01 97 12 34 56"]),
]


async def store_under_form_1(api: Api, kind: IdentityKind, normal: str) -> int:
    """A customer as the version before stored them, by what form 1 made of their name."""
    (key,) = api.secrets.identity_keys
    stored = Identity(kind, (StoredAs(mac(key, api.brand.brand_id, kind, normal), key.key_no, 1),), (normal,))
    pool = api.services.pool
    async with pool.acquire() as connection, connection.transaction():
        (number,) = await rows.create(connection, api.brand, [False])
        await rows.attach(connection, api.brand, [(stored, number)])
    return number


async def forms(owner: asyncpg.Connection[Any]) -> list[int]:
    return [row["form"] for row in await owner.fetch("SELECT form FROM rewards.identity ORDER BY form")]


async def looked_up(api: Api, **name: str) -> dict[str, Any]:
    answer = await api.client("storefront").post("/v1/customers/lookup", json={"customers": [name]})
    return answer.raise_for_status().json()["results"][0]


@pytest.mark.parametrize(("former", "spellings"), FORMER)
async def test_who_was_stored_in_another_spelling_is_found_in_each_and_stored_again(
    funded: Api, other: Api, owner: asyncpg.Connection[Any], former: str, spellings: Sequence[str]
) -> None:
    await store_under_form_1(funded, IdentityKind.PHONE, former)
    for n, spelling in enumerate((*spellings, former)):
        for process in (other, funded):
            assert (await looked_up(process, phone=spelling))["known"] is True
            assert (await grant(process, {"phone": spelling})).json()["replayed"] is (n > 0 or process is funded)
    assert await owner.fetchval("SELECT count(*) FROM rewards.customer") == 1
    assert await forms(owner) == [FORM]


async def test_a_message_to_a_number_in_two_spellings_is_paid_once(funded: Api, other: Api) -> None:
    paid = [
        await grant(process, {"phone": phone})
        for phone in ("+49 (0)30 901820", "+4930901820", "tel:+49-30-901820", "\u202a+49 30 901820\u202c")
        for process in (funded, other)
    ]
    assert [answer.json()["replayed"] for answer in paid] == [False] + [True] * 7


async def test_a_proof_goes_along_with_a_name_that_is_stored_again(funded: Api) -> None:
    await store_under_form_1(funded, IdentityKind.PHONE, "+49030901820")
    before = (await verify(funded, (await identity_of(funded, phone="+49 (0)30 901820"))["identity_id"])).json()
    assert await identity_of(funded, phone="+4930901820") == before
    assert before["state"] == "verified"


async def test_of_two_who_had_one_number_in_two_spellings_no_points_move_until_they_are_merged(
    funded: Api, other: Api, reader_pool: asyncpg.Pool[Any]
) -> None:
    await grant(funded, {"phone": "+4930901820"})
    # The version before had them as two.
    second = await store_under_form_1(funded, IdentityKind.PHONE, "+49030901820")
    for process in (funded, other):
        for spelling in ("+49 (0)30 901820", "+4930901820"):
            # Whoever has the spelling of today is who is meant, whichever process is asked.
            found = await looked_up(process, phone=spelling)
            assert (found["balance"], found["duplicates"]) == (5, [f"cus_{second}"])
            assert (await grant(process, {"phone": spelling})).json()["replayed"] is True
    await check(funded, reader_pool)


async def test_a_do_not_call_list_of_the_former_form_protects_the_number_in_every_spelling(funded: Api, other: Api) -> None:
    await store_under_form_1(funded, IdentityKind.PHONE, "+4930901820")
    refused = await store_under_form_1(funded, IdentityKind.PHONE, "+49030901820")
    await funded.services.pool.execute("UPDATE rewards.customer SET refused = '{\"sms\": [0]}' WHERE customer = $1", refused)
    for process in (other, funded):
        for spelling in ("+4930901820", "+49 (0)30 901820"):
            answer = (await grant(process, {"phone": spelling}, channel="sms", message_id="m-2")).json()
            assert (answer["outcome"], answer["reason"]) == ("ignored", "consent_refused")
    # Their own refusal it is not: by another name they earn as ever.
    await put(funded, "c-1", phone="+4930901820")
    assert (await grant(funded, {"id": "c-1"}, channel="sms", message_id="m-3")).json()["outcome"] == "granted"


NO_NAMES = [
    ("email", "ada@example.org,bob@example.org"),
    ("email", "bob@@example.org"),
    ("email", "<ada@example.org"),
    ("email", "mailto:ada@example.org"),
    ("email", "ada@example.org."),
    ("email", '"ada"@example.org'),
    ("email", "z\u00f6e,bob@example.org"),
    ("phone", "+49 30 901820 ext. 5"),
    ("phone", "+1-800-FLOWERS"),
    ("phone", "030 901820"),
    ("phone", "+999 123456789"),
]


@pytest.mark.parametrize(("field", "text"), NO_NAMES)
async def test_what_is_no_address_and_no_number_is_refused_and_nobody_is_made(
    funded: Api, owner: asyncpg.Connection[Any], field: str, text: str
) -> None:
    refused = await grant(funded, {field: text})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, f"/customer/{field}")
    item = {"campaign": "autumn", "message_id": "m-1", "action": "click", "channel": "email"}
    batch = [item | {"customer": {field: text}}, item | {"customer": {"id": "c-2"}}]
    answer = await funded.client("messaging").post("/v1/grants/batch", json=batch)
    bad, good = answer.raise_for_status().json()["results"]
    assert (bad["status"], good["status"]) == (422, 201)
    looked = await looked_up(funded, **{field: text})
    assert (looked["status"], looked["problem"]["errors"][0]["pointer"]) == (422, f"/{field}")
    assert await owner.fetchval("SELECT count(*) FROM rewards.customer") == 1
