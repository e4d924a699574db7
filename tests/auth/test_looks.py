"""Who looked at a customer: if it was a person it is in the audit trail, once an hour, before they saw anything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import httpx
import pytest

from service.auth.actions import create_key
from service.auth.looks import ACT
from service.auth.scopes import DUTIES, Scope
from tests.api_fixtures import Api
from tests.auth.test_duties import OPERATIONS, READ, campaign
from tests.people import Owner, enrolled

NOT_A_LOOK = {
    "GET /v1/approvals": "requests, of which those for a customer are noted",
    "GET /v1/approvals/{approval_id}": "the same",
    "POST /v1/approvals/{approval_id}/approve": "the same",
    "POST /v1/approvals/{approval_id}/decline": "the same",
    "POST /v1/claims": "the customer is found as for a report",
    "POST /v1/code-claims": "the same",
    "POST /v1/exports": "it is in the trail itself, and its download is a look",
    "POST /v1/exports/{export_id}/remake": "the same",
    "GET /v1/exports/{export_id}/files/{name}": "needs a worker: see `looks.see_all` in its route",
}
"""Operations that tell of customers and leave no entry here, and why."""


class Shop(NamedTuple):
    """A customer who did something, and a person who may look."""

    api: Api
    keys: Sequence[httpx.AsyncClient]
    system: httpx.AsyncClient
    ids: dict[str, str]

    @property
    def person(self) -> httpx.AsyncClient:
        """The key that mints."""
        return self.keys[0]

    async def allowed(self, method: str, path: str, **request: Any) -> httpx.Response:
        """The answer to the first of their keys that may."""
        answers = [await key.request(method, path, **request) for key in self.keys]
        return next(answer for answer in answers if answer.status_code != 403)

    async def entries(self) -> list[dict[str, Any]]:
        items = (await self.api.client("admin").get("/v1/audit-trail?limit=1000")).json()["items"]
        return [entry for entry in items if entry["act"] == ACT]


@pytest.fixture
async def shop(api: Api, owner: Owner) -> Shop:
    (
        await api.client("admin").post("/v1/campaigns", json=campaign("autumn", budget=10_000) | {"offers": True})
    ).raise_for_status()
    (await api.client("admin").patch("/v1/brand", json={"point_value": {"points": 1, "minor_units": 1}})).raise_for_status()
    messaging, storefront = api.client("messaging"), api.client("storefront")
    (await messaging.put("/v1/customers/c-1", json={"email": "c-1@shop.example"})).raise_for_status()
    (await messaging.put("/v1/customers/c-2", json={"email": "c-2@shop.example"})).raise_for_status()
    (await messaging.put("/v1/customers/c-3", json={})).raise_for_status()
    act = {"campaign": "autumn", "customer": {"id": "c-1"}, "action": "click", "channel": "web", "message_id": "m"}
    purchase = {"amount_minor": 100, "currency": "EUR", "order_ref": "o-1"}
    granted = (await messaging.post("/v1/grants", json=act | {"purchase": purchase})).json()
    order = {"customer": {"id": "c-1"}, "points": 2, "order_ref": "o-1", "capture": True}
    redeemed = await storefront.post("/v1/redemptions", json=order, headers={"Idempotency-Key": "o-1"})
    (identity, *_) = (await messaging.get("/v1/customers/c-1/identities")).json()["items"]
    asked = "INSERT INTO rewards.erasure (brand_id, customer, erases_at) VALUES (1, $1, now() + interval '9 days')"
    await owner.execute(asked, 1)
    held_back = {
        name: (await messaging.post("/v1/grants", json=act | {"action": "review", "message_id": name})).json()["grant_id"]
        for name in ("mature", "reject")
    }
    (await api.client("admin").put("/v1/adjustment-reasons/fraud", json={"name": "Fraud"})).raise_for_status()
    taken = {"customer": {"id": "c-1"}, "points": -1, "reason": "fraud"}
    adjusted = await api.client("care").post("/v1/adjustments", json=taken, headers={"Idempotency-Key": "a-1"})
    lines = [{"customer": {"id": "c-1"}, "points": -1}]
    path = "/v1/corrections/batch?reason=fraud"
    job = await api.client("care").post(path, json=lines, headers={"Idempotency-Key": "l-1"})
    sent = {"message_id": "m", "channel": "sms", "provider": "twilio", "conversation": "v-1", "offer_group": "o-1"}
    told = {"messages": [sent | {"campaign": "autumn", "customer": {"id": "c-1"}}]}
    (await messaging.post("/v1/messages", json=told)).raise_for_status()
    ids = {
        **held_back,
        "job_id": job.json()["id"],
        "adjustment_id": adjusted.json()["adjustment_id"],
        "customer_id": "c-1",
        "offer_group": "o-1",
        "grant_id": granted["grant_id"],
        "redemption_id": redeemed.json()["redemption_id"],
        "identity_id": identity["identity_id"],
        "erasure_id": "ers_1",
        "channel": "email",
        "view": "rfm",
        "message_id": "m",
    }
    await enrolled(api, owner)
    return Shop(api, [await key_of_person(api, owner, duty) for duty in DUTIES], messaging, ids)


async def key_of_person(api: Api, owner: Owner, duty: frozenset[Scope]) -> httpx.AsyncClient:
    """A key of the person with one duty and all that is none: between them they look at everything there is."""
    scopes = frozenset(Scope).difference(*(other for other in DUTIES if other is not duty))
    key, made = await create_key(owner, "lumen", "of a person", scopes, "A")
    await owner.execute("UPDATE rewards.api_key SET person_id = 1 WHERE api_key_id = $1", made.api_key_id)
    return api.client(key=key)


WHO = {"customer": {"id": "c-1"}}
ACTED = {"campaign": "autumn", "action": "click", "channel": "web", "message_id": "m2", **WHO}
BODIES: dict[str, Any] = {
    "POST /v1/customers/attention": {"customers": [{"id": "c-1"}]},
    "POST /v1/customers/balance": WHO,
    "POST /v1/customers/batch": [{"id": "c-1"}],
    "POST /v1/customers/lookup": {"customers": [{"id": "c-1"}]},
    "POST /v1/customers/statement": WHO,
    "POST /v1/customers/wallet": WHO,
    "PUT /v1/customers/{customer_id}": {},
    "PUT /v1/customers/{customer_id}/consents/{channel}": {"status": "granted", "source": "x"},
    "POST /v1/consents/batch": [{"customer": {"id": "c-1"}, "channel": "email", "status": "granted", "source": "x"}],
    "POST /v1/customers/{customer_id}/merge": {"from": {"email": "c-2@shop.example"}},
    "POST /v1/grants": ACTED,
    "POST /v1/grants/batch": [ACTED],
    "POST /v1/grants/quote": {"campaign": "autumn", "action": "click", "channel": "web", **WHO},
    "POST /v1/grants/quote/batch": [{"campaign": "autumn", "action": "click", "channel": "web", **WHO}],
    "POST /v1/redemptions": {**WHO, "points": 1, "order_ref": "o-2"},
    "POST /v1/redemptions/quote": {**WHO, "points": 1},
    "POST /v1/adjustments": {**WHO, "points": -1, "reason": "fraud"},
    "POST /v1/corrections/batch": [{**WHO, "points": -1}],
    "POST /v1/grants/{grant_id}/clawback": {"points": 1, "reason": "It was a test."},
    "POST /v1/grants/{grant_id}/returns": {"reference": "r-1", "amount_minor": 60, "currency": "EUR"},
    "POST /v1/grants/{grant_id}/returns/quote": {"amount_minor": 40, "currency": "EUR"},
}
QUERIES = {
    "POST /v1/corrections/batch": {"reason": "fraud"},
    "GET /v1/app-devices": {"customer": "c-1"},
    "GET /v1/messages/trail": {"conversation": "v-1"},
    "GET /v1/messages/{message_id}/trail": {"customer": "c-1"},
}


async def test_every_look_of_a_person_is_in_the_trail(shop: Shop, owner: Owner) -> None:
    missing: dict[str, str] = {}
    for operation in (name for name, can in OPERATIONS.items() if READ in can and name not in NOT_A_LOOK):
        method, path = operation.split()
        headers = {"Idempotency-Key": operation}
        ids = shop.ids | {"grant_id": shop.ids.get(path.rpartition("/")[2], shop.ids["grant_id"])}
        if method == "DELETE":  # of nobody of whom points are held
            ids["customer_id"] = "c-3"
        request = {"json": BODIES.get(operation), "params": QUERIES.get(operation), "headers": headers}
        answer = await shop.allowed(method, path.format(**ids), **request)
        found = await owner.fetchval("DELETE FROM rewards.audit_trail WHERE act = $1 RETURNING subject", ACT)
        if found is None or answer.status_code >= 500:
            missing[operation] = f"{answer.status_code} {answer.text[:200]}"
    assert missing == {}, "\n".join(map(str, missing.items()))


async def customer(shop: Shop) -> str:
    return (await shop.api.client("messaging").post("/v1/customers/balance", json=WHO)).json()["customer"]


async def test_it_is_one_entry_for_each_person_customer_and_hour(shop: Shop, owner: Owner) -> None:
    for _ in range(3):
        assert (await shop.person.get("/v1/customers/c-1/balance")).status_code == 200
        assert (await shop.person.get("/v1/customers/c-1/statement?limit=2")).status_code == 200
    (entry,) = await shop.entries()
    assert (entry["subject"], entry["person"], entry["after"]) == (
        await customer(shop),
        "per_1",
        {"call": "GET /v1/customers/{customer_id}/balance"},
    )
    assert (await shop.keys[1].get("/v1/customers/c-1/balance")).status_code == 200
    assert len(await shop.entries()) == 1
    await owner.execute("UPDATE rewards.audit_trail SET request = sha256('an hour ago') WHERE act = $1", ACT)
    await shop.person.get("/v1/customers/c-1/balance")
    assert len(await shop.entries()) == 2


async def test_no_name_is_in_the_trail_and_no_system(shop: Shop, owner: Owner) -> None:
    for name in ("/v1/customers/c-1/balance", "/v1/customers/c-1/identities", f"/v1/grants/{shop.ids['grant_id']}"):
        assert (await shop.system.get(name)).status_code == 200
    assert await shop.entries() == []
    await shop.person.post("/v1/customers/lookup", json={"customers": [{"email": "c-1@shop.example"}, {"id": "nobody"}]})
    await shop.person.get("/v1/customers/nobody/balance")
    assert "c-1" not in str(await owner.fetch("SELECT * FROM rewards.audit_trail WHERE act = $1", ACT))
    assert len(await shop.entries()) == 1


@pytest.mark.own_database("makes a trigger")
@pytest.mark.parametrize("path", ["/v1/customers/c-1/balance", "/v1/customers/c-1/statement?limit=2", "/v1/events"])
async def test_what_cannot_be_noted_is_not_shown(shop: Shop, owner: Owner, path: str) -> None:
    await owner.execute("CREATE FUNCTION rewards.fails() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$")
    await owner.execute(
        f"CREATE TRIGGER fails BEFORE INSERT ON rewards.audit_trail FOR EACH ROW WHEN (new.act = '{ACT}')"
        " EXECUTE FUNCTION rewards.fails()"
    )
    with_nothing = await shop.person.get(path)
    assert with_nothing.status_code == 500
    assert "balance" not in with_nothing.text
    assert (await shop.system.get(path)).status_code == 200
