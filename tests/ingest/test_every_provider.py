"""Every provider's requests are taken in at the door as they are sent, and decided: nothing of them is an error of ours."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import msgspec
import pytest

from service.admission.limits import MAIL_BYTES_MAX, MIB, PROVIDER_BYTES_MAX
from service.egress.fetching import FetchFailed
from service.ingest.certificates import Certificates
from service.ingest.envelope_reader import EnvelopeReader
from service.providers.registry import ADAPTERS
from service.providers.samples.occasion import Occasion
from service.providers.samples.simulate import CERTIFICATES, SAMPLES, secrets_for, simulate, tampered
from service.providers.signing import sign
from service.providers.types import ProviderRequest, Trust
from tests.api_fixtures import Api
from tests.ingest.conftest import Owner
from tests.ingest.test_reading import read_all, told
from tests.links.campaigns import make_campaign

CLICKED_OR_REPLIED = [
    (name, next(each for each in ("clicked", "replied") if each in events)) for name, events in SAMPLES.items()
]


@pytest.fixture
async def campaign(api: Api) -> None:
    rules = [{"action": action, "points": 5} for action in ("open", "read", "click", "reply", "answer")]
    await make_campaign(api.client("admin"), id="espresso-week", rules=rules)


async def fetch(url: str) -> bytes:
    """What is at Amazon."""
    try:
        return CERTIFICATES(url)
    except OSError as error:
        raise FetchFailed(str(error)) from error


async def set_up(api: Api, issuer: httpx.AsyncClient, provider: str) -> str:
    """A source of a provider; returns its address."""
    api.services.intake.certificates = Certificates(fetch)
    secrets = secrets_for(ADAPTERS[provider])
    made = await issuer.post("/v1/sources", json={"provider": provider, "name": provider, "secrets": secrets})
    assert made.status_code == 201, made.text
    return made.json()["ingest_url"]


async def post(api: Api, request: ProviderRequest) -> int:
    """Send a request as its provider does; returns the status."""
    answer = await api.client(None).post(request.url, content=request.body, headers=dict(request.headers))
    return answer.status_code


def occasions(provider: str, url: str) -> Iterator[tuple[str, ProviderRequest]]:
    """Each of its events, happened and signed now."""
    now = datetime.now(UTC)
    for event in SAMPLES[provider]:
        occasion = Occasion(url=url, token="", at=now, message=f"msg-{event}", event=f"evt-{event}")
        yield event, simulate(provider, event, occasion, now)


@pytest.mark.one_process("fetches certificates in this process")
@pytest.mark.usefixtures("campaign")
@pytest.mark.parametrize("provider", SAMPLES)
async def test_whatever_a_provider_sends_is_taken_and_decided(
    api: Api, issuer: httpx.AsyncClient, owner: Owner, reader: EnvelopeReader, provider: str
) -> None:
    url = await set_up(api, issuer, provider)
    sent = {event: await post(api, request) for event, request in occasions(provider, url)}
    assert sent == dict.fromkeys(sent, ADAPTERS[provider].answers.taken)
    await read_all(reader)
    listed = (await issuer.get("/v1/sources/src_1/deliveries")).json()["items"]
    assert [each["state"] for each in listed] == ["decided"] * len(sent)
    failed = [each for each in await told(owner) if each[0] == "failed" and not (each[1] or "").startswith("not confirmed")]
    assert failed == []


@pytest.mark.one_process("fetches certificates in this process")
@pytest.mark.usefixtures("campaign")
@pytest.mark.parametrize(("provider", "event"), CLICKED_OR_REPLIED)
async def test_what_somebody_changed_on_the_way_earns_nothing_where_the_body_is_signed(
    api: Api, issuer: httpx.AsyncClient, owner: Owner, reader: EnvelopeReader, provider: str, event: str
) -> None:
    url = await set_up(api, issuer, provider)
    now = datetime.now(UTC)
    request = tampered(simulate(provider, event, Occasion(url=url, token="", at=now), now))
    status = await post(api, request)
    await read_all(reader)
    if ADAPTERS[provider].trust is Trust.SIGNED_BODY:
        assert status in {ADAPTERS[provider].answers.forged, ADAPTERS[provider].answers.unsigned}
        assert await told(owner) == []
    assert status < 500


@pytest.mark.usefixtures("campaign")
async def test_a_mail_that_anybody_may_have_written_earns_nothing(
    api: Api, issuer: httpx.AsyncClient, owner: Owner, reader: EnvelopeReader
) -> None:
    url, (scheme,) = await set_up(api, issuer, "sendgrid"), ADAPTERS["sendgrid"].schemes
    (key,), now = secrets_for(ADAPTERS["sendgrid"])["verification_key"], datetime.now(UTC)
    for said in ("Yes, please!", "STOP"):
        sent = SAMPLES["sendgrid"]["replied"](Occasion(url=url, token="", at=now, event=f"evt-{said[:1]}", said=said))
        forged = msgspec.structs.replace(sent, body=sent.body.replace(b"pass", b"none"))
        assert await post(api, sign(scheme, forged, key, now)) == 200
    await read_all(reader)
    # Messages may be stopped by anybody.
    assert await told(owner) == [("ignored", "sender_not_proved"), ("recorded", "stop")]


def with_attachment(request: ProviderRequest, size: int) -> ProviderRequest:
    """The same mail with a file."""
    edge = b"--xYzZY"
    head = edge + b'\r\nContent-Disposition: form-data; name="attachment1"; filename="a.bin"\r\n\r\n'
    file = head + b"\x00\xff" * (size // 2) + b"\r\n"
    return msgspec.structs.replace(request, body=file + request.body)


@pytest.mark.usefixtures("campaign")
async def test_a_mail_counts_whatever_is_attached_and_is_kept_without_that(
    api: Api, issuer: httpx.AsyncClient, owner: Owner, reader: EnvelopeReader
) -> None:
    url, (scheme,) = await set_up(api, issuer, "sendgrid"), ADAPTERS["sendgrid"].schemes
    (key,), now = secrets_for(ADAPTERS["sendgrid"])["verification_key"], datetime.now(UTC)
    (await issuer.patch("/v1/sources/src_1", json={"campaign": "espresso-week"})).raise_for_status()
    mail = SAMPLES["sendgrid"]["replied"](Occasion(url=url, token="", at=now, said="Schön, gern!"))
    large = sign(scheme, with_attachment(mail, 20 * MIB), key, now)
    assert await post(api, large) == 200
    assert await post(api, tampered(large)) == 401
    assert await post(api, with_attachment(mail, MAIL_BYTES_MAX)) == 413
    assert await post(api, sign(scheme, mail, key, now)) == 200
    rows = await owner.fetch("SELECT bytes, length(sealed) AS kept, verdict FROM rewards.envelope ORDER BY envelope_no")
    assert [row["verdict"] for row in rows] == ["verified", "forged", "verified"]
    assert rows[0]["bytes"] == len(large.body)
    assert rows[0]["kept"] < 2_000
    await read_all(reader)
    # It is the same mail.
    assert [outcome for outcome, _ in await told(owner)] == ["granted", "duplicate"]


async def test_what_is_no_mail_has_no_room_for_attachments(api: Api, issuer: httpx.AsyncClient) -> None:
    mail = SAMPLES["sendgrid"]["replied"](Occasion())
    for provider in ("sendgrid", "customer_io"):
        url = await set_up(api, issuer, provider)
        body = with_attachment(mail, PROVIDER_BYTES_MAX).body
        headers = {"content-type": "application/json"} if provider == "sendgrid" else dict(mail.headers)
        assert await post(api, ProviderRequest("POST", url, headers, body)) == 413
