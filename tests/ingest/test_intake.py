"""What a provider sends is checked as it came, kept sealed, and answered in the provider's codes."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from structlog.testing import capture_logs

from service.admission.failed_attempts import MISSES_MAX
from service.admission.limits import PROVIDER_BYTES_MAX
from service.auth.actions import create_key
from service.crypto.derived_keys import derived_keys
from service.ingest import intake
from service.ingest.envelopes import REFUSED_BYTES_MAX, Envelope, new_id, request_of
from service.ingest.spooled_envelopes import SpooledEnvelopes
from service.observability import log
from service.providers.types import Verdict
from service.storage.spool import Spool
from service.storage.spool_files import ENVELOPES
from service.storage.spool_seals import Seals
from tests.api_fixtures import Api, another
from tests.ingest.conftest import Owner, make_source
from tests.ingest.senders import SendGrid, StandardWebhooks, click, send
from tests.links.wire import Wire

Signed = tuple[bytes, Mapping[str, str]]


async def listed(owner: Owner) -> list[tuple[int, int, str]]:
    """The envelopes there are: source, number, verdict."""
    rows = await owner.fetch("SELECT source_no, envelope_no, verdict FROM rewards.envelope ORDER BY 1, 2")
    return [tuple(row) for row in rows]


async def test_what_is_verified_is_kept_sealed_and_whole(api: Api, issuer: httpx.AsyncClient, owner: Owner) -> None:
    sender = SendGrid()
    made = await make_source(issuer, sender)
    signed = sender.signed([click("ada@example.org", "m-1", city="Köln")])
    answer = await send(api, f"{made['ingest_url']}?a=1&a=2", signed)
    assert (answer.status_code, answer.content) == (200, b"")

    row = await owner.fetchrow("SELECT * FROM rewards.envelope")
    assert row is not None
    assert (row["verdict"], row["envelope_no"], row["bytes"]) == ("verified", 1, len(signed[0]))
    assert b"ada@example.org" not in row["sealed"]
    envelope = Envelope(row["id"], 1, row["received_at"], Verdict.VERIFIED, row["reason"], row["bytes"], b"")
    content = await api.services.intake.store.content(envelope, row["key_day"], row["sealed"])
    assert content is not None
    request = request_of(content)
    assert (request.method, request.url, request.body) == ("POST", f"{made['ingest_url']}?a=1&a=2", signed[0])
    assert request.headers["x-twilio-email-event-webhook-signature"] == signed[1]["X-Twilio-Email-Event-Webhook-Signature"]
    shown = (await issuer.get("/v1/sources/src_1")).json()
    assert (shown["state"], shown["waiting"], shown["refused_at"]) == ("active", 1, None)


async def test_what_is_not_the_providers_is_refused_and_listed(api: Api, issuer: httpx.AsyncClient, owner: Owner) -> None:
    sender, other = SendGrid(), SendGrid()
    url = (await make_source(issuer, sender))["ingest_url"]
    body, headers = sender.signed([click("ada@example.org", "m-1")])
    unsigned = {name: value for name, value in headers.items() if "Signature" not in name}
    forgeries: list[Signed] = [
        other.signed([click("ada@example.org", "m-1")]),
        (body[:-3] + b" \r\n", headers),
        (body, {**headers, "X-Twilio-Email-Event-Webhook-Timestamp": "1"}),
        (body, unsigned),
        (b"", unsigned),
        (b"\xff\xfe{", headers),
    ]
    assert {(await send(api, url, each)).status_code for each in forgeries} == {401}
    assert [verdict for _, _, verdict in await listed(owner)] == [
        *(["forged"] * 3),
        *(["unsigned"] * 2),
        "forged",
    ]
    shown = (await issuer.get("/v1/sources/src_1")).json()
    assert (shown["state"], shown["verified_at"]) == ("failing", None)


async def test_a_request_that_is_too_old_is_refused_where_its_scheme_says_so(
    api: Api, issuer: httpx.AsyncClient, owner: Owner
) -> None:
    sender = StandardWebhooks()
    url = (await make_source(issuer, sender))["ingest_url"]
    long_ago = int(time.time()) - 3_600
    assert (await send(api, url, sender.signed({"type": "message.clicked"}, at=long_ago))).status_code == 401
    assert [verdict for _, _, verdict in await listed(owner)] == ["stale"]
    # SendGrid delivers hours late.
    of_hours_ago = SendGrid()
    url = (await make_source(issuer, of_hours_ago))["ingest_url"]
    assert (await send(api, url, of_hours_ago.signed([click("a@example.org", "m")], at=long_ago))).status_code == 200


@pytest.mark.usefixtures("pigeon_post")
async def test_nothing_that_is_not_proved_is_taken_unless_the_source_says_so(
    api: Api, issuer: httpx.AsyncClient, owner: Owner
) -> None:
    wanted = {"provider": "pigeon_post", "name": "x", "trust": "none"}
    made = (await issuer.post("/v1/sources", json=wanted)).json()
    assert (made["trust"], made["max_evidence"]) == ("none", "D")
    body, headers = StandardWebhooks().signed({"type": "message.clicked"})
    assert (await send(api, made["ingest_url"], (body, headers))).status_code == 200
    assert await listed(owner) == [(1, 1, "unverified")]
    secret = StandardWebhooks().secrets
    assert (await issuer.patch("/v1/sources/src_1", json={"secrets": secret, "trust": None})).json()["trust"] == "shared_secret"
    assert (await send(api, made["ingest_url"], (body, headers))).status_code == 401
    assert [verdict for _, _, verdict in await listed(owner)] == ["unverified", "forged"]


ADDRESSES = [
    "src_1",
    "src_1_",
    f"src_1_{'0' * 24}",
    f"src_9_{'0' * 24}",
    f"src_99999999999_{'0' * 24}",
    "x",
    "%00",
    "src_1_" + "g" * 24,
]


@pytest.mark.parametrize("address", ADDRESSES)
async def test_where_there_is_no_source_nothing_is_kept(
    api: Api, issuer: httpx.AsyncClient, owner: Owner, address: str
) -> None:
    sender = SendGrid()
    await make_source(issuer, sender)
    answer = await send(api, f"/v1/ingest/{address}", sender.signed([click("ada@example.org", "m-1")]))
    assert answer.status_code == 404
    assert await listed(owner) == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH"])
async def test_events_are_posted(api: Api, issuer: httpx.AsyncClient, method: str) -> None:
    url = (await make_source(issuer, SendGrid()))["ingest_url"]
    answer = await api.client(None).request(method, url)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_a_sender_of_cloudevents_gets_the_permission_that_it_asks_for(api: Api, issuer: httpx.AsyncClient) -> None:
    made = {"provider": "cloudevents", "name": "x", "secrets": {"bearer_token": ["a-password-of-ours"]}}
    url = (await issuer.post("/v1/sources", json=made)).json()["ingest_url"]
    asked = {"WebHook-Request-Origin": "events.example", "WebHook-Request-Rate": "120"}
    answer = await api.client(None).options(url, headers=asked)
    allowed = {name: answer.headers.get(name) for name in ("webhook-allowed-origin", "webhook-allowed-rate", "allow")}
    assert (answer.status_code, answer.content) == (200, b"")
    assert allowed == {"webhook-allowed-origin": "events.example", "webhook-allowed-rate": "*", "allow": "POST"}
    assert (await api.client(None).options(url)).status_code == 405
    other = (await make_source(issuer, SendGrid()))["ingest_url"]
    assert (await api.client(None).options(other, headers=asked)).status_code == 405


async def test_a_body_that_is_too_large_is_refused_whoever_sends_it(api: Api, issuer: httpx.AsyncClient, owner: Owner) -> None:
    sender = SendGrid()
    url = (await make_source(issuer, sender))["ingest_url"]
    many = sender.signed([click("ada@example.org", "m-1", blank=" " * PROVIDER_BYTES_MAX)])
    assert (await send(api, url, many)).status_code == 413
    assert await listed(owner) == []


async def test_a_large_request_that_is_refused_is_listed_without_its_content(
    api: Api, issuer: httpx.AsyncClient, owner: Owner
) -> None:
    url = (await make_source(issuer, SendGrid()))["ingest_url"]
    for blank in (1, REFUSED_BYTES_MAX):
        await send(api, url, SendGrid().signed([click("ada@example.org", "m-1", blank=" " * blank)]))
    kept = await owner.fetch("SELECT sealed IS NOT NULL FROM rewards.envelope ORDER BY envelope_no")
    assert [row[0] for row in kept] == [True, False]


@pytest.mark.one_process("each process counts for itself")
@pytest.mark.usefixtures("pigeon_post")
async def test_what_nobody_proves_does_not_fill_the_disk(
    api: Api, issuer: httpx.AsyncClient, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "UNPROVED_BYTES_MAX", 1_000)
    monkeypatch.setattr(time, "monotonic", lambda: 1_000.0)
    wanted = {"provider": "pigeon_post", "name": "x", "trust": "none"}
    url = (await issuer.post("/v1/sources", json=wanted)).json()["ingest_url"]
    signed = StandardWebhooks().signed({"type": "message.clicked", "data": {"text": "x" * 300}})
    assert [(await send(api, url, signed)).status_code for _ in range(4)] == [200, 200, 503, 503]
    assert len(await listed(owner)) == 2


@pytest.mark.one_process("each process counts for itself")
async def test_of_many_forgeries_only_some_are_listed(api: Api, issuer: httpx.AsyncClient, owner: Owner) -> None:
    sender = SendGrid()
    url = (await make_source(issuer, sender))["ingest_url"]
    forged = SendGrid().signed([click("ada@example.org", "m-1")])
    assert {(await send(api, url, forged)).status_code for _ in range(MISSES_MAX + 3)} == {401}
    assert len(await listed(owner)) == MISSES_MAX
    assert (await send(api, url, sender.signed([click("ada@example.org", "m-1")]))).status_code == 200
    assert len(await listed(owner)) == MISSES_MAX + 1


async def test_who_can_write_to_the_database_makes_no_forged_request_a_verified_one(
    api: Api, issuer: httpx.AsyncClient, owner: Owner
) -> None:
    url = (await make_source(issuer, SendGrid()))["ingest_url"]
    await send(api, url, SendGrid().signed([click("ada@example.org", "m-1")]))
    row = await owner.fetchrow("SELECT * FROM rewards.envelope")
    assert row is not None
    forged = Envelope(row["id"], 1, row["received_at"], Verdict.FORGED, "", 0, b"")
    assert await api.services.intake.store.content(forged, row["key_day"], row["sealed"])
    for changed in (
        Envelope(row["id"], 1, row["received_at"], Verdict.VERIFIED, "", 0, b""),
        Envelope(row["id"], 2, row["received_at"], Verdict.FORGED, "", 0, b""),
        Envelope(new_id(), 1, row["received_at"], Verdict.FORGED, "", 0, b""),
    ):
        assert await api.services.intake.store.content(changed, row["key_day"], row["sealed"]) is None


async def test_envelopes_are_numbered_by_source_in_the_order_of_their_commits(
    api: Api, issuer: httpx.AsyncClient, owner: Owner
) -> None:
    senders = [SendGrid(), SendGrid()]
    urls = [(await make_source(issuer, each))["ingest_url"] for each in senders]
    async with another(api) as other:
        sent = [
            send(through, url, sender.signed([click("ada@example.org", f"m-{n}")]))
            for n in range(20)
            for through in (api, other)
            for sender, url in zip(senders, urls, strict=True)
        ]
        assert {answer.status_code for answer in await asyncio.gather(*sent)} == {200}
    assert [each[:2] for each in await listed(owner)] == [(source, n) for source in (1, 2) for n in range(1, 41)]


# ---- While the database is away


async def until_stored(owner: Owner, count: int) -> None:
    """Wait until so many envelopes are stored."""
    deadline = time.monotonic() + 20
    while await owner.fetchval("SELECT count(*) FROM rewards.envelope") < count:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("blank", [1, 200_000])
async def test_what_comes_while_the_database_is_away_is_kept_on_the_disk_and_stored_once(
    wired: tuple[Any, Wire], owner: Owner, blank: int
) -> None:
    links, wire = wired
    api: Api = links.api
    sender = StandardWebhooks()
    issuer = api.client(key=await source_key(owner))
    url = (await make_source(issuer, sender))["ingest_url"]
    # What does not compress is several records of the spool.
    event = {"type": "message.clicked", "data": {"email": "ada@example.org", "blank": incompressible(blank)}}
    wire.cut()
    assert {(await send(api, url, sender.signed(event, message_id=f"m-{n}"))).status_code for n in range(5)} == {200}
    assert (await send(api, url, StandardWebhooks().signed(event))).status_code == 401
    assert await owner.fetchval("SELECT count(*) FROM rewards.envelope") == 0
    on_disk = b"".join(path.read_bytes() for path in Path(api.settings.data_dir).rglob("*.spool"))
    assert b"ada@example.org" not in on_disk
    wire.mend()
    await until_stored(owner, 5)
    assert await listed(owner) == [(1, n, "verified") for n in range(1, 6)]


async def test_what_a_process_left_on_the_disk_is_stored_by_another(api: Api, issuer: httpx.AsyncClient, owner: Owner) -> None:
    sender = SendGrid()
    url = (await make_source(issuer, sender))["ingest_url"]
    await send(api, url, sender.signed([click("ada@example.org", "m-1")]))
    [row] = await owner.fetch("SELECT id, received_at FROM rewards.envelope")
    there, new = (
        Envelope(id_, 1, row["received_at"], Verdict.VERIFIED, "", 1, secrets.token_bytes(100_000))
        for id_ in (row["id"], new_id())
    )
    sealed, opened = (derived_keys(api.secrets.link_keys, f"spooled envelopes{purpose} 1") for purpose in ("", ", sealed"))
    spool = Spool(api.settings.spool_path / ENVELOPES, bytes_max=10_000_000, seals=Seals(sealed))
    ended = SpooledEnvelopes(spool, opened)
    assert await ended.keep(there)
    assert await ended.keep(new)
    # Half of another is what a kill in the middle of writing leaves.
    await spool.append(spool_half(new))
    await spool.close()
    await until_stored(owner, 2)
    deadline = time.monotonic() + 20
    while list((api.settings.spool_path / ENVELOPES).glob("*.spool")):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    assert await listed(owner) == [(1, 1, "verified"), (1, 2, "verified")]


def spool_half(envelope: Envelope) -> bytes:
    """The first of two records of an envelope."""
    return msgspec.msgpack.encode({"id": new_id(), "n": 0, "of": 2, "data": envelope.content[:100]})


async def test_a_source_that_nobody_remembers_is_asked_to_send_again_while_the_database_is_away(
    wired: tuple[Any, Wire], owner: Owner
) -> None:
    links, wire = wired
    sender = SendGrid()
    url = (await make_source(links.api.client(key=await source_key(owner)), sender))["ingest_url"]
    async with another(links.api) as other:
        wire.cut()
        answer = await send(other, url, sender.signed([click("ada@example.org", "m-1")]))
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
        wire.mend()


async def test_no_log_line_has_anything_of_what_was_sent(
    api: Api, issuer: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[dict[str, Any]] = []

    def note(**said: Any) -> None:
        lines.append(said)

    monkeypatch.setattr(log, "request", note)
    sender = SendGrid()
    url = (await make_source(issuer, sender))["ingest_url"]
    with capture_logs() as others:
        await send(api, url, sender.signed([click("ada@example.org", "m-1")]))
        await send(api, url, SendGrid().signed([click("ada@example.org", "m-1")]))
    said = repr([*lines, *others])
    assert "/v1/ingest/{source_id}" in said
    for secret in ("ada@example.org", url.rpartition("/")[2], json.dumps(sender.secrets)[24:60]):
        assert secret not in said


def incompressible(length: int) -> str:
    """A text that is hardly shorter when it is compressed."""
    return secrets.token_hex(length // 2)


async def source_key(owner: Owner) -> str:
    """A key that sets sources up."""
    return (await create_key(owner, "lumen", "issuer", ["sources:write", "sources:read"], "A"))[0]
