"""What providers report without our token finds the message that was sent; what is a guess says so, and is made once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest

from service.ingest.envelope_reader import EnvelopeReader
from service.services import Services
from tests.ingest.conftest import Owner, make_source
from tests.ingest.senders import SendGrid, StandardWebhooks, click, send
from tests.ingest.test_reading import outcomes, read_all
from tests.ledger.conftest import assert_books_are_sound
from tests.links.campaigns import make_campaign
from tests.links.conftest import Links
from tests.messages.conftest import Json, message, register

PHONE = "+4915112345678"


async def matched(owner: Owner) -> list[tuple[str, str | None, str | None]]:
    """What became of each event: outcome, reason, how its message was found."""
    return [(each.outcome, each.reason, each.matched_by) for each in await outcomes(owner)]


async def messages_paid(owner: Owner) -> list[str]:
    return [row[0] for row in await owner.fetch("SELECT message_id FROM ledger.event ORDER BY seq")]


class Chats:
    """A source that sends replies."""

    def __init__(self, links: Links, issuer: httpx.AsyncClient, reader: EnvelopeReader) -> None:
        self._links, self._issuer, self._reader = links, issuer, reader
        self._sender = StandardWebhooks()
        self._url = ""

    async def reply(self, key: str, kind: str = "replied", **data: Any) -> None:
        """A reply, or an answer inside of a message, comes and is read."""
        if not self._url:
            self._url = (await make_source(self._issuer, self._sender))["ingest_url"]
        said: Json = {"phone": PHONE, "channel": "sms", "text": "Yes, please!", **data}
        await send(self._links.api, self._url, self._sender.signed({"type": f"message.{kind}", "data": said}, message_id=key))
        await read_all(self._reader)


@pytest.fixture
async def chats(links: Links, issuer: httpx.AsyncClient, reader: EnvelopeReader) -> Chats:
    """C-1 is known by their phone."""
    await know(links, "C-1", PHONE)
    return Chats(links, issuer, reader)


async def know(links: Links, customer: str, phone: str) -> None:
    (await links.api.client("admin").put(f"/v1/customers/{customer}", json={"phone": phone})).raise_for_status()


def ago(**span: float) -> str:
    return (datetime.now(UTC) - timedelta(**span)).isoformat()


async def test_a_reply_that_names_its_message_by_the_providers_id_is_an_answer_to_it(
    links: Links, chats: Chats, owner: Owner
) -> None:
    await register(
        links.api,
        message("m-1", provider_message_id="<SM1>"),
        message("m-2", provider_message_id="SM2"),
        message("m-3", "C-2", provider_message_id="SM3"),
    )
    await chats.reply("r-1", in_reply_to="SM1")
    # Of C-2 no number is known, so it is theirs; that of C-1 is, so it is not this one.
    await chats.reply("r-2", in_reply_to="SM3", phone="+4915100000000")
    await chats.reply("r-3", in_reply_to="SM2", phone="+4915100000000")
    assert await matched(owner) == [
        ("granted", None, "provider_id"),
        ("granted", None, "provider_id"),
        ("ignored", "other_recipient", None),
    ]
    assert await messages_paid(owner) == ["m-1", "m-3"]
    assert [await links.balance(each) for each in ("C-1", "C-2")] == [50, 50]
    # Nobody became a customer by being the one who answered.
    assert await owner.fetchval("SELECT count(*) FROM rewards.customer") == 2


async def test_a_message_id_and_what_is_before_its_at_are_one_id(links: Links, chats: Chats, owner: Owner) -> None:
    await register(
        links.api,
        message("m-1", provider_message_id="0100-a"),
        message("m-2", provider_message_id="<0100-b@mail.example>"),
        message("m-3", provider_message_id="<0100-c@mail.example>"),
        message("m-4", provider_message_id="0100-d@mail.example"),
    )
    await chats.reply("r-1", in_reply_to="<0100-a@email.amazonses.com>")
    await chats.reply("r-2", in_reply_to="0100-b")
    await chats.reply("r-3", in_reply_to="<0100-c@mail.example>")
    # Two whole ids are two messages.
    await chats.reply("r-4", in_reply_to="<0100-d@elsewhere.example>")
    assert [each[2] for each in await matched(owner)] == ["provider_id"] * 3 + [None]
    assert await messages_paid(owner) == ["m-1", "m-2", "m-3"]


async def test_what_is_chosen_in_a_message_is_an_answer_to_it_however_often(links: Links, chats: Chats, owner: Owner) -> None:
    await make_campaign(links.api.client("admin"), id="quiz", rules=[{"action": "answer", "points": 5}])
    await register(links.api, message("m-1", provider_message_id="SM1", campaign="quiz"))
    chosen: Json = {"question": "taste", "answer": "sweet"}
    await chats.reply("r-1", kind="answered", **chosen)
    await chats.reply("r-2", kind="answered", **chosen, in_reply_to="SM1")
    await chats.reply("r-3", kind="answered", **chosen, message_id="SM1")
    became = [(outcome, how) for outcome, _, how in await matched(owner)]
    assert became == [("granted", "last_message"), ("duplicate", "provider_id"), ("duplicate", "provider_id")]
    assert await messages_paid(owner) == ["m-1"]


async def test_a_reply_that_names_none_answers_the_last_message_of_its_channel(
    links: Links, chats: Chats, owner: Owner
) -> None:
    await register(
        links.api,
        message("older", sent_at=ago(hours=3)),
        message("newer", sent_at=ago(hours=2)),
        message("elsewhere", sent_at=ago(hours=1), channel="whatsapp"),
        message("not yet", sent_at=ago(hours=-1)),
        message("others", "C-2", sent_at=ago(hours=1)),
    )
    await chats.reply("r-1")
    assert await matched(owner) == [("granted", None, "last_message")]
    assert await messages_paid(owner) == ["newer"]
    [grant] = (await links.api.client("messaging").get("/v1/grants", params={"customer": "C-1"})).json()["items"]
    assert grant["metadata"] == {"matched_by": "last_message"}


async def test_a_link_is_a_message_as_well_without_being_registered(links: Links, chats: Chats, owner: Owner) -> None:
    await register(links.api, message("registered", sent_at=ago(hours=2)))
    await links.mint(links.item("C-1", action="reply", channel="sms", message_id="linked", sent_at=ago(hours=1)))
    await chats.reply("r-1")
    assert await messages_paid(owner) == ["linked"]
    assert await owner.fetchval("SELECT count(*) FROM rewards.message") == 1


NOTHING: list[tuple[str, Json | None, Json]] = [
    ("too long ago", {"sent_at": ago(hours=73)}, {}),
    ("on another channel", {"channel": "whatsapp"}, {}),
    ("nothing was sent", None, {}),
    ("nobody whom we know", {}, {"phone": "+4915199999999"}),
    ("of email, which names what it answers", {"channel": "email"}, {"channel": "email"}),
]


@pytest.mark.parametrize(("sent", "said"), [case[1:] for case in NOTHING], ids=[case[0] for case in NOTHING])
async def test_what_was_not_sent_so_is_answered_by_nothing(
    links: Links, chats: Chats, owner: Owner, sent: Json | None, said: Json
) -> None:
    if sent is not None:
        await register(links.api, message("m-1", **sent))
    await chats.reply("r-1", **said)
    [(outcome, _, _)] = await matched(owner)
    assert outcome == "ignored"
    assert await owner.fetchval("SELECT count(*) FROM rewards.answered_message") == 0


async def test_the_same_reply_never_answers_a_later_message(
    links: Links, chats: Chats, owner: Owner, issuer: httpx.AsyncClient, reader: EnvelopeReader
) -> None:
    await register(links.api, message("m-1"))
    await chats.reply("r-1")
    await register(links.api, message("m-2"))
    await chats.reply("r-1")
    (await issuer.post("/v1/sources/src_1/replay", json={"first": 1, "last": 2})).raise_for_status()
    await read_all(reader)
    assert [outcome for outcome, *_ in await matched(owner)] == ["granted", "duplicate", "duplicate", "duplicate"]
    assert await messages_paid(owner) == ["m-1"]
    await chats.reply("r-2")
    assert await messages_paid(owner) == ["m-1", "m-2"]
    # What is forgotten is not guessed again.
    await owner.execute("UPDATE rewards.answered_message SET message_id = NULL")
    await chats.reply("r-1")
    assert sum(outcome == "ignored" and reason == "no_message" for outcome, reason, _ in await matched(owner)) == 1
    assert await links.balance("C-1") == 100
    await assert_books_are_sound(owner)


REVOKED = ["'message m-1'", "'campaign ' || campaign_no", "'key ' || registered_by"]


@pytest.mark.parametrize("subject", REVOKED)
async def test_a_message_that_was_revoked_earns_nothing(links: Links, chats: Chats, owner: Owner, subject: str) -> None:
    await register(links.api, message("m-1", provider_message_id="SM1"))
    await owner.execute(
        f"INSERT INTO rewards.link_revocation (brand_id, subject, named) SELECT 1, {subject}, '' FROM rewards.message"
    )
    await chats.reply("r-1")
    await chats.reply("r-2", in_reply_to="SM1")
    assert [each[:2] for each in await matched(owner)] == [("ignored", "link_revoked")] * 2


# ---- Several under one id, as SendGrid has it


async def test_the_recipient_picks_among_messages_of_one_id(
    links: Links, issuer: httpx.AsyncClient, owner: Owner, reader: EnvelopeReader
) -> None:
    admin = links.api.client("admin")
    for customer in ("C-1", "C-2", "C-3"):
        (await admin.put(f"/v1/customers/{customer}", json={"email": f"{customer.lower()}@example.org"})).raise_for_status()
    mail: Json = {"channel": "email", "provider": "sendgrid", "provider_message_id": "sg-1"}
    await register(links.api, message("m-1", "C-1", **mail), message("m-1", "C-2", **mail))
    sender = SendGrid()
    url = (await make_source(issuer, sender))["ingest_url"]
    people = ["c-1@example.org", "c-2@example.org", "c-3@example.org", "unknown@example.org"]
    await send(links.api, url, sender.signed([click(each, "sg-1") for each in people]))
    await read_all(reader)
    assert await matched(owner) == [
        ("granted", None, "provider_id"),
        ("granted", None, "provider_id"),
        ("ignored", "other_recipient", None),
        ("ignored", "other_recipient", None),
    ]
    assert [await links.balance(each) for each in ("C-1", "C-2", "C-3")] == [25, 25, 0]


async def test_of_several_whom_the_recipient_could_be_nobody_earns(
    links: Links, issuer: httpx.AsyncClient, owner: Owner, reader: EnvelopeReader
) -> None:
    mail: Json = {"channel": "email", "provider": "sendgrid", "provider_message_id": "sg-1"}
    await register(links.api, message("m-1", "C-1", **mail), message("m-1", "C-2", **mail))
    sender = SendGrid()
    url = (await make_source(issuer, sender))["ingest_url"]
    await send(links.api, url, sender.signed([click("unknown@example.org", "sg-1")]))
    await read_all(reader)
    assert await matched(owner) == [("ignored", "ambiguous_recipient", None)]


async def test_what_an_erased_recipient_did_is_not_paid_to_another(
    links: Links, issuer: httpx.AsyncClient, owner: Owner, reader: EnvelopeReader
) -> None:
    (await links.api.client("admin").put("/v1/customers/C-1", json={"email": "c-1@example.org"})).raise_for_status()
    mail: Json = {"channel": "email", "provider": "sendgrid", "provider_message_id": "sg-1"}
    await register(links.api, message("m-1", "C-2", **mail))
    await owner.execute("UPDATE rewards.customer SET erased_at = now() WHERE customer = 1")
    sender = SendGrid()
    url = (await make_source(issuer, sender))["ingest_url"]
    await send(links.api, url, sender.signed([click("c-1@example.org", "sg-1")]))
    await read_all(reader)
    assert await matched(owner) == [("ignored", "other_recipient", None)]


async def test_a_complaint_about_somebody_elses_message_is_heard(
    links: Links, issuer: httpx.AsyncClient, owner: Owner, reader: EnvelopeReader
) -> None:
    (await links.api.client("admin").put("/v1/customers/C-3", json={"email": "c-3@example.org"})).raise_for_status()
    mail: Json = {"channel": "email", "provider": "sendgrid", "provider_message_id": "sg-1"}
    await register(links.api, message("m-1", "C-1", **mail))
    sender = SendGrid()
    url = (await make_source(issuer, sender))["ingest_url"]
    await send(links.api, url, sender.signed([click("c-3@example.org", "sg-1", event="spamreport")]))
    await read_all(reader)
    assert await matched(owner) == [("recorded", "complaint", None)]
    assert await owner.fetch("SELECT customer, channel FROM rewards.consent") == [(1, "email")]


async def test_what_was_decided_before_its_message_was_registered_stays_that(
    links: Links, issuer: httpx.AsyncClient, owner: Owner, reader: EnvelopeReader
) -> None:
    (await links.api.client("admin").put("/v1/customers/C-1", json={"email": "c-1@example.org"})).raise_for_status()
    sender = SendGrid()
    url = (await make_source(issuer, sender, campaign="autumn"))["ingest_url"]
    await send(links.api, url, sender.signed([click("c-1@example.org", "sg-1")]))
    await read_all(reader)
    mail: Json = {"channel": "email", "provider": "sendgrid", "provider_message_id": "sg-1"}
    await register(links.api, message("m-1", "C-1", **mail))
    await send(links.api, url, sender.signed([click("c-1@example.org", "sg-1")]))
    await read_all(reader)
    assert await matched(owner) == [("granted", None, "source"), ("duplicate", None, "source")]
    assert await links.balance("C-1") == 25


async def test_how_far_back_a_reply_looks_is_a_setting(
    links: Links, chats: Chats, owner: Owner, agent_services: Services
) -> None:
    settings = msgspec.structs.replace(agent_services.settings, reply_hours=1)
    impatient = EnvelopeReader(msgspec.structs.replace(agent_services, settings=settings))
    await register(links.api, message("m-1", sent_at=ago(minutes=61)), message("m-2", sent_at=ago(hours=80)))
    chats._reader = impatient  # pyright: ignore[reportPrivateUsage]
    await chats.reply("r-1")
    assert (await matched(owner))[0][0] == "ignored"
