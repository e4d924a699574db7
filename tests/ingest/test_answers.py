"""Answers inside of a message count once per version of the question; STOP is heard, and stops what is held back."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import httpx
import pytest

from service.ingest.envelope_reader import EnvelopeReader
from tests.api_fixtures import Api
from tests.ingest.conftest import Owner, make_source
from tests.ingest.senders import StandardWebhooks, send
from tests.ingest.test_reading import outcomes, read_all, told
from tests.ledger.conftest import assert_books_are_sound
from tests.links.campaigns import make_campaign

RULES: list[dict[str, Any]] = [
    {"action": "answer", "points": 10, "once_per": "link"},
    {"action": "click", "points": 25, "hold_back_days": 9},
]


class Chat:
    """A source of a chat, and what comes to it."""

    def __init__(self, api: Api, url: str, sender: StandardWebhooks, reader: EnvelopeReader) -> None:
        self.api, self._url, self._sender, self._reader = api, url, sender, reader
        self._sent = 0

    async def say(self, kind: str, **data: Any) -> None:
        """Somebody did something, of which we are told."""
        self._sent += 1
        event = {"type": f"message.{kind}", "data": {"customer": "C-1", "channel": "whatsapp", **data}}
        answer = await send(self.api, self._url, self._sender.signed(event, message_id=f"msg_{self._sent}"))
        assert answer.status_code == 200
        await read_all(self._reader)

    async def answer(self, answer: str, version: str, question: str = "taste") -> None:
        """Somebody answered a question in the message ``m-1``."""
        await self.say("answered", question=question, question_version=version, answer=answer, in_reply_to="m-1")


@pytest.fixture
async def chat(api: Api, issuer: httpx.AsyncClient, reader: EnvelopeReader) -> Chat:
    await make_campaign(api.client("admin"), rules=RULES)
    sender = StandardWebhooks()
    return Chat(api, (await make_source(issuer, sender, campaign="autumn"))["ingest_url"], sender, reader)


async def test_an_answer_counts_once_per_version_of_its_question_and_is_kept_as_a_hash(chat: Chat, owner: Owner) -> None:
    await chat.answer("sweet", "1")
    await chat.answer("sour", "1")
    await chat.answer("sweet", "2")
    await chat.answer("sweet", "2")
    await chat.answer("sweet", "2", question="smell")
    await chat.answer("sour", "3")
    assert [outcome for outcome, _ in await told(owner)] == [
        "granted",
        "duplicate",
        "granted",
        "duplicate",
        "granted",
        "granted",
    ]
    found = [each.grant for each in await outcomes(owner) if each.outcome == "granted"]
    grants = [(await chat.api.client("messaging").get(f"/v1/grants/{grant}")).json() for grant in found]
    assert [each["qualifier"] for each in grants] == ["taste@1", "taste@2", "smell@2", "taste@3"]
    hashes = [each["metadata"]["answer_hash"] for each in grants]
    assert hashes[0] == hashes[1] == hashes[2] != hashes[3]
    assert hashes[0] != sha256(b"sweet").hexdigest()[:32]
    await assert_books_are_sound(owner)


@pytest.mark.parametrize("text", ["STOP", "stopp", "Arr\u00eat", "\u062a\u0648\u0642\u0641"])
async def test_stop_refuses_the_channel_and_rejects_what_is_held_back(chat: Chat, owner: Owner, text: str) -> None:
    await chat.say("clicked", message_id="m-1")
    await chat.say("replied", text=text, in_reply_to="m-1")
    await chat.say("clicked", message_id="m-2")
    assert await told(owner) == [("held_back", "awaiting_approval"), ("recorded", "stop"), ("ignored", "consent_refused")]
    grant = (await outcomes(owner))[0].grant
    held = (await chat.api.client("messaging").get(f"/v1/grants/{grant}")).json()
    assert (held["outcome"], held["reason"]) == ("refused", "rejected")
    consents = (await chat.api.client("messaging").get("/v1/customers/C-1/consents")).json()["current"]
    assert [(each["channel"], each["status"], each["reason"]) for each in consents] == [("whatsapp", "refused", "stop")]
    await assert_books_are_sound(owner)
