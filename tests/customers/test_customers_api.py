"""Customers over HTTP: names are attached, what they earned apart becomes one, and what is in the way is said."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from tests.api_fixtures import Api
from tests.customers.calls import authorize, balance, check, grant, merge, put


async def test_an_email_earns_and_redeems_once_it_has_an_id(funded: Api, reader_pool: asyncpg.Pool[Any]) -> None:
    ada = {"email": "ada@example.org"}
    assert (await grant(funded, ada)).json()["balance"] == 5
    refused = await authorize(funded, ada, 5)
    assert (refused.status_code, refused.json()["code"]) == (409, "customer_not_confirmed")

    attached = await put(funded, "c-1", email="Ada@Example.org")

    assert attached.status_code == 200
    # The customer who had earned under her address is who the id is given to: nobody has to be merged.
    assert attached.json() == {
        "customer": "c-1",
        "known": True,
        "confirmed": True,
        "merged": 0,
        "merged_points": 0,
        "balance": 5,
        "balance_seq": attached.json()["balance_seq"],
    }
    assert (await balance(funded, "c-1"))["balance"] == 5
    assert (await authorize(funded, ada, 5)).status_code == 201
    assert (await authorize(funded, {"id": "c-1"}, 5, "k-2")).json()["code"] == "insufficient_balance"
    await check(funded, reader_pool)


async def test_what_an_email_had_earned_is_moved_to_the_id_that_gets_it(funded: Api, reader_pool: asyncpg.Pool[Any]) -> None:
    await grant(funded, {"email": "ada@example.org"})
    await grant(funded, {"phone": "+4930901820"}, message_id="m-2")
    await grant(funded, {"id": "c-1"}, message_id="m-3")
    attached = await put(funded, "c-1", email="ada@example.org", phone="+49 30 901820")
    assert (attached.json()["merged"], attached.json()["merged_points"], attached.json()["balance"]) == (2, 10, 15)
    again = await put(funded, "c-1", email="ada@example.org", phone="+49 30 901820")
    assert again.json() == attached.json() | {"merged": 0, "merged_points": 0, "balance_seq": again.json()["balance_seq"]}
    for name in ({"email": "ada@example.org"}, {"phone": "+4930901820"}, {"id": "c-1"}):
        for message_id in ("m-1", "m-2", "m-3"):
            late = (await grant(funded, name, message_id=message_id)).json()
            assert (late["replayed"], late["balance"]) == (True, 15), (name, message_id)
    shown = await funded.client("storefront").get("/v1/customers/c-1/statement")
    assert sum(line["points"] for line in shown.json()["items"]) == 15
    await check(funded, reader_pool)


async def test_a_name_of_another_id_is_a_conflict_and_nothing_is_changed(funded: Api) -> None:
    await put(funded, "c-1", email="ada@example.org")
    await grant(funded, {"phone": "+4930901820"})
    refused = await put(funded, "c-2", email="ada@example.org", phone="+4930901820")
    assert (refused.status_code, refused.json()["code"]) == (409, "identity_conflict")
    assert [error["pointer"] for error in refused.json()["errors"]] == ["/email"]
    # Neither was c-2 made nor was the phone given to her.
    assert (await balance(funded, "c-2"))["known"] is False
    assert (await put(funded, "c-3", phone="+4930901820")).json()["balance"] == 5


WRONG = [
    ({"email": "no address"}, "/email", "invalid_field"),
    ({"phone": "030 901820"}, "/phone", "invalid_field"),
    ({"name": "Ada"}, "/name", "unknown_field"),
]


@pytest.mark.parametrize(("names", "pointer", "code"), WRONG)
async def test_a_name_that_is_none_is_refused(funded: Api, names: dict[str, str], pointer: str, code: str) -> None:
    refused = await put(funded, "c-1", **names)
    assert (refused.status_code, refused.json()["code"]) == (422, code)
    assert [error["pointer"] for error in refused.json()["errors"]] == [pointer]


async def test_a_batch_answers_each_item_for_itself(funded: Api, reader_pool: asyncpg.Pool[Any]) -> None:
    await grant(funded, {"email": "ada@example.org"})
    items = [
        {"id": "c-1", "email": "ada@example.org"},
        {"id": "c-2", "email": "ada@example.org"},
        {"id": "c-3", "email": "nobody"},
        {"id": "c-1", "phone": "+4930901820"},
        {"id": "c-4", "phone": "+4930901820"},
        {"id": "cus_1"},
    ]
    results = (await funded.client("messaging").post("/v1/customers/batch", json=items)).raise_for_status().json()["results"]
    assert [result["status"] for result in results] == [200, 409, 422, 200, 409, 422]
    assert [result["index"] for result in results] == list(range(6))
    assert results[0]["balance"] == results[3]["balance"] == 5
    assert results[4]["problem"]["errors"][0]["pointer"] == "/phone"
    # So begin our own numbers.
    assert results[5]["problem"]["errors"][0]["pointer"] == "/id"
    await check(funded, reader_pool)


async def test_a_batch_of_ten_thousand_merges_what_it_must_and_is_one_request(
    funded: Api, reader_pool: asyncpg.Pool[Any]
) -> None:
    for n in range(20):
        await grant(funded, {"email": f"ada{n}@example.org"})
        await grant(funded, {"id": f"c-{n}"}, message_id="m-2")
    items = [{"id": f"c-{n}", "email": f"ada{n}@example.org"} for n in range(10_000)]
    for merged in (20, 0):
        answer = await funded.client("messaging").post("/v1/customers/batch", json=items)
        results = answer.raise_for_status().json()["results"]
        assert sum(result["merged"] for result in results) == merged
        assert {result["balance"] for result in results[:20]} == {10}
    found = await funded.client("storefront").post(
        "/v1/customers/lookup", json={"customers": [{"email": item["email"]} for item in items]}
    )
    assert all(result["confirmed"] for result in found.json()["results"])
    await check(funded, reader_pool)


async def test_a_look_up_creates_nobody(funded: Api, owner: asyncpg.Connection[Any]) -> None:
    await grant(funded, {"email": "ada@example.org"})
    await put(funded, "c-1", phone="+4930901820")
    customers = [{"email": "ada@example.org"}, {"id": "c-1"}, {"phone": "+4930901820"}, {"id": "c-9"}, {"email": "nobody"}, {}]
    answer = await funded.client("storefront").post("/v1/customers/lookup", json={"customers": customers})
    results = answer.raise_for_status().json()["results"]
    assert [(result.get("known"), result.get("confirmed"), result.get("balance")) for result in results[:4]] == [
        (True, False, 5),
        (True, True, 0),
        (True, True, 0),
        (False, False, 0),
    ]
    assert [result["status"] for result in results] == [200, 200, 200, 200, 422, 422]
    assert results[4]["problem"]["errors"][0]["pointer"] == "/email"
    assert await owner.fetchval("SELECT count(*) FROM rewards.customer") == 2


async def test_two_ids_become_one_and_a_late_event_of_the_old_lands_on_the_survivor(
    funded: Api, reader_pool: asyncpg.Pool[Any]
) -> None:
    await grant(funded, {"id": "c-1"})
    await grant(funded, {"id": "c-2"})
    merged = await merge(funded, "c-1", id="c-2")
    assert (merged.status_code, merged.json()["merged"], merged.json()["merged_points"]) == (200, 1, 5)
    # Both had earned before anybody knew that they are one: that stays paid.
    late = await grant(funded, {"id": "c-2"}, message_id="m-2")
    assert (late.status_code, late.json()["balance"]) == (201, 15)
    old, new = await balance(funded, "c-2"), await balance(funded, "c-1")
    assert (old["balance"], new["balance"], new["merged_into"]) == (15, 15, None)
    assert str(old["merged_into"]).startswith("cus_")
    of_old, of_new = [
        (await funded.client("storefront").get(f"/v1/customers/{each}/statement")).json() for each in ("c-2", "c-1")
    ]
    assert of_old == of_new
    again = await merge(funded, "c-1", id="c-2")
    assert (again.status_code, again.json()["merged"], again.json()["merged_points"]) == (200, 0, 0)
    assert (await merge(funded, "c-1", id="c-1")).json()["merged"] == 0
    await check(funded, reader_pool)


async def test_a_merge_is_in_the_audit_trail_once_and_without_names(funded: Api) -> None:
    for own_id in ("c-1", "c-2"):
        await put(funded, own_id)
    for _ in range(2):
        await merge(funded, "c-1", id="c-2")
    await merge(funded, "c-1", email="ada@example.org")
    trail = (await funded.client("admin").get("/v1/audit-trail")).json()["items"]
    entries = [entry for entry in trail if entry["act"] == "customer.merge"]
    survivor = entries[0]["subject"]
    assert survivor == (await balance(funded, "c-2"))["merged_into"]
    assert [entry["after"] for entry in entries] == [
        {"merged": entries[0]["after"]["merged"], "attached": []},
        {"merged": [], "attached": ["email"]},
    ]
    assert all(name not in str(entries) for name in ("c-2", "ada"))


async def test_a_merge_needs_one_whom_somebody_knows(funded: Api) -> None:
    assert (await merge(funded, "c-1", id="c-2")).status_code == 404
    for name in ({}, {"id": "c-2", "email": "ada@example.org"}):
        refused = await merge(funded, "c-1", **name)
        assert [error["pointer"] for error in refused.json()["errors"]] == ["/from"]
    await grant(funded, {"email": "ada@example.org"})
    # Nobody knows the id yet: from now on it is hers.
    assert (await merge(funded, "c-1", email="ada@example.org")).json() | {"balance_seq": 0} == {
        "customer": "c-1", "known": True, "confirmed": True, "merged": 0, "merged_points": 0, "balance": 5, "balance_seq": 0,
    }  # fmt: skip
    assert (await merge(funded, "c-1", id="c-2")).status_code == 200
    assert (await grant(funded, {"id": "c-2"})).json()["replayed"] is True


async def test_at_most_eight_are_one(funded: Api, reader_pool: asyncpg.Pool[Any]) -> None:
    for n in range(9):
        await grant(funded, {"id": f"c-{n}"})
    for n in range(1, 7):
        assert (await merge(funded, "c-0", id=f"c-{n}")).status_code == 200
    assert (await merge(funded, "c-7", id="c-8")).status_code == 200
    refused = await merge(funded, "c-7", id="c-3")
    assert (refused.status_code, refused.json()["code"]) == (409, "merge_limit_reached")
    assert ((await balance(funded, "c-7"))["balance"], (await balance(funded, "c-3"))["balance"]) == (10, 35)
    await grant(funded, {"email": "ada@example.org"})
    await grant(funded, {"phone": "+4930901820"})
    assert (await put(funded, "c-0", email="ada@example.org")).json()["balance"] == 40
    assert (await put(funded, "c-0", phone="+4930901820")).json()["code"] == "merge_limit_reached"
    assert (await grant(funded, {"id": "c-5"})).json() | {"replayed": True, "balance": 40} == (
        await grant(funded, {"email": "ada@example.org"})
    ).json()
    await check(funded, reader_pool)


async def test_chains_of_merges_end_at_the_last_survivor(funded: Api, other: Api, reader_pool: asyncpg.Pool[Any]) -> None:
    for n, process in enumerate([funded, other, funded, other]):
        await grant(process, {"id": f"c-{n}"})
    await merge(funded, "c-1", id="c-0")
    await merge(other, "c-2", id="c-1")
    await merge(funded, "c-3", id="c-0")
    for process in (funded, other):
        for n in range(4):
            assert (await balance(process, f"c-{n}"))["balance"] == 20
            assert (await grant(process, {"id": f"c-{n}"})).json()["replayed"] is True
    await check(funded, reader_pool)


@pytest.mark.one_process("makes this process forget customers, as a process that starts again")
async def test_an_interrupted_merge_is_finished_by_the_next_look(
    funded: Api, owner: asyncpg.Connection[Any], reader_pool: asyncpg.Pool[Any]
) -> None:
    for own_id in ("c-1", "c-2"):
        await grant(funded, {"id": own_id})
    survivor, loser = [row["customer"] for row in await owner.fetch("SELECT customer FROM rewards.customer ORDER BY customer")]
    # As if the process had died between the look-ups and the book.
    await owner.execute("UPDATE rewards.customer SET merged_into = $1, generation = 16 WHERE customer = $2", survivor, loser)
    await owner.execute("UPDATE rewards.customer SET absorbed = 1, generation = 16 WHERE customer = $1", survivor)
    funded.services.customers.forget([survivor, loser])
    assert (await balance(funded, "c-1"))["balance"] == 10
    assert (await grant(funded, {"id": "c-2"})).json()["replayed"] is True
    await check(funded, reader_pool)


async def test_a_merged_customer_redeems_as_the_survivor(funded: Api, other: Api, reader_pool: asyncpg.Pool[Any]) -> None:
    for own_id in ("c-1", "c-2"):
        await grant(funded, {"id": own_id})
        assert (await balance(other, own_id))["balance"] == 5
    held = (await authorize(funded, {"id": "c-2"}, 2, "k-0")).raise_for_status().json()["redemption_id"]
    await merge(funded, "c-1", id="c-2")
    # The other process remembers two customers.
    quote = await other.client("storefront").post("/v1/redemptions/quote", json={"customer": {"id": "c-2"}, "points": 8})
    assert (quote.json()["spendable"], quote.json()["balance"]) == (True, 8)
    taken = await authorize(other, {"id": "c-2"}, 8)
    assert taken.status_code == 201
    storefront = other.client("storefront")
    assert (await storefront.post(f"/v1/redemptions/{held}/void")).json()["balance"] == 2
    for own_id in ("c-1", "c-2"):
        found = await storefront.get("/v1/redemptions", params={"customer": own_id})
        assert len(found.json()["items"]) == 2
    await check(funded, reader_pool)


async def test_lists_of_a_process_that_remembers_two_customers_are_the_survivors(funded: Api, other: Api) -> None:
    for own_id in ("c-1", "c-2"):
        await grant(other, {"id": own_id})
    await authorize(other, {"id": "c-2"}, 5)
    await merge(funded, "c-1", id="c-2")
    for path, key, length in (
        ("redemptions", "storefront", 1),
        ("grants", "messaging", 2),
        ("customers/c-2/statement", "finance", 1),
    ):
        parameters = {} if "/" in path else {"customer": "c-2"}
        found = await other.client(key).get(f"/v1/{path}", params=parameters)
        assert len(found.raise_for_status().json()["items"]) == length, path


async def test_a_pos_that_remembers_the_old_customer_is_served(funded: Api, other: Api, reader_pool: asyncpg.Pool[Any]) -> None:
    for own_id in ("c-1", "c-2"):
        await grant(other, {"id": own_id})
    await merge(funded, "c-1", id="c-2")
    assert (await authorize(other, {"id": "c-2"}, 10)).status_code == 201
    await check(funded, reader_pool)


async def test_many_who_merge_and_report_at_once_lose_and_gain_nothing(
    funded: Api, other: Api, reader_pool: asyncpg.Pool[Any]
) -> None:
    names = [{"id": f"c-{n}"} for n in range(4)] + [{"email": f"ada{n}@example.org"} for n in range(4)]
    for name in names:
        await grant(funded, name, message_id="before")
    work = [grant(process, name, message_id=f"m-{n}") for n in range(5) for process in (funded, other) for name in names]
    work += [merge(process, "c-0", id=f"c-{n}") for n, process in ((1, funded), (2, other), (3, funded))]
    work += [put(process, "c-0", email=f"ada{n}@example.org") for n in range(4) for process in (funded, other)]
    answers = await asyncio.gather(*work)
    assert {answer.status_code for answer in answers} <= {200, 201}
    total = (await balance(funded, "c-0"))["balance"]
    # Each of five messages is paid at least once, and again for each name that was paid before it was known to be hers.
    assert 8 * 5 + 5 * 5 <= total <= 8 * 5 + 8 * 5 * 5
    for process in (funded, other):
        for name in names:
            for n in range(5):
                assert (await grant(process, name, message_id=f"m-{n}")).json()["replayed"] is True
        assert (await balance(process, "c-2"))["balance"] == total
    await check(funded, reader_pool)


SCOPES: list[tuple[str, str, Any, str]] = [
    ("PUT", "/v1/customers/c-1", {}, "storefront"),
    ("POST", "/v1/customers/batch", [{"id": "c-1"}], "storefront"),
    ("POST", "/v1/customers/c-1/merge", {"from": {"id": "c-2"}}, "storefront"),
]


@pytest.mark.parametrize(("method", "path", "body", "key"), SCOPES)
async def test_who_may_only_read_changes_no_names(api: Api, method: str, path: str, body: Any, key: str) -> None:
    refused = await api.client(key).request(method, path, json=body)
    assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope")
