"""Whatever a provider signs, or anybody sends, is answered in the provider's codes, and never as an error of ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
import pytest

from service.admission.limits import PROVIDER_BYTES_MAX
from service.ingest.envelope_reader import EnvelopeReader
from service.providers.reading import Unreadable
from service.providers.registry import ADAPTERS
from service.providers.samples.occasion import Occasion
from service.providers.samples.simulate import SAMPLES, signed, simulate
from service.providers.types import ProviderRequest
from tests.api_fixtures import Api
from tests.ingest.conftest import Owner, make_source
from tests.ingest.senders import StandardWebhooks, send
from tests.ingest.test_every_provider import CLICKED_OR_REPLIED, post, set_up
from tests.ingest.test_reading import read_all, told
from tests.links.campaigns import make_campaign
from tests.links.conftest import Links
from tests.providers.test_hostile import values_of, with_value

DEEP = 100_000
ODD_BODIES = [
    b"", b"\x00", b"\xff\xfe{}", b'{"a":"\xff"}', b"[" * DEEP, b'{"a":' * DEEP, b"null", b"7", b'"text"', b"[]", b"[[[1]]]",
    b"[1e999,NaN]", b"[" + b"{}," * 20_000 + b"{}]", b"a=%ff&b", b"--x\r\n" * 1_000, b'{"a":"\\ud800"}',
]  # fmt: skip
ODD_VALUES: list[Any] = [7, -1.5, None, True, [], {}, [{}], "", "x" * 10_000, "\x00", "\ud800", 2**300]


def odd_requests(provider: str, event: str, url: str, now: datetime) -> Iterator[ProviderRequest]:
    """A provider's request with another body, or with an odd value in each of its places; all of them are signed."""
    plain = SAMPLES[provider][event](Occasion(url=url, token="", at=now))
    bodies = list(ODD_BODIES)
    if "json" in plain.headers["content-type"]:
        document = json.loads(plain.body)
        paths = values_of(document)
        bodies += [
            json.dumps(with_value(document, path, ODD_VALUES[n % len(ODD_VALUES)])).encode() for n, path in enumerate(paths * 2)
        ]
    for body in bodies:
        request = msgspec.structs.replace(plain, body=body)
        try:
            yield signed(provider, request, now)
        except (Unreadable, UnicodeEncodeError):
            # The signature is in the body, of which there is too little to put it in.
            yield request


@pytest.mark.one_process("fetches certificates in this process")
@pytest.mark.parametrize(("provider", "event"), CLICKED_OR_REPLIED)
async def test_no_body_of_any_kind_is_an_error_of_ours(
    api: Api, issuer: httpx.AsyncClient, owner: Owner, reader: EnvelopeReader, provider: str, event: str
) -> None:
    await make_campaign(api.client("admin"), id="espresso-week", rules=[{"action": "pigeon", "points": 5}])
    url = await set_up(api, issuer, provider)
    answers = ADAPTERS[provider].answers
    statuses = {await post(api, request) for request in odd_requests(provider, event, url, datetime.now(UTC))}
    # A handshake is answered at once, and 422 is ours to a brand's own system.
    assert statuses <= {answers.taken, answers.unsigned, answers.forged, answers.unreadable, 200, 422}
    await read_all(reader)
    assert await owner.fetchval("SELECT count(*) FROM ledger.event") == 0
    assert {outcome for outcome, _ in await told(owner)} <= {"failed", "ignored", "recorded", "duplicate"}
    assert (await issuer.get("/v1/sources/src_1")).json()["waiting"] == 0


@pytest.mark.one_process("fetches certificates in this process")
@pytest.mark.parametrize("provider", SAMPLES)
async def test_thirty_megabytes_are_too_large_for_every_provider(
    api: Api, issuer: httpx.AsyncClient, owner: Owner, provider: str
) -> None:
    url = await set_up(api, issuer, provider)
    request = simulate(provider, next(iter(SAMPLES[provider])), Occasion(url=url, token=""), datetime.now(UTC))
    large = msgspec.structs.replace(request, body=request.body + b" " * 30_000_000)
    assert len(large.body) > PROVIDER_BYTES_MAX
    assert await post(api, large) == 413
    assert await owner.fetchval("SELECT count(*) FROM rewards.envelope") == 0


async def test_a_message_of_another_brand_earns_nothing(
    links: Links, issuer: httpx.AsyncClient, owner: Owner, reader: EnvelopeReader
) -> None:
    sender = StandardWebhooks()
    url = (await make_source(issuer, sender, campaign="autumn"))["ingest_url"]
    [minted] = await links.mint(links.item("C-1"))
    token = minted["url"].rpartition("/")[2]
    await owner.execute("UPDATE rewards.link SET brand_id = brand_id + 1")
    message: dict[str, Any] = {
        "message_id": "chat-1",
        "customer": {"id": "C-2"},
        "campaign": "autumn",
        "channel": "email",
        "provider": sender.provider,
        "provider_message_id": "p-1",
    }
    await links.api.client("messaging").post("/v1/messages", json={"messages": [message]})
    await owner.execute("UPDATE rewards.message SET brand_id = brand_id + 1")
    clicked = [{"reward_token": token}, {"customer": "C-9", "message_id": "p-1"}, {"customer": "cus_999", "message_id": "p-2"}]
    for n, data in enumerate(clicked):
        event = {"type": "message.clicked", "data": {"channel": "email", **data}}
        assert (await send(links.api, url, sender.signed(event, message_id=f"msg_{n}"))).status_code == 200
    await read_all(reader)
    # The second is this brand's own customer, on a message of which it knows nothing but the provider's id.
    assert await told(owner) == [("ignored", "token_of_another_brand"), ("granted", None), ("failed", "not_found")]
