"""The event key: a published format, so that anyone can recompute it."""

from __future__ import annotations

import json
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest

from ledger import event_key, offer_key

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "event_key_vectors.json").read_text())["vectors"]

Event = dict[str, Any]

EVENT: Event = {
    "campaign_no": 12,
    "message_id": "msg-2031-05",
    "customer": 345,
    "action": "click",
    "qualifier": "hero",
}


def key_as_documented(campaign_no: int, message_id: str, customer: int, action: str, qualifier: str) -> bytes:
    """The format of `ledger/events.py`, written down a second time."""
    fields = ["1", str(campaign_no), "m:" + message_id, str(customer), action, qualifier]
    text = b"".join(len(field.encode("utf-8")).to_bytes(4, "big") + field.encode("utf-8") for field in fields)
    return blake2b(text, digest_size=16).digest()


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["about"] for vector in VECTORS])
def test_the_published_vectors_hold(vector: dict[str, Any]) -> None:
    assert event_key(**vector["event"]).hex() == vector["key"]
    assert key_as_documented(**vector["event"]).hex() == vector["key"]


OTHER_EVENTS: list[Event] = [
    {"campaign_no": 13},
    {"message_id": "msg-2031-06"},
    {"message_id": "MSG-2031-05"},
    {"message_id": "msg-2031-05 "},
    {"customer": 346},
    {"action": "open"},
    {"qualifier": ""},
    {"qualifier": "footer"},
    {"message_id": "msg-2031-05345", "customer": 0},  # the same characters, cut elsewhere
    {"action": "clickhero", "qualifier": ""},
]


def changed_by(changed: Event) -> Event:
    """Another event."""
    return {**EVENT, **changed}


@pytest.mark.parametrize("changed", OTHER_EVENTS, ids=str)
def test_every_field_makes_another_event(changed: Event) -> None:
    assert event_key(**changed_by(changed)) != event_key(**EVENT)


def test_without_a_qualifier_it_is_empty() -> None:
    unqualified = {name: value for name, value in EVENT.items() if name != "qualifier"}
    assert event_key(**unqualified) == event_key(**changed_by({"qualifier": ""}))


def test_letters_that_look_alike_are_different_letters() -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    assert event_key(**changed_by({"message_id": composed})) != event_key(**changed_by({"message_id": decomposed}))


@pytest.mark.parametrize(
    ("action", "qualifier", "key"),
    [
        ("claim", "", "b38e892ccd5cb811103eed7015ba4ea9"),
        ("", "", "3ab0ca467b3d839e9a79b66575f08a61"),
        ("fall_back", "sms-1", "d494dc0b04f8761a5d3e549cf187ab27"),
    ],
)
def test_an_offer_has_a_key_that_no_message_has(action: str, qualifier: str, key: str) -> None:
    named: Event = {"campaign_no": 12, "customer": 345, "action": action, "qualifier": qualifier}
    fields = ["1", "12", "o:spring", "345", action, qualifier]
    text = b"".join(len(field).to_bytes(4, "big") + field.encode() for field in fields)
    assert offer_key(offer_group="spring", **named).hex() == blake2b(text, digest_size=16).hexdigest() == key
    assert offer_key(offer_group="spring", **named) != event_key(message_id="spring", **named)
