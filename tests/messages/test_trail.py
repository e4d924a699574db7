"""The trail of a message has everything on every channel, and names who reported each act first."""

from __future__ import annotations

import itertools
from typing import Any

import httpx
import pytest

from service.ingest.envelope_reader import EnvelopeReader
from service.messages import trail
from tests.api_fixtures import Api
from tests.ingest.conftest import Owner, make_source
from tests.ingest.senders import SendGrid, click, send
from tests.ingest.test_reading import read_all
from tests.links.conftest import Links
from tests.messages.conftest import Json, message, register

ORDERS = sorted(set(itertools.permutations(["link", "src_1", "src_1", "src_1", "api"])))
"""The provider reports it three times, with another id each time."""


async def trail_of(api: Api, message_id: str, **query: str) -> Json:
    answer = await api.client("messaging").get(f"/v1/messages/{message_id}/trail", params=query)
    return answer.raise_for_status().json()


async def report(api: Api, customer: str, message_id: str, action: str, channel: str) -> None:
    act = {"campaign": "autumn", "message_id": message_id, "customer": {"id": customer}, "action": action, "channel": channel}
    (await api.client("messaging").post("/v1/grants", json=act)).raise_for_status()


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
async def test_one_act_in_any_order_is_one_grant_and_the_trail_names_the_first(
    links: Links, issuer: httpx.AsyncClient, reader: EnvelopeReader, order: tuple[str, ...]
) -> None:
    api, sender = links.api, SendGrid()
    url = (await make_source(issuer, sender))["ingest_url"]
    [minted] = await links.mint(links.item("C-1"))
    mail: Json = {"channel": "email", "provider": "sendgrid", "provider_message_id": "sg-1"}
    await register(api, message("newsletter-0412", "C-1", **mail))

    async def by_link() -> None:
        await api.client(None).post(minted["url"], headers={"Sec-Fetch-Site": "same-origin"})

    async def by_provider() -> None:
        await send(api, url, sender.signed([click("c1@example.org", "sg-1")]))
        await read_all(reader)

    async def by_api() -> None:
        await report(api, "C-1", "newsletter-0412", "click", "email")

    for who in order:
        await {"link": by_link, "src_1": by_provider, "api": by_api}[who]()
    await api.services.click_log.write()
    told = await trail_of(api, "newsletter-0412")
    [act] = told["acts"]
    assert (act["grant"]["source"], act["grant"]["points"]) == (order[0], 25)
    assert [(each["verb"], each["points"]) for each in act["postings"]] == [("grant", 25)]
    assert [each["link_id"] for each in told["links"]] == [minted["link_id"]]
    assert {each["link_id"] for each in told["clicks"]} == {minted["link_id"]}
    assert [each["provider_message_id"] for each in told["messages"]] == ["sg-1"]
    assert told["complete"]


async def test_a_conversation_has_its_messages_on_all_channels(links: Links) -> None:
    api = links.api
    of: Json = {"conversation": "v-1"}
    await register(
        api,
        message("second", **of, channel="whatsapp", sent_at="2026-11-02T10:00:00Z"),
        message("first", **of, sent_at="2026-11-01T10:00:00Z"),
        message("another", conversation="v-2"),
    )
    await links.mint(links.item("C-1", message_id="second"), links.item("C-1", message_id="another"))
    await report(api, "C-1", "first", "reply", "sms")
    await report(api, "C-1", "second", "click", "email")
    await report(api, "C-1", "another", "reply", "sms")
    answer = await api.client("messaging").get("/v1/messages/trail", params={"conversation": "v-1"})
    told = answer.raise_for_status().json()
    assert [(each["message_id"], each["channel"]) for each in told["messages"]] == [("first", "sms"), ("second", "whatsapp")]
    assert [each["message_id"] for each in told["links"]] == ["second"]
    assert [(each["grant"]["message_id"], len(each["postings"])) for each in told["acts"]] == [("first", 1), ("second", 1)]


async def test_what_is_taken_back_later_is_among_the_postings(links: Links) -> None:
    api = links.api
    await report(api, "C-1", "m-1", "click", "email")
    [grant] = (await api.client("messaging").get("/v1/grants", params={"customer": "C-1"})).json()["items"]
    back: Json = {"reason": "a mistake", "points": 5}
    path = f"/v1/grants/{grant['grant_id']}/clawback"
    (await api.client("care").post(path, json=back, headers={"Idempotency-Key": "c-1"})).raise_for_status()
    [act] = (await trail_of(api, "m-1", customer="C-1"))["acts"]
    assert [(each["verb"], each["points"]) for each in act["postings"]] == [("grant", 25), ("clawback", 5)]


async def test_whose_trail_it_is_has_to_be_said_if_nobody_knows(links: Links) -> None:
    api, client = links.api, links.api.client("messaging")
    await register(api, message("m-1", "C-1", conversation="v-1"), message("m-1", "C-2", conversation="v-1"))
    for path in ("m-1/trail", "nothing/trail", "trail?conversation=v-1"):
        answer = await client.get(f"/v1/messages/{path}")
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "?customer"), path
    assert len((await trail_of(api, "m-1", customer="C-2"))["messages"]) == 1
    for path in ("trail?conversation=v-9", "m-1/trail?customer=C-9"):
        assert (await client.get(f"/v1/messages/{path}")).status_code == 404, path
    assert (await client.get("/v1/messages/trail")).status_code == 422


async def test_what_is_too_much_is_said(links: Links, monkeypatch: pytest.MonkeyPatch) -> None:
    await links.mint(*(links.item("C-1", link=f"l-{n}") for n in range(3)))
    for bound in ({}, {"LINKS_MAX": 3}):
        for name, value in bound.items():
            monkeypatch.setattr(trail, name, value)
        assert (await trail_of(links.api, "newsletter-0412", customer="C-1"))["complete"] is (not bound)


async def test_a_brand_sees_its_own_alone(links: Links, owner: Owner) -> None:
    await register(links.api, message("m-1", conversation="v-1"))
    await owner.execute("UPDATE rewards.message SET brand_id = 2")
    client: Any = links.api.client("messaging")
    assert (await client.get("/v1/messages/trail?conversation=v-1")).status_code == 404
    assert (await trail_of(links.api, "m-1", customer="C-1"))["messages"] == []
