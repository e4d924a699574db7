"""Replies that repeat what their customer has said before: they earn nothing, whichever message they answer.

A reply is compared with all that the customer has said in the brand within ``REWARDS_REPLY_TEXTS_DAYS``, whatever the case,
accents and punctuation. A brief one ("yes", "2") answers a question, so it is compared only with what answers the same message;
or, where that is only what the reply itself claims, the same campaign.

What was said is noted before anything is posted, with the reply that said it first: however often that comes, and however
often it is read, it repeats nobody. Only a reply that a rule pays for counts as said. Nothing is kept of the words but a keyed
hash of them together with the customer: nobody can read it, or tell who else said the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from service.customers import actions as customers
from service.customers.queries import Customer
from service.grants.acts import Act, read_acts
from service.grants.schemas import GrantRequest
from service.ingest.sources import Source
from service.messages.matching import reply_key
from service.providers.replies import fingerprint, is_brief

if TYPE_CHECKING:
    from service.services import Services

_SQL = Path(__file__).with_name("sql")
_SAID_BEFORE = (_SQL / "said_before.sql").read_text()
_NOTE = (_SQL / "note_said.sql").read_text()
_ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)


class Reply(msgspec.Struct, frozen=True, gc=False):
    """A reply that is to be reported. ``answers_known``: its message is one that we know was sent to the customer."""

    natural_key: str
    content: str
    request: GrantRequest
    answers_known: bool


class _Said(msgspec.Struct, frozen=True, gc=False):
    """What a reply says, as its text is noted: under the customer's number first, and as it may have been noted before."""

    reply: bytes
    customer: int
    texts: Sequence[bytes]


async def repeated(
    services: Services, source: Source, replies: Mapping[int, Reply], received_at: datetime, *, writes: bool = True
) -> set[int]:
    """Which replies repeat an earlier one, or one before them. If it ``writes``, what the others say is noted."""
    said = await _said(services, source, replies, received_at, writes=writes)
    if not said:
        return set()
    days = services.settings.reply_texts_days
    since = datetime.now(UTC) - timedelta(days=days) if days else _ALWAYS
    before = await _noted(services, [text for each in said.values() for text in each.texts], since)
    new: dict[bytes, _Said] = {}
    for each in said.values():
        if not any(text in before for text in each.texts):
            new.setdefault(each.texts[0], each)
    if new and not writes:
        before |= {text: each.reply for text, each in new.items()}
    elif new:
        # In one order: two agents with the same texts must not wait for each other.
        columns = [(text, new[text].customer, new[text].reply) for text in sorted(new)]
        await services.pool.execute(_NOTE, *map(list, zip(*columns, strict=True)), since)
        before |= await _noted(services, list(new), since)
    return {n for n, each in said.items() if any(before.get(text, each.reply) != each.reply for text in each.texts)}


async def _noted(services: Services, texts: Sequence[bytes], since: datetime) -> dict[bytes, bytes]:
    """By which reply each text was said first."""
    return {row["text"]: row["reply"] for row in await services.pool.fetch(_SAID_BEFORE, texts, since)}


async def _said(
    services: Services, source: Source, replies: Mapping[int, Reply], received_at: datetime, *, writes: bool
) -> dict[int, _Said]:
    """What is said by those replies that a rule pays for, of customers whom we know or who become customers by it."""
    items = [each.request for each in replies.values()]
    acts = await read_acts(services, source.principal, items, received_at) if items else []
    paid = [n for n, act in zip(replies, acts, strict=True) if isinstance(act, Act) and act.rule is not None]
    refs = [replies[n].request.customer for n in paid]
    people = await customers.resolve(services, source.brand, refs, may_attach=False, dry_run=not writes) if refs else []
    return {
        n: _Said(reply_key(source.id, replies[n].natural_key), who.customer, _texts(services, replies[n], who))
        for n, who in zip(paid, people, strict=True)
        if isinstance(who, Customer)
    }


def _texts(services: Services, reply: Reply, who: Customer) -> list[bytes]:
    """The hashes of what a reply says: as it is noted now, and as it may have been, by former numbers and keys."""
    asked = reply.request
    within: Sequence[str] = ()
    if is_brief(reply.content):
        within = (asked.campaign, asked.message_id) if reply.answers_known else (asked.campaign,)
    words = fingerprint(reply.content)
    return [
        hashlib.blake2b(msgspec.json.encode([number, words, within]), digest_size=16, key=key, person=b"reply text").digest()
        for key in services.reply_text_keys
        for number in (who.customer, *who.former)
    ]
