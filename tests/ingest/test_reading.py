"""What providers report is decided as if the brand's own system had reported it: each act once, whoever tells us of it."""

from __future__ import annotations

import hmac
import itertools
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from service.auth.actions import create_key
from service.auth.scopes import Scope
from service.ingest.envelope_reader import EnvelopeReader
from service.ingest.outcomes import EventOutcome, unpacked
from service.services import open_for_agents
from tests.api_fixtures import Api
from tests.ingest.conftest import Owner, make_source
from tests.ingest.senders import SendGrid, StandardWebhooks, click, send
from tests.ledger.conftest import assert_books_are_sound
from tests.links.campaigns import make_campaign
from tests.links.conftest import Links

ADA = "ada@example.org"


async def outcomes(owner: Owner) -> list[EventOutcome]:
    """What became of all events, in the order in which they came."""
    rows = await owner.fetch("SELECT outcomes FROM rewards.envelope_outcome ORDER BY source_no, replay_no, envelope_no")
    return [outcome for row in rows for outcome in unpacked(row[0])]


async def told(owner: Owner) -> list[tuple[str, str | None]]:
    """The same, as outcome and reason."""
    return [(each.outcome, each.reason) for each in await outcomes(owner)]


async def read_all(reader: EnvelopeReader) -> None:
    """Read until nothing waits."""
    while await reader.run_once():
        pass


async def balance(api: Api, email: str = ADA) -> int:
    """What a customer has, by their email."""
    answer = await api.client("storefront").post("/v1/customers/balance", json={"customer": {"email": email}})
    return answer.raise_for_status().json()["balance"]


async def test_a_click_earns_once_however_often_it_is_reported(
    links: Links, issuer: httpx.AsyncClient, owner: Owner, reader: EnvelopeReader
) -> None:
    api, sender = links.api, SendGrid()
    url = (await make_source(issuer, sender, campaign="autumn"))["ingest_url"]
    at = int(datetime.now(UTC).timestamp())
    clicks = [click(ADA, "m-1", at=at) for _ in range(3)]
    assert len({each["sg_event_id"] for each in clicks}) == 3
    await send(api, url, sender.signed(clicks))
    await send(api, url, sender.signed(clicks[:1]))
    assert await reader.run_once() == 2
    assert await reader.run_once() == 0

    assert await balance(api) == 25
    found = await outcomes(owner)
    assert [(each.outcome, each.points) for each in found] == [("granted", 25), *[("duplicate", 0)] * 3]
    assert len({each.grant for each in found}) == 1
    grant = (await api.client("messaging").get(f"/v1/grants/{found[0].grant}")).json()
    assert (grant["source"], grant["evidence"], grant["message_id"], grant["action"]) == ("src_1", "C", "m-1", "click")
    shown = (await issuer.get("/v1/sources/src_1")).json()
    assert (shown["waiting"], shown["points_today"]) == (0, 25)
    await assert_books_are_sound(owner)


ORDERS = list(itertools.permutations(["link", "provider", "api"]))


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
async def test_one_act_is_one_grant_by_our_link_the_provider_and_the_api_in_any_order(
    links: Links, issuer: httpx.AsyncClient, owner: Owner, reader: EnvelopeReader, order: tuple[str, ...]
) -> None:
    api, sender = links.api, SendGrid()
    url = (await make_source(issuer, sender))["ingest_url"]
    [minted] = await links.mint(links.item("C-1"))
    token = minted["url"].rpartition("/")[2]

    async def by_link() -> None:
        await api.client(None).post(minted["url"], headers={"Sec-Fetch-Site": "same-origin"})

    async def by_provider() -> None:
        for _ in range(3):
            await send(api, url, sender.signed([click("c1@example.org", "sg-1", reward_token=token)]))
        await read_all(reader)

    async def by_api() -> None:
        act = {"campaign": "autumn", "message_id": "newsletter-0412", "customer": {"id": "C-1"}}
        await api.client("messaging").post("/v1/grants", json=act | {"action": "click", "channel": "email"})

    for who in order:
        await {"link": by_link, "provider": by_provider, "api": by_api}[who]()
    assert await links.balance("C-1") == 25
    grants = await owner.fetch("SELECT source FROM ledger.event")
    assert [row[0] for row in grants] == [{"link": "link", "provider": "src_1", "api": "api"}[order[0]]]
    assert {each.outcome for each in await outcomes(owner)} <= {"granted", "duplicate"}
    assert sum(each.points for each in await outcomes(owner)) == (25 if order[0] == "provider" else 0)
    await assert_books_are_sound(owner)


async def test_the_address_that_was_clicked_leads_to_the_message_if_it_is_our_link(
    links: Links, issuer: httpx.AsyncClient, owner: Owner, reader: EnvelopeReader
) -> None:
    sender = SendGrid()
    url = (await make_source(issuer, sender))["ingest_url"]
    long, short = await links.mint(links.item("C-1"), links.item("C-2", short=True))
    addresses = [long["url"], short["short_url"], long["url"].replace("rewards.test", "elsewhere.test"), long["url"][:-4]]
    events = [click("x@example.org", f"sg-{n}", url=address) for n, address in enumerate(addresses)]
    await send(links.api, url, sender.signed(events))
    await read_all(reader)
    assert [await links.balance(each) for each in ("C-1", "C-2")] == [25, 25]
    assert await told(owner) == [("granted", None), ("granted", None), ("ignored", "no_campaign"), ("ignored", "unknown_token")]


async def test_what_earns_nothing_says_why(
    links: Links, issuer: httpx.AsyncClient, owner: Owner, reader: EnvelopeReader
) -> None:
    sender = SendGrid()
    url = (await make_source(issuer, sender, campaign="autumn"))["ingest_url"]
    long_ago = int((datetime.now(UTC) - timedelta(days=500)).timestamp())
    cases: list[tuple[dict[str, Any], tuple[str, str | None]]] = [
        (click(ADA, "m-1", event="delivered"), ("ignored", "kind")),
        (click(ADA, "m-1", event="pigeon"), ("ignored", "kind")),
        (click(ADA, "m-1", event="open"), ("ignored", "no_rule")),
        (click(ADA, "m-1", event="open", sg_machine_open=True), ("ignored", "machine")),
        (click(ADA, "m-1", reward_campaign="nowhere"), ("failed", "unknown_campaign")),
        (click("not an address", "m-1"), ("failed", "invalid_field")),
        (click(ADA, "m-1", at=long_ago), ("failed", "occurred_at_out_of_range")),
        (click(ADA, "m-1", reward_token="x.y.z"), ("ignored", "unknown_token")),
        (click(ADA, "m" * 300), ("ignored", "invalid")),
        (click("", "m-1"), ("ignored", "no_recipient")),
        ({**click(ADA, "m-1"), "timestamp": "soon"}, ("failed", None)),
        (click(ADA, "m-2"), ("granted", None)),
    ]
    await send(links.api, url, sender.signed([event for event, _ in cases]))
    await read_all(reader)
    found = await told(owner)
    assert [(outcome, None if outcome == "failed" and ":" in (reason or "") else reason) for outcome, reason in found] == [
        expected for _, expected in cases
    ]
    assert await balance(links.api) == 25


async def test_what_was_refused_is_not_read(
    links: Links, issuer: httpx.AsyncClient, owner: Owner, reader: EnvelopeReader
) -> None:
    sender = SendGrid()
    url = (await make_source(issuer, sender, campaign="autumn"))["ingest_url"]
    await send(links.api, url, SendGrid().signed([click(ADA, "m-1")]))
    await send(links.api, url, sender.signed([click(ADA, "m-2")]))
    await read_all(reader)
    assert await told(owner) == [("granted", None)]
    assert (await issuer.get("/v1/sources/src_1")).json()["waiting"] == 0


async def test_a_source_whose_key_is_revoked_waits_for_another_key(
    links: Links, issuer: httpx.AsyncClient, owner: Owner, reader: EnvelopeReader
) -> None:
    sender = SendGrid()
    made = await make_source(issuer, sender, campaign="autumn")
    await owner.execute("UPDATE rewards.api_key SET revoked_at = now() WHERE name = 'issuer'")
    assert (await send(links.api, made["ingest_url"], sender.signed([click(ADA, "m-1")]))).status_code == 200
    await read_all(reader)
    assert await told(owner) == []

    other = links.api.client(key=(await create_key(owner, "lumen", "other", [Scope.SOURCES_WRITE], "A"))[0])
    assert (await other.patch("/v1/sources/src_1", json={})).json()["waiting"] == 1
    async with open_for_agents(links.api.settings, links.api.secrets) as a_moment_later:
        await read_all(EnvelopeReader(a_moment_later))
    assert await told(owner) == [("granted", None)]


# ---- Consent


async def test_a_complaint_refuses_the_channel_and_stops_what_is_held_back(
    api: Api, issuer: httpx.AsyncClient, owner: Owner, reader: EnvelopeReader
) -> None:
    rules = [{"action": "click", "channel": "email", "points": 25, "hold_back_days": 9}]
    await make_campaign(api.client("admin"), rules=rules)
    sender = SendGrid()
    url = (await make_source(issuer, sender, campaign="autumn"))["ingest_url"]
    earlier = int(datetime.now(UTC).timestamp()) - 60
    await send(api, url, sender.signed([click(ADA, "m-1", at=earlier)]))
    await read_all(reader)
    await send(api, url, sender.signed([click(ADA, "m-1", event="spamreport"), click(ADA, "m-2")]))
    await read_all(reader)
    assert await told(owner) == [
        ("held_back", "awaiting_approval"),
        ("recorded", "complaint"),
        ("ignored", "consent_refused"),
    ]
    events = await owner.fetch("SELECT outcome FROM ledger.event")
    assert len(events) == 1
    rejected = (await api.client("messaging").get(f"/v1/grants/{(await outcomes(owner))[0].grant}")).json()
    assert (rejected["outcome"], rejected["reason"]) == ("refused", "rejected")
    await assert_books_are_sound(owner)


async def test_a_reply_earns_by_what_it_says(
    links: Links, issuer: httpx.AsyncClient, owner: Owner, reader: EnvelopeReader
) -> None:
    sender = StandardWebhooks()
    url = (await make_source(issuer, sender, campaign="autumn"))["ingest_url"]
    texts = ["Great shop!", "> what you wrote", "STOP", ""]
    for n, text in enumerate(texts):
        data = {"email": f"c{n}@example.org", "channel": "email", "in_reply_to": "m-1", "text": text}
        await send(links.api, url, sender.signed({"type": "message.replied", "data": data}, message_id=f"msg_{n}"))
    await read_all(reader)
    assert await told(owner) == [
        ("granted", None),
        ("ignored", "empty_reply"),
        ("recorded", "stop"),
        ("ignored", "empty_reply"),
    ]
    assert await balance(links.api, "c0@example.org") == 50
    first = (await outcomes(owner))[0]
    assert (await links.api.client("messaging").get(f"/v1/grants/{first.grant}")).json()["evidence"] == "A"


# ---- The limit of a day


async def test_a_source_earns_no_more_than_it_may_in_a_day(
    links: Links, issuer: httpx.AsyncClient, owner: Owner, reader: EnvelopeReader
) -> None:
    sender = SendGrid()
    url = (await make_source(issuer, sender, campaign="autumn", daily_points_max=70))["ingest_url"]
    at = int(datetime.now(UTC).timestamp())
    thrice = [click(f"c{n}@example.org", "m-1", at=at) for n in (0, 0, 1, 0, 1, 2, 3, 0, 2)]
    await send(links.api, url, sender.signed(thrice))
    await read_all(reader)
    limit = ("ignored", "source_limit_reached")
    assert await told(owner) == [
        ("granted", None),
        ("duplicate", None),
        ("granted", None),
        ("duplicate", None),
        ("duplicate", None),
        limit,
        limit,
        ("duplicate", None),
        limit,
    ]
    assert (await issuer.get("/v1/sources/src_1")).json()["points_today"] == 50
    # What was paid stays answered, and the next day begins at nothing.
    await links.api.client("admin").post("/v1/test/clock/advance", json={"seconds": 86_400})
    await send(links.api, url, sender.signed(thrice[-3:]))
    async with open_for_agents(links.api.settings, links.api.secrets) as tomorrow:
        await read_all(EnvelopeReader(tomorrow))
    assert (await told(owner))[9:] == [("granted", None), ("duplicate", None), ("granted", None)]
    assert (await issuer.get("/v1/sources/src_1")).json()["points_today"] == 50


async def test_json_of_a_brands_own_shape_is_read_as_the_brand_says(
    links: Links, issuer: httpx.AsyncClient, owner: Owner, reader: EnvelopeReader
) -> None:
    shape = {
        "signature": {"header": "X-Shop", "prefix": "", "signed": "v1.{body}"},
        "events": "$.batch",
        "fields": {"event": "$.what", "email": "$.who.email", "message_id": "$.mail"},
        "kinds": {"Klick": "clicked"},
    }
    wanted = {"provider": "signed_json", "name": "shop", "secrets": {"shared_secret": ["s" * 32]}, "campaign": "autumn"}
    made = (await issuer.post("/v1/sources", json=wanted | {"shape": shape})).json()
    assert made["shape"] == shape
    body = json.dumps({"batch": [{"what": "Klick", "who": {"email": ADA}, "mail": "m-1", "id": "1"}]}).encode()
    mac = hmac.digest(b"s" * 32, b"v1." + body, "sha256").hex()
    for signature, status in ((mac, 200), (hmac.digest(b"s" * 32, body, "sha256").hex(), 401)):
        headers = {"Content-Type": "application/json", "X-Shop": signature}
        assert (await links.api.client(None).post(made["ingest_url"], content=body, headers=headers)).status_code == status
    await read_all(reader)
    assert await told(owner) == [("granted", None)]

    refused = [
        ({"provider": "sendgrid", "secrets": SendGrid().secrets, "shape": {}}, "/shape"),
        ({"shape": {"signature": {"signed": "x"}}}, "/shape/signature/signed"),
        ({"shape": {"fields": {"email": "nowhere"}}}, "/shape/fields/email"),
        ({"shape": {"colour": "red"}}, "/shape"),
    ]
    for changed, pointer in refused:
        answer = await issuer.post("/v1/sources", json=wanted | changed)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer), answer.text
    assert (await issuer.patch("/v1/sources/src_1", json={"shape": None})).json()["shape"] is None
