"""SendGrid's Event Webhook: its events in our words, however often and in which order they come."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from typing import Any

import pytest

from service.providers.adapter import parse
from service.providers.registry import ADAPTERS
from service.providers.types import EventKind, Fault, Identity, IdentityKind, Machine, Parsed, ProviderEvent, ProviderRequest

CLICK: dict[str, Any] = {
    "email": "anna@example.com",
    "timestamp": 1_795_000_000,
    "smtp-id": "<14c5d75ce93.dfd.64b469@ismtpd-555>",
    "event": "click",
    "category": ["espresso-week"],
    "sg_event_id": "WG9IgKOuSCOYBrn3vUKaTg",
    "sg_message_id": "LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0",
    "useragent": "Mozilla/5.0 (iPhone)",
    "ip": "198.51.100.7",
    "url": "https://shop.example/espresso?a=1",
    "url_offset": {"index": 0, "type": "html"},
    "reward_token": "aaa.bbb.ccc",
    "reward_campaign": "espresso-week",
    "unrelated": "kept out",
}


def read(*events: Any) -> Parsed:
    """What a body of these events is read as."""
    body = json.dumps(events, ensure_ascii=False).encode() + b"\r\n"
    return parse(ADAPTERS["sendgrid"], ProviderRequest("POST", "https://rewards.example/in", {}, body))


def event(**fields: Any) -> ProviderEvent:
    """The event that the click is read as, with some fields changed."""
    parsed = read({**CLICK, **fields})
    assert parsed.faults == []
    return parsed.events[0]


def test_a_click() -> None:
    key = event().natural_key
    assert event() == ProviderEvent(
        natural_key=key,
        kind=EventKind.CLICKED,
        provider_kind="click",
        channel="email",
        occurred_at=datetime.fromtimestamp(1_795_000_000, UTC),
        recipients=(Identity(IdentityKind.EMAIL, "anna@example.com"),),
        token="aaa.bbb.ccc",
        tags={"campaign": "espresso-week"},
        provider_message_id="LRzXl_NHStOGhQ4kofSm_A",
        url="https://shop.example/espresso?a=1",
        user_agent="Mozilla/5.0 (iPhone)",
        ip="198.51.100.7",
    )
    assert len(key) == 40


KINDS = [
    ("processed", "sent"), ("deferred", "deferred"), ("delivered", "delivered"), ("open", "opened"), ("click", "clicked"),
    ("bounce", "bounced"), ("dropped", "failed"), ("spamreport", "complained"), ("unsubscribe", "unsubscribed"),
    ("group_unsubscribe", "unsubscribed"), ("group_resubscribe", "resubscribed"), ("account_status_change", "other"),
    ("invented", "other"),
]  # fmt: skip


@pytest.mark.parametrize(("theirs", "ours"), KINDS)
def test_every_kind_has_a_word(theirs: str, ours: str) -> None:
    assert (event(event=theirs).kind, event(event=theirs).provider_kind) == (ours, theirs)


def test_a_copy_has_the_same_key_whatever_its_event_id() -> None:
    copies = [event(sg_event_id=name, attempt=attempt).natural_key for attempt, name in enumerate(["a", "b", "c"])]
    assert set(copies) == {event().natural_key}


OTHERS: list[dict[str, Any]] = [
    {"event": "open"}, {"email": "ben@example.com"}, {"timestamp": 1_795_000_001}, {"url": "https://shop.example/"},
    {"sg_message_id": "other.filter.0"}, {"url_offset": {"index": 1, "type": "html"}},
    {"url_offset": {"index": 0, "type": "amp"}}, {"url_offset": None}, {"url": None},
]  # fmt: skip


@pytest.mark.parametrize("fields", OTHERS)
def test_another_event_has_another_key(fields: dict[str, Any]) -> None:
    assert event(**fields).natural_key != event().natural_key


def test_an_open_that_apple_made_is_declared_a_machines() -> None:
    machine, person = event(event="open", sg_machine_open=True), event(event="open", sg_machine_open=False)
    assert (machine.machine, machine.machine_source) == (Machine.DECLARED, "sg_machine_open")
    assert (person.machine, person.machine_source) == (Machine.NONE, None)


@pytest.mark.parametrize(("kind", "permanent"), [("bounce", True), ("blocked", False)])
def test_a_block_is_not_for_good(kind: str, permanent: bool) -> None:
    assert event(event="bounce", type=kind).permanent is permanent


def test_one_broken_event_costs_no_other() -> None:
    parsed = read(
        CLICK, {**CLICK, "email": ["anna@example.com"]}, "text", {}, {**CLICK, "timestamp": "soon"}, {**CLICK, "ip": 7}
    )
    assert [found.ip for found in parsed.events] == ["198.51.100.7", None]
    assert parsed.faults == [
        Fault(1, "email", "must be a text or a whole number"),
        Fault(2, "", "must be an object"),
        Fault(3, "event", "is missing"),
        Fault(4, "timestamp", "must be a number of seconds or milliseconds since 1970"),
    ]


BROKEN: list[dict[str, Any]] = [
    {"email": 1.5}, {"email": True}, {"email": "a" * 513}, {"email": "a\x00b"}, {"event": "a\nb"}, {"timestamp": None},
    {"timestamp": 10**18}, {"timestamp": -1}, {"timestamp": True}, {"timestamp": []}, {"timestamp": 10**400},
    {"url_offset": 7}, {"url_offset": {"index": {}}}, {"reward_token": "a" * 4_097}, {"reward_campaign": ["x"]},
]  # fmt: skip


@pytest.mark.parametrize("fields", BROKEN)
def test_a_field_that_is_not_what_it_should_be_is_named(fields: dict[str, Any]) -> None:
    parsed = read({**CLICK, **fields}, CLICK)
    assert len(parsed.events) == 1
    assert [(fault.index, fault.field.partition(".")[0].removeprefix("reward_")) for fault in parsed.faults] == [
        (0, next(iter(fields)).removeprefix("reward_"))
    ]


def test_whole_numbers_stay_exact_as_text() -> None:
    assert event(reward_message=2**53 + 1, sg_message_id=2**63 + 1).tags["message"] == "9007199254740993"
    assert event(sg_message_id=2**63 + 1).provider_message_id == "9223372036854775809"


def test_half_a_surrogate_pair_costs_its_own_event_only() -> None:
    good, bad, odd = json.dumps(CLICK), json.dumps({**CLICK, "email": "\ud800"}), json.dumps({**CLICK, "useragent": "a\ud800"})
    request = ProviderRequest("POST", "https://rewards.example/in", {}, f"[{good},{bad},{odd}]".encode())
    parsed = parse(ADAPTERS["sendgrid"], request)
    assert [found.user_agent for found in parsed.events] == ["Mozilla/5.0 (iPhone)", "a\ufffd"]
    assert [fault.index for fault in parsed.faults] == [1]


def test_texts_in_any_script() -> None:
    found = event(email="zoë@exämple.com", url="https://shop.example/קפה?q=قهوة", reward_campaign="咖啡")
    assert (found.recipients[0].value, found.url, found.tags["campaign"]) == (
        "zoë@exämple.com",
        "https://shop.example/קפה?q=قهوة",
        "咖啡",
    )


UNREADABLE = [
    (b"", "is not JSON"), (b"{", "is not JSON"), (b"\xff\xfe[]", "is not UTF-8"), (b"[" * 100_000, "is nested too deeply"),
    (b'{"a":' * 100_000, "is nested too deeply"), (b"[" + b"9" * 5_000 + b"]", "is not JSON"), (b"a=b&c=d", "is not JSON"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "problem"), UNREADABLE)
def test_what_cannot_be_read_is_one_fault(body: bytes, problem: str) -> None:
    parsed = parse(ADAPTERS["sendgrid"], ProviderRequest("POST", "https://rewards.example/in", {}, body))
    assert parsed == Parsed(faults=[Fault(None, "", problem)])


def test_the_largest_batch_in_any_order() -> None:
    events = [{**CLICK, "email": f"{number}@example.com", "sg_event_id": str(number)} for number in range(10_000)]
    parsed = read(*random.Random(7).sample(events, len(events)), CLICK, CLICK)
    assert parsed.faults == [Fault(10_000, "", "a request has at most 10,000 events")]
    assert {found.natural_key for found in parsed.events} == {event(email=each["email"]).natural_key for each in events}
