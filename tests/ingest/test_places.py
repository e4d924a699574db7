"""A brand's own app backend reports by its source where customers come to; where exactly that is, is refused at the door."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
import pytest

from service.ingest.envelope_reader import EnvelopeReader
from service.providers.registry import ADAPTERS
from service.providers.samples.occasion import Occasion, json_request
from service.providers.samples.simulate import secrets_for
from service.providers.signing import sign
from tests.api_fixtures import Api
from tests.ingest.conftest import Owner, make_source
from tests.ingest.senders import StandardWebhooks, send
from tests.ingest.test_reading import outcomes, read_all, told
from tests.links.campaigns import make_campaign

BERLIN = {"customer": "C-1", "place": "berlin-mitte"}


@pytest.fixture
async def sender(api: Api) -> StandardWebhooks:
    await make_campaign(api.client("admin"), rules=[{"action": "location.enter", "points": 20}])
    return StandardWebhooks()


def entering(data: Any, word: str = "location.enter") -> dict[str, Any]:
    """The event of a backend."""
    return {"type": word, "data": data}


async def test_entering_a_place_earns_once_by_the_source_and_by_the_api(
    api: Api, issuer: httpx.AsyncClient, owner: Owner, reader: EnvelopeReader, sender: StandardWebhooks
) -> None:
    url = (await make_source(issuer, sender, campaign="autumn"))["ingest_url"]
    events = [BERLIN, BERLIN, BERLIN | {"place": "store-117"}, BERLIN | {"message_id": "visit-9"}, BERLIN | {"customer": "C-2"}]
    for n, data in enumerate(events):
        assert (await send(api, url, sender.signed(entering(data), message_id=f"msg_{n}"))).status_code == 200
    await read_all(reader)
    assert [outcome for outcome, _ in await told(owner)] == ["granted", "duplicate", "granted", "duplicate", "granted"]
    first = (await api.client("messaging").get(f"/v1/grants/{(await outcomes(owner))[0].grant}")).json()
    assert (first["action"], first["message_id"], first["metadata"], first["evidence"]) == (
        *("location.enter", "berlin-mitte", None),
        "C",
    )
    act = {"campaign": "autumn", "message_id": "x", "customer": {"id": "C-1"}, "action": "location.enter", "channel": "app"}
    again = await api.client("messaging").post("/v1/grants", json=act | {"metadata": {"place_id": "berlin-mitte"}})
    assert (again.json()["grant_id"], again.json()["replayed"]) == (first["grant_id"], True)


EXACT: list[tuple[dict[str, Any], str]] = [
    (entering(BERLIN | {"lat": 52}), "/data/lat"),
    (entering(BERLIN | {"where": {"at": [52.520008, 13.404954]}}), "/data/where/at/1"),
    (entering(BERLIN | {"note": "geo:52.52,13.405"}), "/data/note"),
    (entering(BERLIN | {"place": "52.52,13.405"}), "/data/place"),
    (entering(BERLIN | {"place": "u33dc0cppj7d"}), "/data/place"),
    (entering(BERLIN | {"52.520008,13.404954": 1}), "/data"),
    (entering(BERLIN | {"lat": 52}, "location.entered"), "/data/lat"),
    (entering(BERLIN | {"lat": 52}, "shop.ENTER"), "/data/lat"),
]


@pytest.mark.parametrize(("event", "pointer"), EXACT, ids=str)
async def test_where_exactly_somebody_is_is_refused_and_kept_nowhere(
    api: Api,
    issuer: httpx.AsyncClient,
    owner: Owner,
    reader: EnvelopeReader,
    sender: StandardWebhooks,
    caplog: pytest.LogCaptureFixture,
    event: dict[str, Any],
    pointer: str,
) -> None:
    url = (await make_source(issuer, sender, campaign="autumn"))["ingest_url"]
    answer = await send(api, url, sender.signed(event))
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer), answer.text
    # Also of what nobody signed, which is listed, and of which small requests are kept otherwise.
    assert (await send(api, url, StandardWebhooks().signed(event))).status_code == 401
    await read_all(reader)
    assert await told(owner) == []
    rows = await owner.fetch("SELECT verdict, sealed FROM rewards.envelope")
    assert [tuple(row) for row in rows] == [("forged", None)]
    assert not any(written in answer.text + caplog.text for written in ("52.52", "13.40", "u33dc0cppj7d"))


async def test_what_is_not_about_a_place_is_kept_whatever_it_says(
    api: Api, issuer: httpx.AsyncClient, owner: Owner, reader: EnvelopeReader, sender: StandardWebhooks
) -> None:
    url = (await make_source(issuer, sender, campaign="autumn"))["ingest_url"]
    event = {"type": "message.delivered", "data": {"text": "enter", "geo": {"lat": 52.5}}}
    assert (await send(api, url, sender.signed(event))).status_code == 200
    without_place = entering({"customer": "C-1"})
    assert (await send(api, url, sender.signed(without_place, message_id="msg_2"))).status_code == 200
    await read_all(reader)
    assert await told(owner) == [("ignored", "kind"), ("failed", "data.place: is missing")]


HERE = BERLIN | {"spot": {"Breitengrad": 52.5}}
OF_ITS_OWN_SHAPE = {"fields": {"event": "$.what", "place": "$.shop", "customer": "$.who"}, "kinds": {"Angekommen": "entered"}}
GENERIC: list[tuple[str, Any, dict[str, str], str]] = [
    ("svix", {"type": "location.enter", "data": HERE}, {"svix_id": "m"}, "/data/spot/Breitengrad"),
    ("signed_json", [{"event": "clicked", "id": "1"}, HERE | {"event": "entered", "id": "2"}], {}, "/spot/Breitengrad"),
    ("signed_json", {"what": "Angekommen", "id": "1", "shop": "mitte", "who": "C-1", "lat": 52}, {}, "/lat"),
    ("cloudevents", {"type": "a.enter", "source": "/", "id": "1", "data": HERE}, {"webhook_id": "m"}, "/data/spot/Breitengrad"),
]


@pytest.mark.parametrize(("provider", "body", "headers", "pointer"), GENERIC, ids=str)
async def test_every_generic_source_refuses_it(
    api: Api, issuer: httpx.AsyncClient, owner: Owner, provider: str, body: Any, headers: dict[str, str], pointer: str
) -> None:
    secrets = secrets_for(ADAPTERS[provider])
    shape = {"shape": OF_ITS_OWN_SHAPE} if "what" in body else {}
    wanted = {"provider": provider, "name": "app", "secrets": secrets, **shape}
    url = (await issuer.post("/v1/sources", json=wanted)).raise_for_status().json()["ingest_url"]
    unsigned = json_request(Occasion(url=url), body, **headers)
    if provider == "cloudevents":
        structured = {**unsigned.headers, "content-type": "application/cloudevents+json"}
        unsigned = msgspec.structs.replace(unsigned, headers=structured)
    scheme = ADAPTERS[provider].schemes[0]
    request = sign(scheme, unsigned, secrets[scheme.secret][0], datetime.now(UTC))
    answer = await api.client(None).post(request.url, content=request.body, headers=dict(request.headers))
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer), answer.text
    assert await owner.fetchval("SELECT count(*) FROM rewards.envelope") == 0
