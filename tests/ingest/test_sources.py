"""Setting sources up: what they hold is in no answer, and who may."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
import pytest

from service.auth.actions import create_key
from service.auth.scopes import Scope
from service.ingest.source_watch import look
from service.settings import LinkKey
from tests.api_fixtures import Api
from tests.ingest.conftest import Owner, make_source
from tests.ingest.senders import SendGrid, StandardWebhooks, click, send
from tests.processes import serving


async def test_a_source_is_made_listed_and_shown_without_its_secrets(api: Api, issuer: httpx.AsyncClient, owner: Owner) -> None:
    sender = SendGrid()
    made = await make_source(issuer, sender, daily_points_max=500)
    assert (made["id"], made["state"], made["trust"], made["max_evidence"]) == ("src_1", "new", "signed_body", "A")
    assert (made["secrets"], made["waiting"], made["points_today"]) == ({"verification_key": 1}, 0, 0)
    assert made["ingest_url"].startswith("http://rewards.test/v1/ingest/src_1_")

    listed = (await issuer.get("/v1/sources")).json()
    assert listed == {"items": [made], "next": None}
    assert (await issuer.get("/v1/sources/src_1")).json() == made
    secret = sender.secrets["verification_key"][0]
    stored = await owner.fetchval("SELECT secrets FROM rewards.source")
    trail = await owner.fetch("SELECT act, subject, after::text FROM rewards.audit_trail WHERE act LIKE 'source.%'")
    assert secret.encode() not in stored
    assert [(row["act"], row["subject"]) for row in trail] == [("source.create", "src_1")]
    assert secret not in trail[0]["after"]
    # A copy of its row under another address is worth nothing.
    await owner.execute("UPDATE rewards.source SET address = decode(repeat('00', 12), 'hex')")
    assert (await issuer.get("/v1/sources/src_1")).json()["secrets_readable"] is False


async def test_who_only_reads_sources_does_not_learn_where_to_send(api: Api, issuer: httpx.AsyncClient, owner: Owner) -> None:
    await make_source(issuer, SendGrid())
    reader = api.client(key=(await create_key(owner, "lumen", "reader", [Scope.SOURCES_READ]))[0])
    assert (await reader.get("/v1/sources/src_1")).json()["ingest_url"] is None
    assert (await reader.patch("/v1/sources/src_1", json={})).status_code == 403
    assert (await api.client("messaging").get("/v1/sources")).status_code == 403


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"provider": "pigeons"}, "/provider", "there are"),
    ({"secrets": {}}, "/secrets", "needs verification_key"),
    ({"secrets": {"signing_secret": ["x"]}}, "/secrets/signing_secret/0", "no secret of this name"),
    ({"secrets": {"verification_key": ["x"]}}, "/secrets/verification_key/0", "must be one line of base64"),
    ({"public_url": "ftp://shop.example/x"}, "/public_url", "https://"),
    ({"campaign": "nowhere"}, "/campaign", "no such campaign"),
    ({"provider": "standard_webhooks", "secrets": {}}, "/secrets", "needs one of"),
    ({"provider": "pigeon_post", "secrets": {}}, "/trust", "none"),
    ({"provider": "pigeon_post", "secrets": {}, "trust": "signed_body"}, "/trust", "not be more than none"),
    (
        {"provider": "cloudevents", "secrets": {"bearer_token": ["a-password-of-ours"]}, "trust": "signed_body"},
        "/trust",
        "not be more than shared_secret",
    ),
    ({"daily_points_max": 0}, "/daily_points_max", ""),
    ({"name": ""}, "/name", ""),
]


@pytest.mark.usefixtures("pigeon_post")
@pytest.mark.parametrize(("changed", "pointer", "says"), REFUSED)
async def test_what_is_wrong_with_a_source_is_said_of_its_field(
    api: Api, issuer: httpx.AsyncClient, changed: dict[str, Any], pointer: str, says: str
) -> None:
    wanted = {"provider": "sendgrid", "name": "x", "secrets": SendGrid().secrets, **changed}
    answer = await issuer.post("/v1/sources", json=wanted)
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["pointer"] == pointer
    assert says in error["detail"]
    assert (await issuer.get("/v1/sources")).json()["items"] == []


async def test_a_secret_is_replaced_without_losing_a_request(api: Api, issuer: httpx.AsyncClient) -> None:
    old, new = StandardWebhooks(), StandardWebhooks()
    url = (await make_source(issuer, old))["ingest_url"]
    event: dict[str, Any] = {"type": "message.clicked", "data": {}}

    both = [*new.secrets["signing_secret"], *old.secrets["signing_secret"]]
    shown = (await issuer.patch("/v1/sources/src_1", json={"secrets": {"signing_secret": both}})).json()
    assert shown["secrets"] == {"signing_secret": 2}
    assert [(await send(api, url, each.signed(event))).status_code for each in (old, new)] == [200, 200]
    await issuer.patch("/v1/sources/src_1", json={"secrets": new.secrets})
    assert [(await send(api, url, each.signed(event))).status_code for each in (old, new)] == [401, 200]


async def test_a_source_that_is_disabled_is_as_one_that_there_is_not(api: Api, issuer: httpx.AsyncClient) -> None:
    sender = SendGrid()
    url = (await make_source(issuer, sender))["ingest_url"]
    signed = sender.signed([click("ada@example.org", "m-1")])
    assert (await send(api, url, signed)).status_code == 200
    disabled = (await issuer.patch("/v1/sources/src_1", json={"enabled": False})).json()
    assert (disabled["state"], disabled["waiting"]) == ("disabled", 1)
    assert (await send(api, url, signed)).status_code == 404
    await issuer.patch("/v1/sources/src_1", json={"enabled": True})
    assert (await send(api, url, signed)).status_code == 200


async def test_a_source_reports_in_the_name_of_the_key_that_changed_it_last(
    api: Api, issuer: httpx.AsyncClient, owner: Owner
) -> None:
    made = await make_source(issuer, SendGrid())
    text, record = await create_key(owner, "lumen", "next", [Scope.SOURCES_WRITE], "C")
    taken = (await api.client(key=text).patch("/v1/sources/src_1", json={})).json()
    assert (made["max_evidence"], taken["max_evidence"]) == ("A", "C")
    assert taken["key"] == f"key_{record.api_key_id}"
    await owner.execute("UPDATE rewards.api_key SET revoked_at = now() WHERE api_key_id = $1", record.api_key_id)
    assert (await issuer.get("/v1/sources/src_1")).json()["state"] == "stopped"


async def test_a_key_with_a_quota_makes_no_source(api: Api, owner: Owner) -> None:
    text, _ = await create_key(owner, "lumen", "few", [Scope.SOURCES_WRITE], "A", quota_per_minute=60)
    answer = await api.client(key=text).post(
        "/v1/sources", json={"provider": "sendgrid", "name": "x", "secrets": SendGrid().secrets}
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "beyond_this_key")


async def test_another_brands_source_is_not_found(api: Api, issuer: httpx.AsyncClient) -> None:
    for path in ("/v1/sources/src_9", "/v1/sources/x", "/v1/sources/src_99999999999"):
        assert (await issuer.get(path)).status_code == 404
        assert (await issuer.patch(path, json={})).status_code == 404


async def test_what_a_key_made_has_its_sources(api: Api, issuer: httpx.AsyncClient, owner: Owner) -> None:
    await make_source(issuer, SendGrid(), name="newsletter")
    text, record = await create_key(owner, "lumen", "next", [Scope.SOURCES_WRITE, Scope.KEYS_WRITE], "A")
    await api.client(key=text).patch("/v1/sources/src_1", json={})

    async def made() -> list[tuple[str, str, bool]]:
        page = (await api.client("admin").get(f"/v1/keys/key_{record.api_key_id}/made")).json()
        return [(each["kind"], each["id"], each["revoked_at"] is not None) for each in page["items"]]

    assert await made() == [("source", "src_1", False)]
    await owner.execute("UPDATE rewards.api_key SET revoked_at = now() WHERE api_key_id = $1", record.api_key_id)
    assert await made() == [("source", "src_1", True)]


@pytest.mark.one_process("starts other processes itself")
async def test_secrets_outlive_the_link_key_that_they_were_sealed_with(api: Api, issuer: httpx.AsyncClient) -> None:
    sender = SendGrid()
    url = (await make_source(issuer, sender))["ingest_url"]
    (old,) = api.secrets.link_keys
    new = LinkKey(kid="test-2", private_key=bytes(range(32)))
    signed = sender.signed([click("ada@example.org", "m-1")])

    async def with_keys(*keys: LinkKey) -> tuple[bool, int]:
        secrets = msgspec.structs.replace(api.secrets, link_keys=keys)
        async with serving(api.settings, secrets, 1) as (app,):
            other = Api(app=app, brand=api.brand, keys=api.keys, settings=api.settings, secrets=secrets)
            await look(app.state.services, {})
            client = other.client(key=issuer.headers["authorization"].removeprefix("Bearer "))
            shown = (await client.get("/v1/sources/src_1")).json()
            status = (await send(other, url, signed)).status_code
            await other.close()
        return shown["secrets_readable"], status

    assert await with_keys(new) == (False, 503)
    assert await with_keys(old, new) == (True, 200)
    assert await with_keys(new) == (True, 200)
