"""Matching does what a small, obviously right model does, whatever was sent to whom on which channel and when."""

from __future__ import annotations

import itertools
import random
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import asyncpg
import pytest

from service.messages import matching
from service.messages.matching import ANYBODY, LastWanted, Sent
from tests.ingest.conftest import Owner

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
CHANNELS = ["sms", "whatsapp", "rcs"]
CUSTOMERS = [1, 2, 3, 4]
IDS = ["p-1", "p-2", "p-3", "p-4"]


class Row(NamedTuple):
    """A message of the model, registered or known by a link."""

    message_id: str
    customer: int
    channel: str
    sent_at: datetime
    provider_id: str | None
    is_link: bool
    is_offline: bool
    is_revoked: bool


def row(chance: random.Random, n: int) -> Row:
    is_link = chance.random() < 0.4
    return Row(
        message_id=f"m-{n}",
        customer=chance.choice(CUSTOMERS),
        channel=chance.choice(CHANNELS),
        # No two at the same time, so that the last is one.
        sent_at=BEGIN + timedelta(minutes=chance.randrange(6_000), seconds=n % 60, milliseconds=n),
        provider_id=None if is_link else chance.choice([*IDS, None]),
        is_link=is_link,
        is_offline=is_link and chance.random() < 0.3,
        is_revoked=chance.random() < 0.2,
    )


async def store(owner: Owner, rows: list[Row], chance: random.Random) -> None:
    for n, each in enumerate(rows):
        if each.is_revoked:
            await owner.execute(
                "INSERT INTO rewards.link_revocation (brand_id, subject, named) VALUES (1, $1, $2)",
                f"message {each.message_id}",
                each.message_id,
            )
        if not each.is_link:
            await owner.execute(
                "INSERT INTO rewards.message (brand_id, message_id, customer, campaign_no, channel, provider,"
                " provider_message_id, sent_at, registered_by) VALUES (1, $1, $2, 7, $3, 'twilio', $4, $5, 1)",
                *(each.message_id, each.customer, each.channel, each.provider_id, each.sent_at),
            )
            continue
        # Some say when they are sent, the others are sent when they are minted.
        says = chance.random() < 0.5
        await owner.execute(
            "INSERT INTO rewards.link (link_id, brand_id, campaign_no, campaign_version, customer, message_id, action, channel,"
            " label, destination_no, sent_at, minted_at, expires_at, minted_by)"
            " VALUES ($1, 1, 7, 1, $2, $3, 'reply', $4, '', 1, $5, $6, $6::timestamptz + interval '1 year', $7)",
            *(n.to_bytes(20, "big"), each.customer, each.message_id, each.channel, each.sent_at if says else None),
            *(each.sent_at - timedelta(hours=1) if says else each.sent_at, -1 if each.is_offline else 1),
        )


def last_of(rows: list[Row], wanted: LastWanted) -> tuple[str, bool] | None:
    """The model: look at everything."""
    sent = [
        each
        for each in rows
        if each.customer in wanted.customers
        and each.channel == wanted.channel
        and not each.is_offline
        and wanted.since < each.sent_at <= wanted.until
    ]
    last = max(sent, key=lambda each: each.sent_at, default=None)
    return None if last is None else (last.message_id, last.is_revoked)


def told(sent: Sent | None) -> tuple[str | None, bool] | None:
    return None if sent is None else (sent.message_id, sent.is_revoked)


@pytest.mark.parametrize("seed", range(4))
async def test_the_last_message_is_the_last(owner: Owner, application_pool: asyncpg.Pool[Any], seed: int) -> None:
    chance = random.Random(seed)
    rows = [row(chance, n) for n in range(120)]
    await store(owner, rows, chance)
    wanted = [
        LastWanted(numbers, channel, at - timedelta(hours=chance.choice([1, 24, 72])), at)
        for numbers in [(1,), (2, 3), (4, 1, 2), (5,)]
        for channel in CHANNELS
        for at in (BEGIN + timedelta(minutes=chance.randrange(6_000)) for _ in range(8))
    ]
    expected = [last_of(rows, each) for each in wanted]
    assert len({each is None for each in expected}) == 2
    assert [told(each) for each in await matching.last_sent(application_pool, 1, wanted)] == expected
    assert await matching.last_sent(application_pool, 2, []) == []


@pytest.mark.parametrize("seed", range(4))
async def test_a_providers_id_finds_those_who_got_it(owner: Owner, application_pool: asyncpg.Pool[Any], seed: int) -> None:
    chance = random.Random(seed)
    rows = [row(chance, n) for n in range(16)]
    await store(owner, rows, chance)
    wanted = [(each, (customer,)) for each, customer in itertools.product([*IDS, "p-5"], [*CUSTOMERS, ANYBODY])]
    found = await matching.by_provider_id(application_pool, 1, "twilio", wanted)
    for (provider_id, (customer,)), each in zip(wanted, found, strict=True):
        there = {one.message_id for one in rows if one.provider_id == provider_id and customer in (ANYBODY, one.customer)}
        # Two are told: more than one is all that matters.
        assert {sent.message_id for sent in each} <= there
        assert len(each) == min(2, len(there))
    others = [await matching.by_provider_id(application_pool, *of, wanted) for of in ((2, "twilio"), (1, "vonage"))]
    assert others == [[[] for _ in wanted]] * 2


async def test_of_two_who_take_a_reply_for_different_answers_the_first_is_heard(application_pool: asyncpg.Pool[Any]) -> None:
    reply = matching.reply_key("twilio", "natural")
    first, second = (Sent(message_id, 1, 7, "sms", is_revoked=False) for message_id in ("m-1", "m-2"))
    for taken in (first, second):
        await matching.remember(application_pool, 1, {reply: taken})
        assert await matching.remembered(application_pool, 1, [reply], {reply: "sms"}) == {reply: first}
    assert await matching.remembered(application_pool, 2, [reply], {reply: "sms"}) == {}
