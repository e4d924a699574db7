"""A customer who sends the same words again earns nothing by them; a short answer may be given to every question."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest

from service.ingest.envelope_reader import EnvelopeReader
from service.providers.replies import BRIEF_CHARACTERS_MAX, is_brief
from service.services import Services
from service.settings import write_private
from tests.ingest.conftest import Owner, make_source
from tests.ingest.senders import StandardWebhooks, send
from tests.ingest.test_reading import read_all, told
from tests.ledger.conftest import assert_books_are_sound
from tests.links.campaigns import make_campaign
from tests.links.conftest import Links
from tests.messages.conftest import message, register
from tests.real_worker import real_worker, until_waiting

GRANTED = ("granted", None)
DUPLICATE = ("duplicate", None)
REPEATED = ("ignored", "repeated_reply")
WORDS = "I would love to have the blue one, please!"


class Inbox:
    """A source by which customers reply."""

    def __init__(self, links: Links, url: str, sender: StandardWebhooks) -> None:
        self._links, self._url, self._sender = links, url, sender
        self._count = 0

    async def say(self, text: str, to: str, who: str = "C-1", *, key: str | None = None) -> None:
        """A reply to a message comes."""
        self._count += 1
        data = {"customer": who, "channel": "sms", "text": text, "in_reply_to": to}
        signed = self._sender.signed({"type": "message.replied", "data": data}, message_id=key or f"r-{self._count}")
        assert (await send(self._links.api, self._url, signed)).status_code == 200


async def open_inbox(links: Links, issuer: httpx.AsyncClient, **fields: Any) -> Inbox:
    sender = StandardWebhooks()
    return Inbox(links, (await make_source(issuer, sender, campaign="autumn", **fields))["ingest_url"], sender)


@pytest.fixture
async def inbox(links: Links, issuer: httpx.AsyncClient) -> Inbox:
    """C-1 and C-2 got four messages each."""
    many = [message(f"{who}-{n}", who, provider_message_id=f"{who}-{n}") for who in ("C-1", "C-2") for n in range(1, 5)]
    await register(links.api, *many)
    return await open_inbox(links, issuer)


SAME = [
    "I WOULD love to have the blue one - please",
    "I would  love to have\nthe blue one; please?",
    "Ï would love to have the blue one please",
]
OTHER = ["I would love to have the blue one", "I would love to have the blue ones, please!"]


@pytest.mark.parametrize("again", SAME)
async def test_the_same_words_again_earn_nothing(
    inbox: Inbox, links: Links, owner: Owner, reader: EnvelopeReader, again: str
) -> None:
    await inbox.say(WORDS, "C-1-1")
    await inbox.say(again, "C-1-2")
    await read_all(reader)
    await inbox.say(f"{WORDS}\n\nOn Monday you wrote:\n> Which one?", "C-1-3")
    await read_all(reader)
    assert await told(owner) == [GRANTED, REPEATED, REPEATED]
    assert await links.balance("C-1") == 50
    await assert_books_are_sound(owner)


@pytest.mark.parametrize("other", OTHER)
async def test_other_words_earn(inbox: Inbox, owner: Owner, reader: EnvelopeReader, other: str) -> None:
    await inbox.say(WORDS, "C-1-1")
    await inbox.say(other, "C-1-2")
    await read_all(reader)
    assert await told(owner) == [GRANTED, GRANTED]


async def test_a_short_answer_may_be_given_to_every_question(
    inbox: Inbox, owner: Owner, reader: EnvelopeReader, links: Links
) -> None:
    for n, text in enumerate(("Yes", "yes!", "yes", "👍"), 1):
        await inbox.say(text, f"C-1-{n}")
    # Whoever writes the reply also writes what it claims to answer.
    for n, text in enumerate(("Number 2", "number 2.", "number 3"), 1):
        await inbox.say(text, f"made-up-{n}")
    await read_all(reader)
    assert await told(owner) == [GRANTED] * 4 + [GRANTED, REPEATED, GRANTED]
    assert await links.balance("C-1") == 300
    assert is_brief("x" * BRIEF_CHARACTERS_MAX)
    assert not is_brief("x" * (BRIEF_CHARACTERS_MAX + 1))


async def test_what_others_say_is_no_repetition_and_cannot_be_told_from_what_is_stored(
    inbox: Inbox, owner: Owner, reader: EnvelopeReader
) -> None:
    await inbox.say(WORDS, "C-1-1", "C-1")
    await inbox.say(WORDS, "C-2-1", "C-2")
    await read_all(reader)
    assert await told(owner) == [GRANTED, GRANTED]
    stored = await owner.fetch("SELECT text, customer FROM rewards.reply_text ORDER BY customer")
    assert len({row["text"] for row in stored}) == len(stored) == 2


async def test_a_reply_that_comes_or_is_read_again_repeats_nobody(
    inbox: Inbox, owner: Owner, reader: EnvelopeReader, issuer: httpx.AsyncClient
) -> None:
    await inbox.say(WORDS, "C-1-1", key="first")
    await inbox.say(WORDS, "C-1-2", key="second")
    await inbox.say(WORDS, "C-1-1", key="first")
    # The same message is answered by what was decided.
    await inbox.say(WORDS, "C-1-1", key="third")
    await read_all(reader)
    (await issuer.post("/v1/sources/src_1/replay", json={"first": 1, "last": 4})).raise_for_status()
    await read_all(reader)
    assert await told(owner) == [GRANTED, REPEATED, DUPLICATE, DUPLICATE, DUPLICATE, REPEATED, DUPLICATE, DUPLICATE]
    await assert_books_are_sound(owner)


async def test_what_no_rule_pays_for_was_not_said(inbox: Inbox, links: Links, owner: Owner, reader: EnvelopeReader) -> None:
    await make_campaign(links.api.client("admin"), id="quiet", rules=[{"action": "click", "points": 1}])
    await register(links.api, message("quiet", campaign="quiet", provider_message_id="quiet"))
    await inbox.say(WORDS, "quiet")
    await inbox.say(WORDS, "C-1-1")
    await read_all(reader)
    assert await told(owner) == [("ignored", "no_rule"), GRANTED]


async def test_words_may_be_said_again_once_they_are_forgotten(
    inbox: Inbox, owner: Owner, reader: EnvelopeReader, agent_services: Services, worker_pool: asyncpg.Pool[Any]
) -> None:
    days = agent_services.settings.reply_texts_days
    forget = "SELECT rewards.forget_reply_texts_v1($1, 1000)"
    for n, age in enumerate((0, days - 1, days + 1), 1):
        await owner.execute("UPDATE rewards.reply_text SET said_at = now() - make_interval(days => $1)", age)
        await inbox.say(WORDS, f"C-1-{n}")
        await read_all(reader)
    assert await told(owner) == [GRANTED, REPEATED, GRANTED]
    # It counts as said by the last reply now; the first is what was decided of it.
    assert await worker_pool.fetchval(forget, datetime.now(UTC)) == 0
    assert await worker_pool.fetchval(forget, datetime.now(UTC) - timedelta(days=days)) == 0
    await owner.execute("UPDATE rewards.reply_text SET said_at = now() - interval '25 hours'")
    assert await worker_pool.fetchval(forget, datetime.now(UTC)) == 1
    await inbox.say(WORDS, "C-1-4")
    await read_all(reader)
    assert (await told(owner))[-1] == GRANTED


async def test_customers_who_are_merged_have_said_what_each_of_them_said(
    inbox: Inbox, links: Links, owner: Owner, reader: EnvelopeReader
) -> None:
    await inbox.say(WORDS, "C-1-1", "C-1")
    await inbox.say("Something else, and quite long as well", "C-2-1", "C-2")
    await read_all(reader)
    merge = {"from": {"id": "C-2"}}
    (await links.api.client("admin").post("/v1/customers/C-1/merge", json=merge)).raise_for_status()
    for n, text in enumerate((WORDS, "Something else, and quite long as well"), 2):
        await inbox.say(text, f"C-1-{n}", "C-1")
        await inbox.say(text, f"C-2-{n}", "C-2")
    await read_all(reader)
    assert await told(owner) == [GRANTED] * 2 + [REPEATED] * 4
    await assert_books_are_sound(owner)


async def test_words_are_recognised_when_the_keys_have_changed(
    inbox: Inbox, owner: Owner, reader: EnvelopeReader, agent_services: Services
) -> None:
    await inbox.say(WORDS, "C-1-1")
    await read_all(reader)
    await inbox.say(WORDS, "C-1-2")
    keys = (b"n" * 32, *agent_services.reply_text_keys)
    await read_all(EnvelopeReader(msgspec.structs.replace(agent_services, reply_text_keys=keys)))
    await inbox.say(WORDS, "C-1-3")
    await read_all(EnvelopeReader(msgspec.structs.replace(agent_services, reply_text_keys=(b"n" * 32,))))
    # Without the former key nobody can tell.
    assert await told(owner) == [GRANTED, REPEATED, GRANTED]


async def until_noting(owner: Owner, count: int) -> None:
    """Wait until so many agents wait to note what was said."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%INTO rewards.reply_text%'"
    async with asyncio.timeout(30):
        while await owner.fetchval(waiting) < count:
            await owner.execute("SELECT pg_stat_clear_snapshot()")
            await asyncio.sleep(0.02)


async def test_agents_at_the_same_time_pay_the_same_words_once(
    inbox: Inbox, links: Links, issuer: httpx.AsyncClient, owner: Owner, agent_services: Services
) -> None:
    inboxes = [inbox, *[await open_inbox(links, issuer) for _ in range(2)]]
    for n, each in enumerate(inboxes, 1):
        await each.say(WORDS, f"C-1-{n}")
    async with asyncio.TaskGroup() as agents, owner.transaction():
        await owner.execute("LOCK TABLE rewards.reply_text IN SHARE MODE")
        for _ in inboxes:
            agents.create_task(EnvelopeReader(agent_services).run_once())
        await until_noting(owner, len(inboxes))
    await read_all(EnvelopeReader(agent_services))
    assert sorted(await told(owner)) == sorted([GRANTED, REPEATED, REPEATED])
    assert await links.balance("C-1") == 50
    await assert_books_are_sound(owner)


async def test_a_killed_worker_has_the_first_paid_and_no_other(
    inbox: Inbox, links: Links, owner: Owner, reader: EnvelopeReader
) -> None:
    api = links.api
    write_private(api.settings.secrets_path, msgspec.json.encode(api.secrets))
    await inbox.say(WORDS, "C-1-1")
    await inbox.say(WORDS, "C-1-2")
    # Once before anything is posted, and once before it is said what was.
    for table in ("ledger.event", "rewards.envelope_outcome"):
        async with owner.transaction():
            await owner.execute(f"LOCK TABLE {table} IN SHARE MODE")
            with real_worker(api.settings) as worker:
                await until_waiting(owner, "post_grants" if table == "ledger.event" else "envelope_outcome", worker)
                assert await owner.fetchval("SELECT count(*) FROM rewards.reply_text") == 1
                worker.kill()
                worker.wait()
    await read_all(reader)
    assert await told(owner) == [GRANTED, REPEATED]
    assert await links.balance("C-1") == 50
    await assert_books_are_sound(owner)
