"""The demo as a newcomer finds it: every example of the API's description works on it, and a shop's whole walk does."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import httpx
import pytest

from service.app import describe
from service.auth.actions import create_key
from service.auth.scopes import Scope
from service.demo_shop import demo_brand as demo_command
from service.demo_shop.goods import GOODS
from tests import plain_http
from tests.demo_fixtures import Demo, serving_demo

if TYPE_CHECKING:
    from tests.conftest import Database


@pytest.fixture
async def demo(database: Database, tmp_path: Path) -> AsyncGenerator[Demo]:
    async with serving_demo(database, tmp_path) as demo:
        yield demo


class Explorer:
    """Sends each operation as the reference fills it in, with a key that may.

    What only an earlier answer can name (a redemption, a code) is put in its place.
    """

    def __init__(self, demo: Demo, client: httpx.AsyncClient) -> None:
        self._demo = demo
        self._client = client
        self._scopes: dict[str, frozenset[str]] = {}

    async def start(self) -> None:
        for name in self._demo.keys:
            meta = await self._client.get("/v1/meta", headers=self._demo.bearer(name))
            self._scopes[name] = frozenset(meta.json()["scopes"])

    async def send(
        self,
        operation_id: str,
        *,
        path: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        address, method, operation = next(each for each in operations() if each[2]["operationId"] == operation_id)
        parameters = operation.get("parameters", [])
        named = {each["name"]: each["example"] for each in parameters if each["in"] == "path"} | dict(path or {})
        required = {each["name"]: each["example"] for each in parameters if each["in"] == "header" and each["required"]}
        asked = {
            each["name"]: each["schema"]["examples"][0] for each in parameters if each["in"] == "query" and each["required"]
        }
        return await self._client.request(
            method,
            address.format(**named),
            params=asked,
            headers=self._demo.bearer(self._key_for(operation)) | required | dict(headers or {}),
            json=prefilled(operation) | dict(body) if body else prefilled(operation),
        )

    def _key_for(self, operation: dict[str, Any]) -> str:
        told = re.search(r"^Needs the scopes? ([^.]*)", operation.get("description", ""), re.MULTILINE)
        needed = [set(re.findall(r"`([a-z:]+)`", each)) for each in (told[1] if told else "").split(" or ")]
        return next(name for name, scopes in self._scopes.items() if any(each <= scopes for each in needed))


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in describe()["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def prefilled(operation: dict[str, Any]) -> Any:
    """The body as the reference shows it: made from the examples of its structs."""
    if "requestBody" not in operation:
        return None
    return _example(operation["requestBody"]["content"]["application/json"]["schema"])


def _example(schema: dict[str, Any]) -> Any:
    if "$ref" in schema:
        return describe()["components"]["schemas"][schema["$ref"].rpartition("/")[2]].get("examples", [{}])[0]
    if "items" in schema:
        return [_example(schema["items"])]
    return {name: _example(each) for name, each in schema["properties"].items()}


NOT_AS_IT_STANDS = {
    "get_link_host": "the demo's links begin with the service's address",
    "verify_link_host": "the demo's links begin with the service's address",
    "mature_grant": "no rule of the demo holds points back",
    "reject_grant": "no rule of the demo holds points back",
    "check_links": "each demo signs its links with a key of its own, so no example holds one that is good",
    "download_export_file": "no worker makes files here",
    "start_correction": "no worker checks it here",
    "close_period": "the demo's book has no period that is over",
    "get_close": "the demo's book has no period that is over",
    "get_checklist": "the demo's book has no period that is over",
    "restate_close": "the demo's book has no period that is over",
    "get_erasure": "nobody of the demo is to be erased",
    "enrol_person": "the operator invites a person",
    "disable_person": "the demo has no persons",
    "get_approval": "nothing of the demo waits for a person",
    "approve": "nothing of the demo waits for a person",
    "decline": "nothing of the demo waits for a person",
    "return_purchase": "nobody buys anything in the demo",
    "quote_return": "nobody buys anything in the demo",
    "list_delivered_events": "no provider sends anything to the demo",
    "replay_deliveries": "no provider sends anything to the demo",
    "get_replay": "no provider sends anything to the demo",
    "list_replay_differences": "no provider sends anything to the demo",
    "correct_by_replay": "no provider sends anything to the demo",
    "revoke_app_device": "no app of the demo has a device",
    "report_app_receipts": "no app of the demo has a device",
    "list_app_devices": "no app of the demo has a device",
    "get_offer": "no campaign of the demo makes offers",
    "confirm_claim": "a claim comes from a link that a customer follows, some seconds before",
}


@pytest.mark.slow
async def test_what_the_reference_fills_in_is_taken(demo: Demo, owner: asyncpg.Connection[Any]) -> None:
    # Who registers keys that sign links may both make keys and links: the operator makes such a key, the demo has none.
    scopes = (Scope.KEYS_WRITE, Scope.LINKS_WRITE)
    demo.keys["signing"], _ = await create_key(owner, demo_command.BRAND, "signing", scopes)
    async with plain_http.client(base_url=demo.base_url) as client:
        explorer = Explorer(demo, client)
        await explorer.start()
        answers = await _those_that_need_an_earlier_answer(explorer, demo.reward_link)
        for _, _, operation in operations():
            name = operation["operationId"]
            if name not in answers and name not in NOT_AS_IT_STANDS:
                answers[name] = await explorer.send(name)
    refused = {name: answer.text for name, answer in answers.items() if not _is_taken(answer)}
    assert refused == {}


async def _those_that_need_an_earlier_answer(explorer: Explorer, link: str) -> dict[str, httpx.Response]:
    answers: dict[str, httpx.Response] = {}

    async def send(name: str, **instead: Any) -> Any:
        answers[name] = await explorer.send(name, **instead)
        assert answers[name].is_success, f"{name}: {answers[name].text}"
        return answers[name]

    order = {"redemption_id": (await send("authorize_redemption")).json()["redemption_id"]}
    for name in ("get_redemption", "capture_redemption", "refund_redemption", "list_sources"):
        await send(name, path=order)
    another = {"headers": {"Idempotency-Key": "another"}}
    order = {"redemption_id": (await explorer.send("authorize_redemption", **another)).json()["redemption_id"]}
    await send("void_redemption", path=order)

    grant = {"grant_id": (await send("report_event")).json()["grant_id"]}
    for name in ("get_grant", "list_uses", "claw_back_grant"):
        await send(name, path=grant)

    await send("put_adjustment_reason")
    adjustment = {"adjustment_id": (await send("adjust_customer")).json()["adjustment_id"]}
    await send("get_adjustment", path=adjustment)

    await send("order_corrections")
    correction = {"job_id": (await send("order_correction", **another)).json()["id"]}
    for name in ("get_correction", "list_correction_lines", "cancel_correction"):
        await send(name, path=correction)

    await send("put_customer")
    identity = {"identity_id": (await send("list_identities")).json()["items"][0]["identity_id"]}
    for name in ("verify_identity", "list_verifications", "unverify_identity"):
        await send(name, path=identity)
    await send("merge_customers")
    await send("split_customer")

    await send("make_code_batch")
    code = (await send("get_codes")).text.splitlines()[1].split(",")[1]
    await send("claim_code", body={"code": code})
    await send("mint_links")
    await send("check_links", body={"links": [link]})
    await send("restore_links", path={"revocation": (await send("revoke_links")).json()["id"]})

    await send("revoke_key", path={"key_id": (await send("create_key")).json()["id"]})
    export = {"export_id": (await send("order_export")).json()["id"]}
    for name in ("get_export", "delete_export"):
        await send(name, path=export)

    minting = {"kid": (await send("register_minting_key")).json()["kid"]}
    await send("retire_minting_key", path=minting)
    await send("revoke_minting_key", path=minting)
    return answers


def _is_taken(answer: httpx.Response) -> bool:
    if not answer.is_success or answer.headers["content-type"] != "application/json":
        return answer.is_success
    results = answer.json().get("results", [])
    return all(result.get("status", 200) < 400 for result in results)


def test_the_cheapest_good_costs_less_than_the_demos_link_pays() -> None:
    assert min(good.points for good in GOODS) <= 25


async def test_a_shop_takes_points_of_a_customer_it_knows_by_email_alone(demo: Demo) -> None:
    """With the demo's own keys: earn under an email, say whose it is, quote in money, authorize, capture."""
    async with plain_http.client(base_url=demo.base_url) as client:

        async def call(key: str, method: str, path: str, body: Any, **headers: str) -> Any:
            answer = await client.request(method, path, json=body, headers=demo.bearer(key) | headers)
            assert answer.is_success, f"{path}: {answer.text}"
            return answer.json()

        act = {"campaign": "hello-again", "message_id": "m-1", "action": "reply", "channel": "email"}
        earned = await call("messaging", "POST", "/v1/grants", act | {"customer": {"email": "ada@example.org"}})
        assert earned["points"] == 100
        named = await call("storefront", "PUT", "/v1/customers/shop-7", {"email": "ada@example.org"})
        assert named["balance"] == 100
        customer = {"customer": {"id": "shop-7"}}
        quote = await call("storefront", "POST", "/v1/redemptions/quote", customer | {"value": 220})
        assert (quote["points"], quote["value"], quote["currency"], quote["spendable"]) == (22, 220, "EUR", True)
        held = await call(
            "storefront",
            "POST",
            "/v1/redemptions",
            customer | {"value": 220, "order_ref": "o-1"},
            **{"Idempotency-Key": "o-1"},
        )
        path = f"/v1/redemptions/{held['redemption_id']}/capture"
        paid = await call("storefront", "POST", path, {}, **{"Idempotency-Key": "o-1-capture"})
        assert (paid["status"], paid["captured_value"], paid["balance"]) == ("captured", 220, 78)


async def test_an_order_of_the_demos_shop_is_paid_once_and_from_its_own_page_alone(demo: Demo) -> None:
    async with plain_http.client(base_url=demo.base_url) as visitor:

        async def balance() -> int:
            answer = await visitor.get("/v1/customers/customer-1/balance", headers=demo.bearer("storefront"))
            return answer.json()["balance"]

        order = {"good": "Espresso", "order": "demo-1"}
        for wrong in (
            {},
            {"good": "Espresso"},
            {"good": "Yacht", "order": "demo-1"},
            *(
                {"good": "Espresso", "order": each}
                for each in ("", "o-1", "demo-a\0b", "demo-" + 59 * "1", ["demo 1", "demo-1"])
            ),
        ):
            assert (await visitor.post("/demo/shop", data=wrong)).status_code == 404
        elsewhere = {"Origin": "https://elsewhere.example", "Sec-Fetch-Site": "cross-site"}
        assert (await visitor.post("/demo/shop", data=order, headers=elsewhere)).status_code == 404
        assert await balance() == 100
        for _ in range(2):
            assert (await visitor.post("/demo/shop", data=order)).status_code == 303
        assert await balance() == 78
        assert (await visitor.post("/demo/shop", data={"good": "Slow carafe", "order": "demo-2"})).status_code == 402


async def test_the_demos_brand_has_a_point_value_goals_and_a_home(demo: Demo) -> None:
    async with plain_http.client(base_url=demo.base_url) as client:
        brand = (await client.get("/v1/brand", headers=demo.bearer("admin"))).json()
        shop = (await client.get("/demo/shop")).text
    assert brand["point_value"] == {"points": 10, "minor_units": 100}
    assert brand["home_url"] == f"{demo.base_url}/demo/shop"
    for good in GOODS:
        assert {"name": good.name, "points": good.points} in brand["goals"]
        assert f"{good.price} or {good.points} {brand['points_name']}" in shop


async def test_a_later_start_keeps_what_was_changed_by_hand_and_moves_the_home(demo: Demo) -> None:
    async with plain_http.client(base_url=demo.base_url, headers=demo.bearer("admin")) as admin:
        known = (await admin.get("/v1/brand")).json()
        mine: dict[str, Any] = known | {"name": "Mine", "goals": [{"name": "A mug", "points": 7}]}
        mine["point_value"] = {"points": 1, "minor_units": 1}
        (await admin.put("/v1/brand", json=mine)).raise_for_status()
        moved = "http://127.0.0.1:1/demo/shop"
        await asyncio.to_thread(demo_command.furnish, demo.base_url, demo.keys, shop=moved)
        brand = (await admin.get("/v1/brand")).json()
    assert (brand["name"], brand["goals"], brand["point_value"]) == ("Mine", mine["goals"], mine["point_value"])
    assert brand["home_url"] == moved


async def test_a_demo_of_before_gets_a_storefront_that_may_attach_an_email(
    demo: Demo, owner: asyncpg.Connection[Any], database: Database
) -> None:
    await owner.execute(
        "UPDATE rewards.api_key SET scopes = array_remove(scopes, 'customers:write') WHERE name = 'demo storefront'"
    )
    again = await demo_command.ensure_keys(database.owner_url, demo.keys)
    assert {name for name, key in again.items() if key != demo.keys[name]} == {"storefront"}
    assert await demo_command.ensure_keys(database.owner_url, again) == again
