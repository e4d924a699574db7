"""Senders of no particular make: JSON that a brand describes, CloudEvents, and the handshakes that come before events."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from service.providers.adapter import Adapter, missing_secret, parse, trust_of, verify
from service.providers.generic.paths import PathRefused, read_path, value_at
from service.providers.generic.signed_json import ShapeRefused, adapter_of
from service.providers.registry import ADAPTERS
from service.providers.samples.occasion import Occasion
from service.providers.samples.simulate import CERTIFICATES, secrets_for, simulate
from service.providers.types import (
    Answer,
    EventKind,
    Fault,
    Identity,
    IdentityKind,
    ProviderRequest,
    Reply,
    Trust,
    Verdict,
)

NOW = datetime(2026, 11, 30, 12, 0, 30, tzinfo=UTC)
URL = "https://rewards.example/v1/ingest/src_1"
SECRET = "a secret of ours"

SHAPE: dict[str, Any] = {
    "signature": {
        "header": "X-Acme-Signature",
        "algorithm": "hmac-sha512",
        "encoding": "base64",
        "prefix": "v1=",
        "signed": "{x-acme-time}.{body}",
        "timestamp_header": "X-Acme-Time",
    },
    "events": "$.payload.events",
    "fields": {
        "event": "$.what",
        "id": "$.meta['the id']",
        "occurred_at": "$.when",
        "email": "$.who[0].address",
        "token": "$.custom.reward",
        "campaign": "$.custom.c",
    },
    "kinds": {"LINK": "clicked"},
    "channel": "sms",
}
EVENT: dict[str, Any] = {
    "what": "LINK",
    "meta": {"the id": 2**53 + 1},
    "when": 1_795_000_000_000,
    "who": [{"address": "anna@example.com"}],
    "custom": {"reward": "a.b.c", "c": "espresso"},
    "url": "https://shop.example/",
}


def acme(*events: Any, at: datetime = NOW) -> ProviderRequest:
    """A request of a sender that signs in a way of its own."""
    body, stamp = json.dumps({"payload": {"events": events}}).encode(), str(int(at.timestamp()))
    made = base64.b64encode(hmac.digest(SECRET.encode(), stamp.encode() + b"." + body, "sha512")).decode()
    return ProviderRequest("POST", URL, {"x-acme-signature": f"v1={made}", "x-acme-time": stamp}, body)


def verdict(adapter: Adapter, request: ProviderRequest, **secrets: str) -> Verdict:
    """The verdict with one value of each secret."""
    return verify(adapter, request, {name: [value] for name, value in secrets.items()}, NOW).verdict


def test_a_brand_says_how_it_signs_and_where_everything_is() -> None:
    adapter, request = adapter_of(SHAPE), acme(EVENT)
    assert verdict(adapter, request, shared_secret=SECRET) is Verdict.VERIFIED
    (event,) = parse(adapter, request).events
    assert (event.kind, event.provider_kind, event.channel) == (EventKind.CLICKED, "LINK", "sms")
    assert (event.token, event.tags, event.url) == ("a.b.c", {"campaign": "espresso"}, "https://shop.example/")
    assert event.recipients == (Identity(IdentityKind.EMAIL, "anna@example.com"),)
    assert event.occurred_at == datetime.fromtimestamp(1_795_000_000, UTC)


def test_its_signature_is_checked_as_every_other() -> None:
    adapter, request = adapter_of(SHAPE), acme(EVENT)
    assert verdict(adapter, msgspec.structs.replace(request, body=request.body + b" "), shared_secret=SECRET) is Verdict.FORGED
    assert verdict(adapter, request, shared_secret="another secret..") is Verdict.FORGED
    assert verdict(adapter, acme(EVENT, at=NOW - timedelta(seconds=301)), shared_secret=SECRET) is Verdict.STALE
    assert verdict(adapter, request) is Verdict.UNSIGNED


def test_an_event_without_an_id_or_kind_is_a_fault() -> None:
    parsed = parse(adapter_of(SHAPE), acme(EVENT, {**EVENT, "meta": {}}, {**EVENT, "what": None}, 7))
    assert len(parsed.events) == 1
    assert parsed.faults == [Fault(1, "id", "is missing"), Fault(2, "event", "is missing"), Fault(3, "", "must be an object")]
    nothing = ProviderRequest("POST", URL, {}, b'{"payload": 1}')
    assert parse(adapter_of(SHAPE), nothing).faults == [Fault(None, "$.payload.events", "has no events")]


def test_the_key_is_the_senders_id() -> None:
    adapter = adapter_of(SHAPE)
    first, copy, other = parse(
        adapter, acme(EVENT, {**EVENT, "when": "2026-11-30T12:00:00Z"}, {**EVENT, "meta": {"the id": "x"}})
    ).events
    assert first.natural_key == copy.natural_key != other.natural_key


def test_words_of_our_own_need_no_shape() -> None:
    (answered,) = parse(ADAPTERS["signed_json"], simulate("signed_json", "answered", Occasion(), NOW)).events
    assert answered.answer == Answer("taste", "sweet", "2")
    assert adapter_of({}).schemes == ADAPTERS["signed_json"].schemes


@pytest.mark.parametrize(
    ("signature", "secrets", "trust"),
    [
        ("standard_webhooks", {"signing_secret"}, Trust.SIGNED_BODY),
        ("password", {"basic_auth", "bearer_token"}, Trust.SHARED_SECRET),
    ],
)
def test_a_shape_may_be_signed_otherwise(signature: str, secrets: set[str], trust: Trust) -> None:
    adapter = adapter_of({"signature": signature})
    assert {shape.name for shape in adapter.secrets} == secrets
    assert {scheme.trust for scheme in adapter.schemes} == {trust}
    assert missing_secret(adapter, {}) is not None


WRONG_SHAPES: list[tuple[Any, str]] = [
    ({"events": "payload"}, "events"),
    ({"events": "$..x"}, "events"),
    ({"events": "$[?(@.x)]"}, "events"),
    ({"fields": {"email": "$.a[*]"}}, "fields.email"),
    ({"fields": {"mail": "$.a"}}, ""),
    ({"kinds": {"x": "bought"}}, ""),
    ({"channel": "E Mail"}, ""),
    ({"unknown": 1}, ""),
    ({"signature": {"signed": "{x-time}"}}, "signature.signed"),
    ({"signature": {"signed": "{body}{body}"}}, "signature.signed"),
    ({"signature": {"timestamp_header": "X-Time"}}, "signature.timestamp_header"),
    ({"signature": {"tolerance_s": 10**9}}, ""),
    ({"signature": "none"}, ""),
    ([], ""),
    ("$", ""),
    (None, ""),
]


@pytest.mark.parametrize(("shape", "field"), WRONG_SHAPES)
def test_a_shape_that_cannot_be_used_is_refused_by_its_field(shape: Any, field: str) -> None:
    with pytest.raises(ShapeRefused) as refused:
        adapter_of(shape)
    assert refused.value.field == field
    assert refused.value.problem


PATHS: list[tuple[str, Any, Any]] = [
    ("$", {"a": 1}, {"a": 1}), ("$.a", {"a": 1}, 1), ("$.a.b", {"a": {"b": 0}}, 0), ("$[1]", [1, 2], 2),
    ("$.a[0].b", {"a": [{"b": 3}]}, 3),
    ("$['a b']", {"a b": 4}, 4), ("$.a", [], None), ("$[0]", {}, None), ("$[9]", [1], None), ("$.a.b.c", {"a": "text"}, None),
    ("$.a-b", {"a-b": 5}, 5),
]  # fmt: skip


@pytest.mark.parametrize(("path", "document", "value"), PATHS)
def test_a_path_leads_to_one_value(path: str, document: Any, value: Any) -> None:
    assert value_at(document, read_path(path)) == value


NO_PATHS = [
    "",
    "a",
    "$.",
    "$..a",
    "$.*",
    "$[*]",
    "$[-1]",
    "$[1:2]",
    "$[?a]",
    "$['a']['",
    "$ .a",
    "$" + ".a" * 17,
    "$[99999]",
    "$.a\n",
]


@pytest.mark.parametrize("path", NO_PATHS)
def test_what_would_search_is_no_path(path: str) -> None:
    with pytest.raises(PathRefused):
        read_path(path)


def test_a_binary_cloudevent_is_not_taken_on_a_signature_of_its_body() -> None:
    """Whoever had one request could write other attributes into its headers."""
    adapter = ADAPTERS["cloudevents"]
    structured = simulate("cloudevents", "clicked", Occasion(), NOW)
    held = {"signing_secret": secrets_for(adapter)["signing_secret"]}
    assert verify(adapter, structured, held, NOW, CERTIFICATES).trust is Trust.SIGNED_BODY
    turned = {
        **structured.headers,
        "content-type": "application/json",
        "ce-id": "other",
        "ce-type": "clicked",
        "ce-source": "x",
    }
    request = msgspec.structs.replace(structured, headers=turned)
    assert verify(adapter, request, held, NOW, CERTIFICATES).verdict is Verdict.UNSIGNED
    binary = simulate("cloudevents", "clicked-binary", Occasion(), NOW)
    assert verify(adapter, binary, secrets_for(adapter), NOW, CERTIFICATES).trust is Trust.SHARED_SECRET


def test_a_source_is_trusted_as_far_as_the_weakest_way_in() -> None:
    adapter = ADAPTERS["cloudevents"]
    assert trust_of(adapter, {"signing_secret": ["x"]}) is Trust.SIGNED_BODY
    assert trust_of(adapter, {"signing_secret": ["x"], "bearer_token": ["y"]}) is Trust.SHARED_SECRET
    assert trust_of(adapter, {"signing_secret": [], "bearer_token": [""]}) is Trust.NONE
    assert trust_of(ADAPTERS["mailgun"], {"signing_key": ["x"]}) is Trust.SIGNED_PARTIAL


def test_a_cloudevent_is_known_by_source_and_id() -> None:
    structured = parse(ADAPTERS["cloudevents"], simulate("cloudevents", "clicked", Occasion(), NOW)).events[0]
    binary = parse(ADAPTERS["cloudevents"], simulate("cloudevents", "clicked-binary", Occasion(), NOW)).events[0]
    assert structured.natural_key == binary.natural_key


def handshake(provider: str, request: ProviderRequest, **secrets: str) -> Reply | None:
    """The answer to a question that comes before events."""
    answer = ADAPTERS[provider].handshake
    assert answer is not None
    return answer(request, {name: [value] for name, value in secrets.items()})


def test_x_asks_for_its_token_signed() -> None:
    made = base64.b64encode(hmac.digest(b"consumer", b"token", "sha256")).decode()
    reply = handshake("x", ProviderRequest("GET", f"{URL}?crc_token=token&nonce=1", {}), consumer_secret="consumer")
    assert reply == Reply(
        200, json.dumps({"response_token": f"sha256={made}"}, separators=(",", ":")).encode(), "application/json"
    )
    assert handshake("x", ProviderRequest("GET", f"{URL}?crc_token=token", {})) is None
    assert handshake("x", ProviderRequest("GET", URL, {}), consumer_secret="consumer") is None
    assert handshake("x", ProviderRequest("POST", f"{URL}?crc_token=token", {}), consumer_secret="consumer") is None
    assert handshake("x", ProviderRequest("GET", f"{URL}?crc_token={'a' * 513}", {}), consumer_secret="c") == Reply(400)


def test_google_gets_its_secret_back_if_it_knows_the_client_token() -> None:
    asked = ProviderRequest("POST", URL, {}, b'{"clientToken":"ours","secret":"1234567890"}')
    assert handshake("rcs", asked, client_token="ours") == Reply(200, b"1234567890")
    assert handshake("rcs", asked, client_token="theirs") == Reply(403)
    assert handshake("rcs", asked, client_token="") == Reply(403)
    assert handshake("rcs", msgspec.structs.replace(asked, body=b'{"message":{}}'), client_token="ours") is None
    assert handshake("rcs", msgspec.structs.replace(asked, body=b"\xff"), client_token="ours") is None


def test_mandrill_looks_whether_anybody_is_there() -> None:
    assert handshake("mandrill", ProviderRequest("HEAD", URL, {})) == Reply(200)
    assert handshake("mandrill", ProviderRequest("POST", URL, {})) is None


def test_a_sender_of_cloudevents_asks_for_permission() -> None:
    asked = ProviderRequest("OPTIONS", URL, {"webhook-request-origin": "events.example"})
    allowed = {"webhook-allowed-origin": "events.example", "webhook-allowed-rate": "*", "allow": "POST"}
    assert handshake("cloudevents", asked) == Reply(200, headers=allowed)
    for odd in ("", "a b", "x\r\ny: z", "a" * 254):
        assert handshake("cloudevents", msgspec.structs.replace(asked, headers={"webhook-request-origin": odd})) is None


def jwt(body: bytes, secret: str = "sec", header: Any = None, **claims: Any) -> ProviderRequest:
    """A callback of Vonage with a token."""
    stated = {"iat": 1, "iss": "Vonage", "payload_hash": hashlib.sha256(body).hexdigest(), **claims}
    parts = [json.dumps(part).encode() for part in (header or {"alg": "HS256", "typ": "JWT"}, stated)]
    signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    digest = "sha384" if header == {"alg": "HS384"} else "sha256"
    made = base64.urlsafe_b64encode(hmac.digest(secret.encode(), signed, digest)).rstrip(b"=")
    return ProviderRequest("POST", URL, {"authorization": f"Bearer {(signed + b'.' + made).decode()}"}, body)


TOKENS = [
    (jwt(b"{}"), Verdict.VERIFIED),
    (jwt(b"{}", exp=1_900_000_000, nbf=1_795_000_000), Verdict.VERIFIED),
    (jwt(b"{}", exp=1_795_000_000), Verdict.STALE),
    (jwt(b"{}", nbf=1_900_000_000), Verdict.STALE),
    (jwt(b"{}", exp="soon"), Verdict.STALE),
    (msgspec.structs.replace(jwt(b"{}"), body=b"{ }"), Verdict.FORGED),
    (jwt(b"{}", iss="Mallory"), Verdict.FORGED),
    (jwt(b"{}", payload_hash=None), Verdict.FORGED),
    (jwt(b"{}", payload_hash=7), Verdict.FORGED),
    (jwt(b"{}", secret="other"), Verdict.FORGED),
    (jwt(b"{}", header={"alg": "none"}), Verdict.FORGED),
    (jwt(b"{}", header={"alg": "HS384"}), Verdict.FORGED),
    (jwt(b"{}", header={"alg": ["HS256"]}), Verdict.FORGED),
    (jwt(b"{}", header=[1]), Verdict.FORGED),
    (ProviderRequest("POST", URL, {"authorization": "Bearer a.b"}, b"{}"), Verdict.FORGED),
    (ProviderRequest("POST", URL, {"authorization": "Bearer ..."}, b"{}"), Verdict.FORGED),
    (ProviderRequest("POST", URL, {"authorization": "Bearer é.é.é"}, b"{}"), Verdict.FORGED),
    (ProviderRequest("POST", URL, {"authorization": "Basic a.b.c"}, b"{}"), Verdict.UNSIGNED),
    (ProviderRequest("POST", URL, {}, b"{}"), Verdict.UNSIGNED),
]


@pytest.mark.parametrize(("request_", "found"), TOKENS)
def test_a_token_of_vonage_is_of_one_body(request_: ProviderRequest, found: Verdict) -> None:
    assert verdict(ADAPTERS["vonage"], request_, signature_secret="sec") is found
