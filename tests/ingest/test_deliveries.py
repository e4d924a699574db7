"""What the brand sees of what came: whether it was its provider's, what became of it and why; and reading it again."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from service.auth.actions import create_key
from service.auth.scopes import Scope
from service.ingest import deliveries
from service.ingest.envelope_reader import EnvelopeReader
from service.ingest.replays.actions import REPLAYS_MAX
from service.ingest.source_watch import look
from service.observability import metrics
from service.services import Services
from tests.api_fixtures import Api, make_brand
from tests.ingest.conftest import Owner, make_source
from tests.ingest.senders import SendGrid, StandardWebhooks, click, send
from tests.ingest.test_reading import ADA, balance, read_all
from tests.ledger.conftest import assert_books_are_sound
from tests.links.conftest import Links

Json = dict[str, Any]


async def listed(client: httpx.AsyncClient, query: str = "", path: str = "deliveries") -> Json:
    """A page of a list of the first source."""
    return (await client.get(f"/v1/sources/src_1/{path}{query}")).raise_for_status().json()


async def a_moment_later(services: Services) -> EnvelopeReader:
    """The agent once it knows what was changed."""
    await services.sources.refresh(1)
    return EnvelopeReader(services)


async def test_what_came_is_listed_with_what_became_of_it(
    links: Links, issuer: httpx.AsyncClient, reader: EnvelopeReader
) -> None:
    sender = SendGrid()
    url = (await make_source(issuer, sender, campaign="autumn"))["ingest_url"]
    events = [click(ADA, "m-1"), click(ADA, "m-1"), click(ADA, "m-1", event="delivered"), {"email": ADA}]
    await send(links.api, url, sender.signed(events))
    await send(links.api, url, SendGrid().signed(events))
    await read_all(reader)
    await send(links.api, url, sender.signed(events))

    page = await listed(issuer)
    assert page["next"] is None
    shown = [(each["delivery"], each["verdict"], each["state"], each["can_be_replayed"]) for each in page["items"]]
    assert shown == [(3, "verified", "waiting", True), (2, "forged", "refused", True), (1, "verified", "decided", True)]
    assert page["items"][1]["reason"]
    (reading,) = page["items"][2]["readings"]
    assert (reading["replay"], reading["events"], reading["points"]) == (0, 4, 25)
    assert reading["outcomes"] == {"granted": 1, "duplicate": 1, "ignored": 1, "failed": 1}

    told = (await listed(issuer, path="deliveries/1/events"))["items"]
    assert [(each["index"], each["kind"], each["outcome"], each["reason"]) for each in told[:3]] == [
        (0, "clicked", "granted", None),
        (1, "clicked", "duplicate", None),
        (2, "delivered", "ignored", "kind"),
    ]
    assert (told[3]["index"], told[3]["outcome"], told[3]["kind"]) == (3, "failed", "")
    assert told[0]["grant_id"] == told[1]["grant_id"] is not None
    assert ADA not in str(page) + str(told)
    assert (await issuer.get("/v1/sources/src_1/deliveries/2/events")).status_code == 404
    second = await listed(issuer, "?after=1&limit=2", "deliveries/1/events")
    assert ([each["index"] for each in second["items"]], second["next"]) == ([1, 2], "3")


async def test_the_list_is_filtered_and_paged(
    links: Links, issuer: httpx.AsyncClient, reader: EnvelopeReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = SendGrid()
    url = (await make_source(issuer, sender, campaign="autumn"))["ingest_url"]
    for n in range(7):
        signer = SendGrid() if n == 3 else sender
        await send(links.api, url, signer.signed([click(ADA, "m-1" if n < 5 else "m-2")]))
    await read_all(reader)

    async def numbers(query: str) -> tuple[list[int], str | None]:
        page = await listed(issuer, query)
        return [each["delivery"] for each in page["items"]], page["next"]

    assert await numbers("?limit=3") == ([7, 6, 5], "5")
    assert await numbers("?limit=3&after=5") == ([4, 3, 2], "2")
    assert await numbers("?limit=3&after=2") == ([1], None)
    assert await numbers("?verdict=forged") == ([4], None)
    assert await numbers("?outcome=granted") == ([6, 1], None)
    assert await numbers("?outcome=granted&limit=1") == ([6], "6")
    assert await numbers("?outcome=held_back") == ([], None)
    assert (await issuer.get("/v1/sources/src_1/deliveries?verdict=perhaps")).status_code == 422
    monkeypatch.setattr(deliveries, "LOOKED_THROUGH", 2)
    assert await numbers("?outcome=granted") == ([6], "6")
    assert await numbers("?outcome=granted&after=6") == ([], "4")


async def test_a_secret_that_was_wrong_is_put_right_and_what_was_refused_is_read_again(
    links: Links, issuer: httpx.AsyncClient, owner: Owner, reader: EnvelopeReader, agent_services: Services
) -> None:
    sender, wrong = StandardWebhooks(), StandardWebhooks()
    url = (await make_source(issuer, wrong, campaign="autumn"))["ingest_url"]
    data = {"email": ADA, "channel": "email", "message_id": "m-1"}
    signed = sender.signed({"type": "message.clicked", "data": data})
    for each in (
        signed,
        signed,
        wrong.signed({"type": "message.sent", "data": data}),
        StandardWebhooks().signed({"type": "x"}),
    ):
        await send(links.api, url, each)
    await read_all(reader)
    assert await balance(links.api) == 0
    await issuer.patch("/v1/sources/src_1", json={"secrets": sender.secrets})
    reader = await a_moment_later(agent_services)

    asked = await issuer.post("/v1/sources/src_1/replay", json={"first": 1, "last": 4})
    assert (asked.status_code, asked.json()["read"], asked.json()["done_at"]) == (201, 0, None)
    await read_all(reader)
    (done,) = (await listed(issuer, path="replays"))["items"]
    assert (done["replay"], done["first"], done["last"], done["read"]) == (1, 1, 4, 4)
    assert done["done_at"] is not None
    assert await balance(links.api) == 25
    readings = {each["delivery"]: [told["outcomes"] for told in each["readings"]] for each in (await listed(issuer))["items"]}
    # What the provider did not send is not read, whatever the secrets are by now.
    assert readings == {1: [{"granted": 1}], 2: [{"duplicate": 1}], 3: [{"ignored": 1}, {"ignored": 1}], 4: []}
    await assert_books_are_sound(owner)


async def test_what_is_read_again_is_paid_once(
    links: Links, issuer: httpx.AsyncClient, owner: Owner, reader: EnvelopeReader, agent_services: Services
) -> None:
    sender = SendGrid()
    url = (await make_source(issuer, sender))["ingest_url"]
    await send(links.api, url, sender.signed([click(ADA, "m-1", reward_campaign="autumn"), click(ADA, "m-2")]))
    await read_all(reader)
    # The campaign was forgotten.
    await issuer.patch("/v1/sources/src_1", json={"campaign": "autumn"})
    reader = await a_moment_later(agent_services)
    for _ in range(2):
        assert (await issuer.post("/v1/sources/src_1/replay", json={"first": 1})).status_code == 201
    await read_all(reader)
    (delivery,) = (await listed(issuer))["items"]
    assert [each["outcomes"] for each in delivery["readings"]] == [
        {"granted": 1, "ignored": 1},
        {"duplicate": 1, "granted": 1},
        {"duplicate": 2},
    ]
    assert await balance(links.api) == 50
    first = await listed(issuer, "?replay=0", "deliveries/1/events")
    assert [each["outcome"] for each in first["items"]] == ["granted", "ignored"]
    assert (await issuer.get("/v1/sources/src_1")).json()["points_today"] == 50
    await assert_books_are_sound(owner)


async def test_what_was_not_read_yet_cannot_be_read_again(
    links: Links, issuer: httpx.AsyncClient, reader: EnvelopeReader
) -> None:
    sender = SendGrid()
    url = (await make_source(issuer, sender, campaign="autumn"))["ingest_url"]
    for wanted, pointer in (({"first": 1}, "/first"), ({"first": 1, "last": 2}, "/last"), ({"first": 0}, "/first")):
        answer = await issuer.post("/v1/sources/src_1/replay", json=wanted)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)
    await send(links.api, url, sender.signed([click(ADA, "m-1")]))
    await read_all(reader)
    for _ in range(REPLAYS_MAX):
        assert (await issuer.post("/v1/sources/src_1/replay", json={"first": 1})).status_code == 201
    assert (await issuer.post("/v1/sources/src_1/replay", json={"first": 1})).status_code == 422
    assert (await issuer.post("/v1/sources/src_1/replay", json={"first": 1, "last": 9})).status_code == 422


async def test_another_brand_sees_nothing(api: Api, issuer: httpx.AsyncClient, owner: Owner) -> None:
    await make_source(issuer, SendGrid())
    await make_brand(owner, "other")
    stranger = api.client(key=(await create_key(owner, "other", "x", [Scope.SOURCES_WRITE, Scope.SOURCES_READ], "A"))[0])
    assert (await stranger.get("/v1/sources")).json()["items"] == []
    for path in ("", "/deliveries", "/deliveries/1/events", "/replays"):
        assert (await stranger.get(f"/v1/sources/src_1{path}")).status_code == 404
    assert (await stranger.post("/v1/sources/src_1/replay", json={"first": 1})).status_code == 404
    assert (await stranger.patch("/v1/sources/src_1", json={})).status_code == 404


@pytest.mark.one_process("looks at the metrics of this process")
async def test_the_operator_is_told_which_sources_fail_or_are_silent(api: Api, issuer: httpx.AsyncClient, owner: Owner) -> None:
    urls = [(await make_source(issuer, SendGrid()))["ingest_url"] for _ in range(3)]
    await send(api, urls[0], SendGrid().signed([click(ADA, "m-1")]))
    await owner.execute("UPDATE rewards.source SET created_at = now() - interval '25 hours' WHERE source_no = 2")
    with capture_logs() as said:
        states = await look(api.services, {})
        await look(api.services, states)
    assert states == {1: "failing", 2: "silent", 3: "new"}
    assert [(each["event"], each["source"], each["state"]) for each in said] == [
        ("source_turned", "src_1", "failing"),
        ("source_turned", "src_2", "silent"),
    ]
    rendered = metrics.render().decode()
    assert all(f'rewards_sources{{state="{state}"}} 1.0' in rendered for state in ("failing", "silent", "new"))
