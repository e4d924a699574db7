"""Our own numbers of customers (``cus_``) name them wherever a customer can be named, and mean the same everywhere."""

from __future__ import annotations

from typing import Any

import asyncpg
import httpx
import pytest

from service.auth.actions import create_key
from service.auth.scopes import Scope
from tests.api_fixtures import Api, make_brand
from tests.customers.calls import authorize, balance, check, grant, identities_of, merge, put, split

ADA = {"email": "ada@example.org"}
NOBODIES = ("cus_999999", "cus_0", "cus_007", "cus_x", "cus_", "cus_9223372036854775808")
CLICK: dict[str, Any] = {"campaign": "autumn", "message_id": "m-7", "action": "click", "channel": "email"}
LINK: dict[str, Any] = CLICK | {"destination": "https://shop.example/autumn"}


async def number_of(api: Api, **name: str) -> str:
    """Our number of whoever has a name."""
    answer = await api.client("storefront").post("/v1/customers/balance", json={"customer": name})
    return str(answer.raise_for_status().json()["customer"])


READS = [
    "/v1/customers/{}/balance",
    "/v1/customers/{}/statement",
    "/v1/customers/{}/statement?limit=1",
    "/v1/customers/{}/wallet",
    "/v1/customers/{}/attention",
    "/v1/customers/{}/consents",
    "/v1/customers/{}/identities",
    "/v1/customers/{}/preferences",
    "/v1/grants?customer={}",
    "/v1/redemptions?customer={}",
]


@pytest.mark.parametrize("path", READS)
async def test_what_can_be_read_by_an_id_can_be_read_by_our_number(funded: Api, path: str) -> None:
    await grant(funded, {"id": "c-1"})
    await authorize(funded, {"id": "c-1"}, 2)
    number = await number_of(funded, id="c-1")
    client = funded.client("messaging" if "grants" in path else "storefront")
    by_id, by_number = await client.get(path.format("c-1")), await client.get(path.format(number))
    assert (by_id.status_code, by_number.status_code) == (200, 200), by_number.text

    def told(answer: httpx.Response) -> dict[str, Any]:
        return {name: value for name, value in answer.json().items() if name not in {"customer", "since", "until"}}

    assert told(by_number) == told(by_id)
    for nobody in NOBODIES:
        refused = await client.get(path.format(nobody))
        assert (refused.status_code, refused.json()["code"]) == (404, "not_found"), nobody


# Path, and a body in which the customer is named.
BODIES: list[tuple[str, str, Any, str]] = [
    ("messaging", "/v1/grants", CLICK | {"customer": {}}, "/customer"),
    ("messaging", "/v1/grants/quote", {k: v for k, v in CLICK.items() if k != "message_id"} | {"customer": {}}, "/customer"),
    ("storefront", "/v1/redemptions", {"customer": {}, "points": 1, "order_ref": "o-1"}, "/customer"),
    ("storefront", "/v1/redemptions/quote", {"customer": {}, "points": 1}, "/customer"),
    ("storefront", "/v1/customers/balance", {"customer": {}}, "/customer"),
    ("storefront", "/v1/customers/statement", {"customer": {}}, "/customer"),
    ("storefront", "/v1/customers/wallet", {"customer": {}}, "/customer"),
    ("messaging", "/v1/customers/c-2/merge", {"from": {}}, "/from"),
]


def _naming(body: Any, pointer: str, customer: dict[str, str]) -> Any:
    return body | {pointer[1:]: customer}


@pytest.mark.parametrize(("key", "path", "body", "pointer"), BODIES, ids=[path for _, path, _, _ in BODIES])
async def test_a_body_may_name_a_customer_by_our_number(
    funded: Api, owner: asyncpg.Connection[Any], key: str, path: str, body: Any, pointer: str
) -> None:
    await grant(funded, {"id": "c-1"})
    await grant(funded, {"id": "c-2"})
    number = await number_of(funded, id="c-1")
    client = funded.client(key)
    for nobody in NOBODIES:
        refused = await client.post(path, json=_naming(body, pointer, {"id": nobody}), headers={"Idempotency-Key": nobody})
        assert (refused.status_code, refused.json()["code"]) == (404, "not_found"), refused.text
        assert [error["pointer"] for error in refused.json()["errors"]] == [f"{pointer}/id"]
    taken = await client.post(path, json=_naming(body, pointer, {"id": number}), headers={"Idempotency-Key": "k"})
    assert taken.status_code in {200, 201}, taken.text
    assert await owner.fetchval("SELECT count(*) FROM rewards.customer") == 2


# Path, the member its items are in, an item, and where it has the customer.
BATCHES: list[tuple[str, str | None, dict[str, Any], str | None]] = [
    ("/v1/grants/batch", None, CLICK, "customer"),
    ("/v1/links", "links", LINK, "customer"),
    ("/v1/page-links", "pages", {"kind": "wallet"}, "customer"),
    ("/v1/consents/batch", None, {"channel": "voice", "status": "refused", "source": "list"}, "customer"),
    ("/v1/customers/lookup", "customers", {}, None),
    ("/v1/customers/attention", "customers", {}, None),
]


@pytest.mark.parametrize(("path", "member", "item", "field"), BATCHES, ids=[path for path, _, _, _ in BATCHES])
async def test_in_a_batch_a_number_nobody_has_is_that_items_problem(
    funded: Api, owner: asyncpg.Connection[Any], path: str, member: str | None, item: dict[str, Any], field: str | None
) -> None:
    await grant(funded, {"id": "c-1"})
    number = await number_of(funded, id="c-1")
    items = [item | ({"id": each} if field is None else {field: {"id": each}}) for each in (*NOBODIES, number)]
    answer = await funded.client("messaging").post(path, json=items if member is None else {member: items})
    *refused, taken = answer.raise_for_status().json()["results"]
    pointer = "/id" if field is None else f"/{field}/id"
    assert [(each["status"], each["problem"]["errors"][0]["pointer"]) for each in refused] == [(404, pointer)] * len(NOBODIES)
    assert taken["status"] in {200, 201}, taken
    assert await owner.fetchval("SELECT count(*) FROM rewards.customer") == 1


async def test_a_number_is_nobodys_own_id(funded: Api, owner: asyncpg.Connection[Any]) -> None:
    await grant(funded, {"id": "c-1"})
    number = await number_of(funded, id="c-1")
    for own_id in (number, *NOBODIES):
        refused = await put(funded, own_id, email="ada@example.org")
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/id"), own_id
    batch = await funded.client("messaging").post("/v1/customers/batch", json=[{"id": number, **ADA}, {"id": "c-1"}])
    bad, good = batch.raise_for_status().json()["results"]
    assert (bad["problem"]["errors"][0]["pointer"], good["status"]) == ("/id", 200)
    together = await grant(funded, {"id": number, **ADA})
    assert (together.status_code, together.json()["errors"][0]["pointer"]) == (422, "/customer/id")
    assert await owner.fetchval("SELECT count(*) FROM rewards.identity") == 1


async def test_customers_without_an_id_are_merged_and_split_by_our_numbers(
    funded: Api, other: Api, reader_pool: asyncpg.Pool[Any]
) -> None:
    for name in ({"phone": "+4930901820"}, ADA):
        await grant(funded, name)
    phone, email = await number_of(funded, phone="+4930901820"), await number_of(funded, **ADA)
    merged = await merge(other, phone, id=email)
    assert (merged.status_code, merged.json()["balance"], merged.json()["customer"]) == (200, 10, phone)
    for process in (funded, other):
        # A number leads to the survivor, as an id does.
        shown = await balance(process, email)
        assert (shown["balance"], shown["merged_into"]) == (10, phone)
        assert (await balance(process, phone))["merged_into"] is None
        assert len(await identities_of(process, email)) == 2
    assert (await merge(funded, phone, email="new@example.org")).json()["balance"] == 10
    apart = await split(funded, phone, id=email)
    assert (apart.status_code, apart.json()["split_off"], apart.json()["points"]) == (200, email, 5)
    assert [(await balance(other, each))["balance"] for each in (phone, email)] == [5, 5]
    for own, name in ((phone, "cus_999999"), ("cus_999999", phone), ("c-9", "cus_999999")):
        for refused in (await merge(funded, own, id=name), await split(funded, own, id=name)):
            assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
    await check(funded, reader_pool)


async def test_another_brands_number_is_nobodys(funded: Api, owner: asyncpg.Connection[Any]) -> None:
    await grant(funded, {"id": "c-1"})
    number = await number_of(funded, id="c-1")
    foreign = await make_brand(owner, code="other")
    key, _ = await create_key(owner, foreign.code, "reader", [Scope.CUSTOMERS_READ, Scope.CUSTOMERS_WRITE])
    stranger = funded.client(key=key)
    for path in READS[:8]:
        assert (await stranger.get(path.format(number))).status_code == 404
    for path, body in (
        ("/v1/customers/balance", {"customer": {"id": number}}),
        (f"/v1/customers/{number}/merge", {"from": {"id": "c-1"}}),
        ("/v1/customers/c-1/merge", {"from": {"id": number}}),
        (f"/v1/customers/{number}/split", {"customer": {"id": "c-1"}}),
    ):
        assert (await stranger.post(path, json=body)).status_code == 404, path
    consent = await stranger.put(f"/v1/customers/{number}/consents/voice", json={"status": "refused", "source": "x"})
    assert consent.status_code == 404


async def test_from_a_row_of_the_ledger_to_the_statement_in_one_call(funded: Api) -> None:
    await grant(funded, ADA)
    rows = (await funded.client("admin").get("/v1/ledger/transfers")).raise_for_status().json()["items"]
    customer = next(row["customer"] for row in rows if row["customer"])
    statement = await funded.client("storefront").get(f"/v1/customers/cus_{customer}/statement")
    assert [entry["points"] for entry in statement.raise_for_status().json()["items"]] == [5]


NAMES = [ADA, {"phone": "+49 (0)30 901820"}, {"device": "installation 7"}, {"id": "c-1"}]


@pytest.mark.parametrize("name", NAMES, ids=[next(iter(name)) for name in NAMES])
async def test_a_customer_with_one_name_has_a_balance_a_statement_and_a_wallet(
    funded: Api, other: Api, name: dict[str, str]
) -> None:
    client = other.client("storefront")
    paths = ("balance", "statement", "wallet")

    async def read(what: str, **changed: Any) -> Any:
        return (await client.post(f"/v1/customers/{what}", json={"customer": name} | changed)).raise_for_status().json()

    nobodys = [await read(what) for what in paths]
    assert (nobodys[0]["known"], nobodys[0]["customer"], nobodys[1]["items"], nobodys[2]["customer"]) == (False, None, [], None)
    for n in range(3):
        await grant(funded, name, message_id=f"m-{n}")
    shown, _, wallet = [await read(what) for what in paths]
    assert (shown["balance"], shown["known"], wallet["balance"]) == (15, True, 15)
    assert shown["customer"] == wallet["customer"] == await number_of(funded, **name)
    first = await read("statement", limit=2)
    second = await read("statement", limit=2, after=first["next"])
    assert ([entry["points"] for entry in first["items"]], len(second["items"]), second["next"]) == ([5, 5], 1, None)
    assert len((await read("wallet", after=first["next"]))["history"]["items"]) == 1


WRONG_BODIES: list[tuple[str, dict[str, Any], str]] = [
    ("balance", {}, "/customer"),
    ("balance", {"customer": {}}, "/customer"),
    ("balance", {"customer": {"email": "<ada@example.org"}}, "/customer/email"),
    ("statement", {"customer": {"phone": "030 901820"}}, "/customer/phone"),
    ("statement", {"customer": ADA, "limit": 0}, "/limit"),
    ("statement", {"customer": ADA, "limit": 1_001}, "/limit"),
    ("statement", {"customer": ADA, "after": "x"}, "/after"),
    ("wallet", {"customer": ADA, "after": "-1"}, "/after"),
    ("wallet", {"customer": ADA, "limit": 1}, "/limit"),
]


@pytest.mark.parametrize(("what", "body", "pointer"), WRONG_BODIES)
async def test_what_is_wrong_with_such_a_body_is_named(api: Api, what: str, body: dict[str, Any], pointer: str) -> None:
    refused = await api.client("storefront").post(f"/v1/customers/{what}", json=body)
    assert (refused.status_code, [error["pointer"] for error in refused.json()["errors"]]) == (422, [pointer])


@pytest.mark.parametrize("what", ["balance", "statement", "wallet"])
async def test_reading_by_name_takes_the_right_to_read_customers(api: Api, what: str) -> None:
    refused = await api.client("minter").post(f"/v1/customers/{what}", json={"customer": ADA})
    assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope")
