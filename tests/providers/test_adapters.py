"""Every adapter, on requests in its vendor's documented shape: what each is read as, and that nothing in it can be changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from urllib.parse import parse_qsl, urlencode

import msgspec
import pytest

from service.providers.adapter import Adapter, missing_secret, parse, problem_of_secret, verify
from service.providers.registry import ADAPTERS
from service.providers.samples.occasion import Occasion
from service.providers.samples.simulate import CERTIFICATES, SAMPLES, doubled, secrets_for, simulate, tampered
from service.providers.types import EventKind, ProviderEvent, ProviderRequest, Trust, Verdict

NOW = datetime(2026, 11, 30, 12, 0, 30, tzinfo=UTC)
OCCASION = Occasion()
EVERY = [(provider, event) for provider, events in SAMPLES.items() for event in events]

WITHOUT_EVENT = {("ses", "confirmation")}


def made(provider: str, event: str, occasion: Occasion = OCCASION) -> ProviderRequest:
    """The signed request of a sample."""
    return simulate(provider, event, occasion, NOW)


def verdict(provider: str, request: ProviderRequest, now: datetime = NOW) -> Verdict:
    """What is found of a request, with the secrets that it was signed with."""
    adapter = ADAPTERS[provider]
    try:
        return verify(adapter, request, secrets_for(adapter), now, CERTIFICATES).verdict
    except OSError:
        # The certificate is named by the request, and there is none by another name.
        return Verdict.FORGED


def events(provider: str, request: ProviderRequest) -> list[ProviderEvent]:
    """What a request is read as, without a fault."""
    parsed = parse(ADAPTERS[provider], request)
    assert list(parsed.faults) == []
    return list(parsed.events)


def test_every_adapter_has_samples() -> None:
    assert set(SAMPLES) == set(ADAPTERS)
    assert [name for name, adapter in ADAPTERS.items() if adapter.name != name] == []


@pytest.mark.parametrize("adapter", ADAPTERS.values(), ids=ADAPTERS)
def test_a_source_can_hold_what_its_provider_signs_with(adapter: Adapter) -> None:
    held = secrets_for(adapter)
    assert missing_secret(adapter, held) is None
    assert [problem_of_secret(adapter, name, value) for name, values in held.items() for value in values] == [None] * len(held)
    assert {scheme.secret for scheme in adapter.schemes} <= {shape.name for shape in adapter.secrets}


@pytest.mark.parametrize(("provider", "event"), EVERY)
def test_a_request_verifies_and_is_one_event_of_its_kind(provider: str, event: str) -> None:
    request = made(provider, event)
    assert verdict(provider, request) is Verdict.VERIFIED
    if (provider, event) not in WITHOUT_EVENT:
        (found,) = events(provider, request)
        # What follows the hyphen only tells the samples of a kind apart.
        assert found.kind == event.partition("-")[0]
        assert found.channel in ADAPTERS[provider].channels


@pytest.mark.parametrize("provider", ADAPTERS)
def test_a_request_names_its_person(provider: str) -> None:
    for event in SAMPLES[provider]:
        for found in events(provider, made(provider, event)):
            (person,) = found.recipients
            assert person.value in {OCCASION.email, OCCASION.phone, OCCASION.customer, "7001"}


@pytest.mark.parametrize("provider", ADAPTERS)
def test_no_byte_of_a_signed_body_can_be_changed(provider: str) -> None:
    for event in SAMPLES[provider]:
        request, adapter = made(provider, event), ADAPTERS[provider]
        if verify(adapter, request, secrets_for(adapter), NOW, CERTIFICATES).trust is not Trust.SIGNED_BODY:
            continue
        body = request.body
        for at in range(0, len(body), max(1, len(body) // 20)):
            changed = msgspec.structs.replace(request, body=body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :])
            # What is not signed is not read either: RCS signs what is in its envelope.
            assert verdict(provider, changed) is not Verdict.VERIFIED or parse(adapter, changed) == parse(adapter, request)
        assert provider == "rcs" or verdict(provider, tampered(request)) in {Verdict.FORGED, Verdict.UNSIGNED}


@pytest.mark.parametrize("provider", ADAPTERS)
def test_a_request_without_its_headers_is_not_accepted(provider: str) -> None:
    for event in SAMPLES[provider]:
        request = made(provider, event)
        bare = msgspec.structs.replace(request, headers={"content-type": request.headers["content-type"]})
        if request.headers != bare.headers:
            assert verdict(provider, bare) in {Verdict.UNSIGNED, Verdict.FORGED}
        adapter = ADAPTERS[provider]
        others = {name: [value[:-4] + "0000" for value in values] for name, values in secrets_for(adapter).items()}
        assert not verify(adapter, request, others, NOW, CERTIFICATES).accepted


@pytest.mark.parametrize("provider", ADAPTERS)
def test_a_copy_has_the_same_key_and_another_event_another(provider: str) -> None:
    for event in SAMPLES[provider]:
        first, copy = events(provider, made(provider, event)), events(provider, made(provider, event))
        assert first == copy
        other = msgspec.structs.replace(OCCASION, email="ben@example.com", phone="+4930901821", message="msg-2", event="evt-2")
        later = msgspec.structs.replace(other, at=OCCASION.at + timedelta(minutes=1))
        keys = {found.natural_key for found in (*first, *events(provider, made(provider, event, later)))}
        assert len(keys) == 2 * len(first)


@pytest.mark.parametrize("provider", ADAPTERS)
def test_what_is_sent_again_is_the_same_event(provider: str) -> None:
    for event in SAMPLES[provider]:
        if event.partition("-")[0] != "replied":
            again = [events(provider, request) for request in doubled(provider, event, OCCASION, NOW)]
            assert again[0] == again[1] == again[2]


def changed_everywhere(value: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    """A JSON value with each of its objects changed."""
    if isinstance(value, dict):
        return change({name: changed_everywhere(inner, change) for name, inner in cast("dict[str, Any]", value).items()})
    return [changed_everywhere(inner, change) for inner in cast("list[Any]", value)] if isinstance(value, list) else value


def with_more(found: dict[str, Any]) -> dict[str, Any]:
    """An object with fields that no provider has yet."""
    return {"first": [1, {"deep": None}], **found, "new": 1.5}


def reordered(found: dict[str, Any]) -> dict[str, Any]:
    """An object with its fields the other way round."""
    return dict(reversed(found.items()))


@pytest.mark.parametrize("change", [with_more, reordered])
@pytest.mark.parametrize("provider", ADAPTERS)
def test_more_fields_and_another_order_make_no_difference(
    provider: str, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    for event in SAMPLES[provider]:
        request = made(provider, event)
        if (written := rewritten(request, change)) is not None:
            assert events(provider, msgspec.structs.replace(request, body=written)) == events(provider, request)


def rewritten(request: ProviderRequest, change: Callable[[dict[str, Any]], dict[str, Any]]) -> bytes | None:
    """The body with its objects, or its form, changed; None for a form in parts."""
    if "json" in request.headers["content-type"]:
        return json.dumps(changed_everywhere(json.loads(request.body), change)).encode()
    if request.headers["content-type"] == "application/x-www-form-urlencoded":
        return urlencode(change(dict(parse_qsl(request.body.decode())))).encode()
    return None


@pytest.mark.parametrize("provider", ADAPTERS)
def test_texts_in_any_script(provider: str) -> None:
    for event in SAMPLES[provider]:
        occasion = Occasion(
            email="zoë@exämple.com", campaign="咖啡周", page="https://shop.example/קפה?q=قهوة", said="Gerne — ☕ 👍🏽 شكرا"
        )
        request = made(provider, event, occasion)
        assert verdict(provider, request) is Verdict.VERIFIED
        for found in events(provider, request):
            assert found.recipients[0].value in {occasion.email, occasion.phone, occasion.customer, "7001"}
            assert found.tags.get("campaign", occasion.campaign) == occasion.campaign
            assert found.url in {None, occasion.page}
            assert found.kind is not EventKind.REPLIED or occasion.said in (found.text or occasion.said)


LARGE = [
    ("sendgrid", "clicked"), ("sparkpost", "clicked"), ("mandrill", "opened"), ("netcore", "clicked"), ("twilio", "clicked"),
    ("meta", "read"), ("meta", "replied"), ("infobip", "delivered"), ("x", "replied"), ("braze", "clicked"),
    ("klaviyo", "clicked"), ("signed_json", "clicked"), ("cloudevents", "clicked"),
]  # fmt: skip


@pytest.mark.parametrize(("provider", "event"), LARGE)
def test_a_large_batch_is_as_many_events(provider: str, event: str) -> None:
    request = made(provider, event, msgspec.structs.replace(OCCASION, count=1_000))
    assert verdict(provider, request) is Verdict.VERIFIED
    assert len({found.natural_key for found in events(provider, request)}) == 1_000


@pytest.mark.parametrize("provider", ADAPTERS)
def test_a_request_that_comes_days_later_is_stale_only_where_it_is_signed_again(provider: str) -> None:
    for event in SAMPLES[provider]:
        signs_again = provider in {"standard_webhooks", "svix", "resend", "cloudevents"} and event != "clicked-binary"
        expected = Verdict.STALE if signs_again else Verdict.VERIFIED
        assert verdict(provider, made(provider, event), NOW + timedelta(days=3)) is expected


@pytest.mark.parametrize("adapter", ADAPTERS.values(), ids=ADAPTERS)
def test_a_secret_of_another_form_says_what_would_be_right(adapter: Adapter) -> None:
    for shape in adapter.secrets:
        problem = problem_of_secret(adapter, shape.name, "a b") or ""
        assert shape.title in problem
        assert problem.endswith(f": it must be {shape.must_be}")
        assert len(shape.must_be) > 15
