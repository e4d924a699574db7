"""Whatever somebody sends, nothing is raised, nothing takes long, and nothing that was not signed is accepted."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.providers.adapter import parse, verify
from service.providers.email.mails import read_mime
from service.providers.registry import ADAPTERS
from service.providers.replies import auto_reply_in, content_of, fingerprint, is_stop
from service.providers.samples.occasion import Occasion
from service.providers.samples.simulate import CERTIFICATES, SAMPLES, secrets_for, simulate
from service.providers.types import ProviderEvent, ProviderRequest

EXAMPLES = int(os.environ.get("REWARDS_PROVIDER_EXAMPLES", "10"))
NOW = datetime(2026, 11, 30, 12, 0, 30, tzinfo=UTC)
GENUINE = [(provider, simulate(provider, event, Occasion(), NOW)) for provider, events in SAMPLES.items() for event in events]
HEADERS = sorted({name for _, request in GENUINE for name in request.headers})
WORDS = [*sorted({word for _, request in GENUINE for word in request.headers.values()}), "", "v1,", "Bearer ..", "Basic ="]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def looks_at(provider: str, request: ProviderRequest) -> None:
    """Ask of a request all that the service asks, and that what is read can be kept."""
    adapter = ADAPTERS[provider]
    secrets = secrets_for(adapter)
    try:
        found = verify(adapter, request, secrets, NOW, CERTIFICATES)
        assert found.reason.isprintable()
    except OSError:
        pass
    if adapter.handshake is not None:
        adapter.handshake(request, secrets)
    parsed = parse(adapter, request)
    for event in parsed.events:
        can_be_kept(event)
    assert all(fault.problem for fault in parsed.faults)


def can_be_kept(event: ProviderEvent) -> None:
    """Every text of an event fits a database and a log line, and its reply can be judged."""
    assert len(event.natural_key) == 40
    assert event.occurred_at is None or event.occurred_at.tzinfo is not None
    assert len(event.token or "") <= 4_096
    written = msgspec.json.encode(event)
    assert b"\\u0000" not in written
    assert written.decode()
    content = content_of(event.text, event.stripped_text)
    is_stop(content)
    fingerprint(content)


def values_of(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values of a JSON document."""
    inner: list[tuple[Any, Any]] = []
    if isinstance(document, dict):
        inner = list(cast("dict[str, Any]", document).items())
    elif isinstance(document, list):
        inner = list(enumerate(cast("list[Any]", document)))
    return [path, *(found for name, value in inner for found in values_of(value, (*path, name)))]


def with_value(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A document with another value at a path."""
    if not path:
        return value
    copy = document.copy()
    copy[path[0]] = with_value(document[path[0]], path[1:], value)
    return copy


@settings(max_examples=EXAMPLES)
@given(data=st.data())
@pytest.mark.parametrize("provider", ADAPTERS)
def test_a_genuine_request_with_anything_in_its_place(provider: str, data: st.DataObject) -> None:
    request = data.draw(st.sampled_from([genuine for name, genuine in GENUINE if name == provider]))
    try:
        document = json.loads(request.body)
    except ValueError:
        body = data.draw(st.binary(max_size=200))
        cut = data.draw(st.integers(0, len(request.body)))
        looks_at(provider, msgspec.structs.replace(request, body=request.body[:cut] + body + request.body[cut:]))
        return
    path = data.draw(st.sampled_from(values_of(document)))
    changed = json.dumps(with_value(document, path, data.draw(JSON))).encode()
    looks_at(provider, msgspec.structs.replace(request, body=changed))


@settings(max_examples=EXAMPLES)
@given(
    method=st.sampled_from(["POST", "GET", "HEAD", "OPTIONS"]),
    url=st.text(max_size=100) | st.sampled_from(["https://a.example:443/x?y=%ff", "http://[::1", "https://a.example:x/"]),
    headers=st.dictionaries(st.sampled_from(HEADERS), st.sampled_from(WORDS) | st.text(max_size=50)),
    body=st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode()),
)
@pytest.mark.parametrize("provider", ADAPTERS)
def test_any_request(provider: str, method: str, url: str, headers: dict[str, str], body: bytes) -> None:
    looks_at(provider, ProviderRequest(method, url, headers, body))


DEEP = 100_000
HUGE = [
    b"[" * DEEP, b'{"a":' * DEEP, b"[" * DEEP + b"]" * DEEP, b'{"msys":' * 500 + b"1" + b"}" * 500,
    b"[" + b"{}," * DEEP + b"{}]",
    b'"' + b"a" * 1_000_000 + b'"', b"a=b&" * DEEP, b"%" * DEEP, b"\x00" * DEEP, b"9" * DEEP, b"[1e999,NaN,Infinity]",
    b'{"entry":' + b"[" * 200 + b"]" * 200 + b"}", b'{"data":[' + b"null," * DEEP + b"null]}", b"-" * DEEP, b"\r\n--x" * 20_000,
]  # fmt: skip


@pytest.mark.parametrize("provider", ADAPTERS)
def test_nothing_large_or_deep_takes_long(provider: str) -> None:
    for content_type in ("application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        for body in HUGE:
            headers = {**dict.fromkeys(HEADERS, "v1,AAAA"), "content-type": content_type}
            started = time.process_time()
            looks_at(provider, ProviderRequest("POST", "https://rewards.example/in?secret=x", headers, body))
            assert time.process_time() - started < 2


@settings(max_examples=50)
@given(raw=st.binary(max_size=500), text=st.text(max_size=500), headers=st.dictionaries(st.sampled_from(HEADERS), st.text()))
def test_any_mail_and_any_reply(raw: bytes, text: str, headers: dict[str, str]) -> None:
    looks_at_mail(raw, text, headers)


def looks_at_mail(raw: bytes, text: str, headers: dict[str, str]) -> None:
    """Ask of a mail and of a reply all that the service asks."""
    read_mime(raw)
    read_mime(b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n" + raw)
    auto_reply_in({**headers, "subject": text})
    content = content_of(text)
    assert len(content) <= len(text)
    is_stop(content)
    fingerprint(content)
