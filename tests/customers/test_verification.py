"""A name that the brand has proved: its customer may redeem under it, before she has an id and for as long as it holds."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from service.auth.actions import create_key
from tests.api_fixtures import Api, make_brand
from tests.customers.calls import (
    authorize,
    balance,
    check,
    grant,
    identities_of,
    identity_of,
    merge,
    put,
    unverify,
    verify,
)

ADA = {"email": "ada@example.org"}
PHONE = {"phone": "+4930901820"}


def code(answer: httpx.Response) -> tuple[int, str | None]:
    """How a call ended."""
    return answer.status_code, answer.json().get("code")


NOT_CONFIRMED = (409, "customer_not_confirmed")


async def test_an_email_earns_waits_is_verified_and_redeems(funded: Api, other: Api, reader_pool: asyncpg.Pool[Any]) -> None:
    assert (await grant(funded, ADA)).json()["balance"] == 5
    assert (await grant(other, ADA)).json()["replayed"] is True
    waiting = await identity_of(funded, **ADA)
    assert waiting | {"customer": "", "identity_id": "", "since": ""} == {
        "identity_id": "", "kind": "email", "customer": "", "state": "unverified", "verified_at": None, "method": None,
        "proof": None, "since": "",
    }  # fmt: skip
    assert waiting["identity_id"].startswith("idn_")
    number = waiting["customer"]
    for name in (ADA, {"id": number}):
        for process in (funded, other):
            refused = await authorize(process, name, 1)
            assert code(refused) == NOT_CONFIRMED
            assert "verify" in refused.json()["detail"]
            assert "own id" in refused.json()["detail"]

    verified = await verify(funded, waiting["identity_id"])
    assert verified.status_code == 200
    assert verified.json() == waiting | {
        "state": "verified",
        "method": "otp",
        "proof": "otp-1",
        "verified_at": verified.json()["verified_at"],
    }

    # Neither process remembers that she might not.
    assert code(await authorize(other, ADA, 1, "k-1")) == (201, None)
    assert code(await authorize(funded, {"id": number}, 1, "k-2")) == (201, None)
    quote = await other.client("storefront").post("/v1/redemptions/quote", json={"customer": ADA, "points": "max"})
    assert (quote.status_code, quote.json()["balance"]) == (200, 3)

    withdrawn = await unverify(funded, waiting["identity_id"])
    assert withdrawn.json() == waiting
    for process in (funded, other):
        for name in (ADA, {"id": number}):
            assert code(await authorize(process, name, 1, "k-3")) == NOT_CONFIRMED
        quote = await process.client("storefront").post("/v1/redemptions/quote", json={"customer": ADA, "points": 1})
        assert code(quote) == NOT_CONFIRMED

    # What was decided while she might is answered again; the key does not stand for something else.
    again = await authorize(other, ADA, 1, "k-1")
    assert (again.status_code, again.headers["idempotency-replayed"]) == (200, "true")
    assert code(await authorize(other, ADA, 2, "k-1")) == (422, "idempotency_key_reused")

    # The id that comes at last keeps everything.
    assert (await put(other, "c-1", **ADA)).json()["balance"] == 3
    assert code(await authorize(funded, {"id": "c-1"}, 3, "k-4")) == (201, None)
    kept = {identity["kind"]: identity["identity_id"] for identity in await identities_of(funded, "c-1")}
    assert kept["email"] == waiting["identity_id"]
    await check(funded, reader_pool)


async def test_an_id_joins_a_verified_customer_who_has_none(funded: Api) -> None:
    await grant(funded, ADA)
    email = await identity_of(funded, **ADA)
    await verify(funded, email["identity_id"])
    await grant(funded, {"id": "c-1"} | ADA, message_id="m-2")
    assert (await balance(funded, "c-1"))["balance"] == 10
    states = {each["kind"]: each["state"] for each in await identities_of(funded, "c-1")}
    assert states == {"id": "unverified", "email": "verified"}
    # A second id is another customer, as ever.
    assert code(await put(funded, "c-2", **ADA)) == (409, "identity_conflict")


async def test_a_name_that_is_not_the_verified_one_does_not_redeem(funded: Api) -> None:
    await grant(funded, ADA | PHONE)
    await verify(funded, (await identity_of(funded, **PHONE))["identity_id"])
    assert code(await authorize(funded, ADA, 1)) == NOT_CONFIRMED
    assert code(await authorize(funded, PHONE, 1, "k-2")) == (201, None)
    # Both are named: the one that is verified says that she is there.
    assert code(await authorize(funded, ADA | PHONE, 1, "k-3")) == (201, None)
    # A verified name of somebody else's says nothing.
    await grant(funded, {"email": "bob@example.org"})
    assert code(await authorize(funded, {"email": "bob@example.org"} | PHONE, 1, "k-4")) == NOT_CONFIRMED


async def test_a_name_that_is_attached_is_not_verified_by_that(funded: Api) -> None:
    await put(funded, "c-1", **ADA, **PHONE)
    assert {each["state"] for each in await identities_of(funded, "c-1")} == {"unverified"}
    # The brand's own id is enough, whatever she is called by.
    await grant(funded, {"id": "c-1"})
    assert code(await authorize(funded, ADA, 1)) == (201, None)


async def test_our_number_stands_alone_and_is_the_brands(funded: Api, owner: asyncpg.Connection[Any]) -> None:
    await grant(funded, {"id": "c-1"})
    number = (await identities_of(funded, "c-1"))[0]["customer"]
    assert code(await authorize(funded, {"id": number}, 1)) == (201, None)
    together = await authorize(funded, {"id": number} | ADA, 1, "k-2")
    assert (code(together), together.json()["errors"][0]["pointer"]) == ((422, "invalid_field"), "/customer/id")
    assert await identities_of(funded, number) == await identities_of(funded, "c-1")
    for nobody in ("cus_999", "cus_0", "cus_x"):
        assert code(await authorize(funded, {"id": nobody}, 1, f"k-{nobody}")) == (404, "not_found")
        assert code(await funded.client("storefront").get(f"/v1/customers/{nobody}/identities")) == (404, "not_found")
    foreign = await make_brand(owner, code="other")
    key, _ = await create_key(owner, foreign.code, "till", ["redemptions:write", "customers:read", "customers:write"])
    stranger = funded.client(key=key)
    body = {"customer": {"id": number}, "points": 1, "order_ref": "o"}
    taken = await stranger.post("/v1/redemptions", json=body, headers={"Idempotency-Key": "k"})
    assert code(taken) == (404, "not_found")
    assert code(await stranger.get(f"/v1/customers/{number}/identities")) == (404, "not_found")


async def test_the_same_proof_again_changes_nothing_and_another_is_kept_beside_the_first(
    funded: Api, other: Api, owner: asyncpg.Connection[Any]
) -> None:
    await grant(funded, ADA)
    identity_id = (await identity_of(funded, **ADA))["identity_id"]
    first = await verify(funded, identity_id, proof="otp-1", at="2026-01-02T03:04:05+01:00")
    assert first.json()["verified_at"] == "2026-01-02T02:04:05Z"
    answers = await asyncio.gather(*(verify(process, identity_id, proof="otp-1") for process in (funded, other) for _ in "123"))
    answers.append(await verify(other, identity_id, "sign_on", "session 8"))
    answers.append(await verify(other, identity_id, "document", "otp-1"))
    assert all(answer.json() == first.json() for answer in answers)
    history = (await funded.client("storefront").get(f"/v1/identities/{identity_id}/verifications")).json()["items"]
    assert [(each["act"], each["method"], each["proof"]) for each in history] == [
        ("verify", "otp", "otp-1"),
        ("verify", "sign_on", "session 8"),
        ("verify", "document", "otp-1"),
    ]
    assert await owner.fetchval("SELECT count(*) FROM rewards.verification") == 3


async def test_a_proof_that_was_withdrawn_does_not_come_back(funded: Api, other: Api) -> None:
    await grant(funded, ADA)
    identity_id = (await identity_of(funded, **ADA))["identity_id"]
    await verify(funded, identity_id, proof="otp-1")
    for process in (funded, other, funded):
        assert (await unverify(process, identity_id)).json()["state"] == "unverified"
    # The copy that was under way all the time.
    assert code(await verify(other, identity_id, proof="otp-1")) == (409, "proof_withdrawn")
    anew = await verify(funded, identity_id, proof="otp-2")
    assert (anew.json()["state"], anew.json()["proof"]) == ("verified", "otp-2")
    assert code(await verify(other, identity_id, proof="otp-1")) == (409, "proof_withdrawn")
    path = f"/v1/identities/{identity_id}/verifications"
    pages, after = list[Any](), None
    while True:
        found = (await other.client("storefront").get(path, params={"limit": 2} | ({"after": after} if after else {}))).json()
        pages += found["items"]
        if (after := found["next"]) is None:
            break
    assert [(each["act"], each["proof"], each["reason"]) for each in pages] == [
        ("verify", "otp-1", None),
        ("unverify", None, "somebody else's"),
        ("verify", "otp-2", None),
    ]
    assert {each["principal"] for each in pages} == {"key_2"}


async def test_a_withdrawal_of_nothing_is_answered_and_not_kept(funded: Api) -> None:
    await grant(funded, ADA)
    waiting = await identity_of(funded, **ADA)
    assert (await unverify(funded, waiting["identity_id"])).json() == waiting
    history = await funded.client("storefront").get(f"/v1/identities/{waiting['identity_id']}/verifications")
    assert history.json() == {"items": [], "next": None}


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"method": "guess"}, "/method", "invalid_field"),
    ({"proof": ""}, "/proof", "invalid_field"),
    ({"proof": "x" * 201}, "/proof", "invalid_field"),
    ({"proof": "a\nb"}, "/proof", "invalid_field"),
    ({"proof": " ADA@example.org"}, "/proof", "invalid_field"),
    ({"proof": "code sent to ada@example.org"}, "/proof", "invalid_field"),
    ({"proof": None}, "/proof", "invalid_field"),
    ({"at": "2026-01-01T00:00:00"}, "/at", "invalid_field"),
    ({"at": (datetime.now(UTC) + timedelta(days=1)).isoformat()}, "/at", "invalid_field"),
    ({"code": "123456"}, "/code", "unknown_field"),
]


@pytest.mark.parametrize(("changed", "pointer", "problem"), WRONG)
async def test_what_is_no_proof_is_refused(funded: Api, changed: dict[str, Any], pointer: str, problem: str) -> None:
    await grant(funded, ADA)
    identity_id = (await identity_of(funded, **ADA))["identity_id"]
    body = {"method": "otp", "proof": "otp-1"} | changed
    refused = await funded.client("messaging").post(f"/v1/identities/{identity_id}/verify", json=body)
    assert code(refused) == (422, problem)
    assert [error["pointer"] for error in refused.json()["errors"]] == [pointer]
    assert "ada@" not in refused.text.lower()
    assert (await identity_of(funded, **ADA))["state"] == "unverified"


async def test_a_clock_a_little_ahead_proves_now(funded: Api) -> None:
    await grant(funded, ADA)
    ahead = datetime.now(UTC) + timedelta(minutes=2)
    verified = await verify(funded, (await identity_of(funded, **ADA))["identity_id"], at=ahead.isoformat())
    assert datetime.fromisoformat(verified.json()["verified_at"]) < ahead


async def test_a_reason_is_kept_and_tells_no_address_either(funded: Api) -> None:
    await grant(funded, PHONE)
    identity_id = (await identity_of(funded, **PHONE))["identity_id"]
    await verify(funded, identity_id)
    for reason in ("+49 30 901820", "0049 30 901820", ""):
        refused = await unverify(funded, identity_id, reason)
        assert [error["pointer"] for error in refused.json()["errors"]] == ["/reason"], reason
    assert (await identity_of(funded, **PHONE))["state"] == "verified"


async def test_another_brands_identity_is_nobodys(funded: Api, owner: asyncpg.Connection[Any]) -> None:
    await grant(funded, ADA)
    identity_id = (await identity_of(funded, **ADA))["identity_id"]
    foreign = await make_brand(owner, code="other")
    key, _ = await create_key(owner, foreign.code, "sender", ["customers:write", "customers:read"])
    stranger = funded.client(key=key)
    as_its_own = f"idn_{foreign.brand_id:08x}{identity_id[12:]}"
    for each in (identity_id, as_its_own, "idn_1", "idn_" + "7" * 24, "cus_1"):
        path = f"/v1/identities/{each}"
        assert code(await stranger.post(f"{path}/verify", json={"method": "otp", "proof": "otp"})) == (404, "not_found")
        assert code(await stranger.post(f"{path}/unverify", json={"reason": "none"})) == (404, "not_found")
        assert code(await stranger.get(f"{path}/verifications")) == (404, "not_found")
    assert (await identity_of(funded, **ADA))["state"] == "unverified"


SCOPES: list[tuple[str, str, Any, str]] = [
    ("POST", "verify", {"method": "otp", "proof": "otp-1"}, "storefront"),
    ("POST", "unverify", {"reason": "none"}, "storefront"),
    ("GET", "verifications", None, "none"),
]


@pytest.mark.parametrize(("method", "act", "body", "key"), SCOPES)
async def test_who_may_not_change_customers_verifies_nobody(
    funded: Api, owner: asyncpg.Connection[Any], method: str, act: str, body: Any, key: str
) -> None:
    await grant(funded, ADA)
    identity_id = (await identity_of(funded, **ADA))["identity_id"]
    weak, _ = await create_key(owner, "lumen", "weak", ["redemptions:read"])
    client = funded.client(key=weak) if key == "none" else funded.client(key)
    assert code(await client.request(method, f"/v1/identities/{identity_id}/{act}", json=body)) == (403, "missing_scope")


async def test_it_is_in_the_audit_trail_once_and_without_texts(funded: Api) -> None:
    await grant(funded, ADA)
    email = await identity_of(funded, **ADA)
    for _ in range(2):
        await verify(funded, email["identity_id"], proof="the proof")
    for _ in range(2):
        await unverify(funded, email["identity_id"], "the reason")
    trail = (await funded.client("admin").get("/v1/audit-trail")).json()["items"]
    entries = [(entry["act"], entry["subject"], entry["after"]) for entry in trail if entry["act"].startswith("identity.")]
    told = {"customer": email["customer"], "kind": "email"}
    assert entries == [
        ("identity.verify", email["identity_id"], told | {"method": "otp"}),
        ("identity.unverify", email["identity_id"], told),
    ]
    assert all(text not in str(trail) for text in ("the proof", "the reason", "ada"))


async def test_a_merge_carries_what_is_verified(funded: Api, other: Api, reader_pool: asyncpg.Pool[Any]) -> None:
    await grant(funded, ADA)
    await grant(funded, {"id": "c-1"})
    email = await identity_of(funded, **ADA)
    await verify(funded, email["identity_id"], proof="otp-9")
    await merge(other, "c-1", **ADA)
    merged = {each["kind"]: each for each in await identities_of(funded, "c-1")}
    assert merged["email"] | {"customer": email["customer"]} == email | {
        "state": "verified", "method": "otp", "proof": "otp-9", "verified_at": merged["email"]["verified_at"],
    }  # fmt: skip
    assert merged["email"]["customer"] == merged["id"]["customer"] != email["customer"]
    assert await identities_of(other, email["customer"]) == await identities_of(funded, "c-1")
    # And under the survivor's number it can be withdrawn.
    withdrawn = await unverify(other, email["identity_id"])
    assert (withdrawn.json()["state"], withdrawn.json()["customer"]) == ("unverified", merged["id"]["customer"])
    await check(funded, reader_pool)


async def verified_flags(owner: asyncpg.Connection[Any]) -> list[tuple[bool, bool]]:
    """Of every customer who is nobody else: what is noted of her, and what her names say."""
    noted = """
        SELECT customer.verified, EXISTS (
            SELECT FROM rewards.identity JOIN rewards.customer AS member USING (customer)
            WHERE coalesce(member.merged_into, member.customer) = customer.customer AND identity.verified_by IS NOT NULL
        ) FROM rewards.customer WHERE customer.merged_into IS NULL
    """
    return [tuple(row) for row in await owner.fetch(noted)]


async def test_a_customers_verified_flag_follows_the_names_whatever_happens_at_once(
    funded: Api, other: Api, owner: asyncpg.Connection[Any], reader_pool: asyncpg.Pool[Any]
) -> None:
    names = [{"email": f"ada{n}@example.org"} for n in range(6)]
    for name in names:
        await grant(funded, name)
    known = [(await identity_of(funded, **name))["identity_id"] for name in names]
    for n in range(3):
        work = [verify(process, each, proof=f"otp-{n}") for process in (funded, other) for each in known]
        work += [unverify(process, each) for process in (other, funded) for each in known[n::2]]
        work += [put(process, f"c-{n}", **name) for process, name in ((funded, names[n]), (other, names[n + 3]))]
        await asyncio.gather(*work)
        flags = await verified_flags(owner)
        assert all(noted == told for noted, told in flags)
    # Each proof is in the history once at most, however many copies came.
    proofs = await owner.fetch("SELECT identity_no, proof FROM rewards.verification WHERE method IS NOT NULL")
    assert len(proofs) == len(set(proofs)) <= 6 * 3
    await check(funded, reader_pool)


async def test_a_proof_can_be_erased_and_stays_a_proof(funded: Api, owner: asyncpg.Connection[Any]) -> None:
    await grant(funded, ADA)
    identity_id = (await identity_of(funded, **ADA))["identity_id"]
    await verify(funded, identity_id)
    await owner.execute("UPDATE rewards.verification SET proof = NULL, reason = NULL")
    erased = await identity_of(funded, **ADA)
    assert (erased["state"], erased["method"], erased["proof"]) == ("verified", "otp", None)
    assert code(await authorize(funded, ADA, 1)) == (201, None)


async def test_identities_come_in_pages(funded: Api) -> None:
    for n in range(5):
        await put(funded, "c-1", email=f"ada{n}@example.org")
    whole = await identities_of(funded, "c-1")
    assert sorted(each["kind"] for each in whole) == ["email"] * 5 + ["id"]
    found, after = list[Any](), None
    while True:
        params = {"limit": 2} | ({"after": after} if after else {})
        answer = (await funded.client("storefront").get("/v1/customers/c-1/identities", params=params)).json()
        found += answer["items"]
        if (after := answer["next"]) is None:
            break
    assert found == whole
    assert await identities_of(funded, "c-2") == []


async def test_a_look_up_tells_the_identities_of_the_names_that_are_hers(funded: Api) -> None:
    await put(funded, "c-1", **ADA)
    await grant(funded, PHONE)
    asked = [{"id": "c-1"} | ADA | PHONE, PHONE, {"id": "c-9"}, {"email": "nobody"}]
    answer = await funded.client("storefront").post("/v1/customers/lookup", json={"customers": asked})
    results = answer.raise_for_status().json()["results"]
    assert [[each["kind"] for each in result.get("identities", [])] for result in results] == [
        ["id", "email"],
        ["phone"],
        [],
        [],
    ]
    await verify(funded, results[1]["identities"][0]["identity_id"])
    answer = await funded.client("storefront").post("/v1/customers/lookup", json={"customers": asked})
    assert [result.get("verified") for result in answer.json()["results"]] == [False, True, False, None]
