"""From events without our token to the messages that they are of, by what was sent: see decision 69.

    1. provider_id    what was registered under the provider's id that the event names; the recipient picks among several
    2. last_message   a reply that names none answers the last message sent to the customer on its channel, as far back as
                      ``REWARDS_REPLY_HOURS``. Which it was is stored, so that it answers no other when it comes again

Nobody is made a customer by being looked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from service.campaigns.queries import campaign_of_link
from service.customers import actions as customers
from service.customers import identities
from service.customers.queries import Customer
from service.customers.schemas import CustomerRef
from service.http.identifiers import customer_id
from service.http.problems import Problem
from service.ingest.meanings import ACTIONS, ANSWERS, FoundMessage, MatchedBy, NoMessage, is_answer, is_statement, recipient_of
from service.ingest.sources import Source
from service.messages import matching
from service.messages.actions import bare
from service.messages.matching import ANYBODY, LastWanted, Sent
from service.messages.offer_life import Happened
from service.offers.life import Stage
from service.providers.types import IdentityKind, ProviderEvent

if TYPE_CHECKING:
    from service.services import Services

Key = TypeVar("Key", str, tuple[str, int])

_STORED_KINDS = {
    IdentityKind.CUSTOMER: identities.IdentityKind.ID,
    IdentityKind.EMAIL: identities.IdentityKind.EMAIL,
    IdentityKind.PHONE: identities.IdentityKind.PHONE,
}
"""Names of which a person has one, as far as we may assume. Of devices everybody has several."""

CLOCKS_DIFFER = timedelta(seconds=5)
"""Some providers cut seconds off, and a sender may register a message just after it was sent."""


async def sent_messages(
    services: Services, source: Source, events: Mapping[int, tuple[ProviderEvent, datetime]], *, writes: bool = True
) -> dict[int, FoundMessage | NoMessage]:
    """What events without a token are of, as far as that is known. Each comes with when it happened, by the brand's clock.

    Unless it ``writes``, which message a reply is taken to answer is not noted.
    """
    wanted = {n: event for n, (event, _) in events.items() if _is_looked_for(event)}
    found = await by_provider_id(services, source, wanted)
    answers = {n: events[n] for n, event in wanted.items() if n not in found and _may_answer_the_last(event)}
    return found | await _last(services, source, answers, writes=writes)


def _is_looked_for(event: ProviderEvent) -> bool:
    is_named = "campaign" in event.tags and "message" in event.tags
    return (event.kind in ACTIONS or is_statement(event)) and not is_named


def _may_answer_the_last(event: ProviderEvent) -> bool:
    """Whether an event is an answer that names no message, on a channel where people cannot name one."""
    return is_answer(event) and event.in_reply_to is None and event.channel != "email"


async def _people(services: Services, source: Source, events: Mapping[int, ProviderEvent]) -> dict[int, Customer | Problem]:
    """Who the recipients of events are, of those who are known, or why they are nobody any more. It goes to the database, so it
    is asked of few.
    """
    named = {n: ref for n, event in events.items() if isinstance(ref := recipient_of(event), CustomerRef)}
    known = await customers.find_each(services, source.brand, list(named.values())) if named else []
    return {n: each for n, each in zip(named, known, strict=True) if each is not None}


def _provider_id(event: ProviderEvent) -> str | None:
    """The provider's id of the message that an event is about. An answer has one of its own, which is none of ours."""
    return bare(event.in_reply_to if event.kind in ANSWERS else event.in_reply_to or event.provider_message_id)


async def by_provider_id(
    services: Services, source: Source, events: Mapping[int, ProviderEvent]
) -> dict[int, FoundMessage | NoMessage]:
    ids = {n: provider_id for n, event in events.items() if (provider_id := _provider_id(event)) is not None}
    by_id = await _registered(services, source, dict.fromkeys(ids.values(), (ANYBODY,)))
    known = {n: provider_id for n, provider_id in ids.items() if by_id[provider_id]}
    people = await _people(services, source, {n: events[n] for n in known})
    theirs = {(known[n], person.customer): _numbers(person) for n, person in people.items() if isinstance(person, Customer)}
    by_person = await _registered(services, source, theirs)
    found: dict[int, FoundMessage | NoMessage] = {}
    for n, provider_id in known.items():
        match people.get(n):
            case None:
                rows = [row for row in by_id[provider_id] if not _is_somebody_else(events[n], row)]
            case Problem():
                rows = []
            case person:
                rows = by_person[provider_id, person.customer]
        message = await _picked(services, rows)
        # What somebody says about consent is heard, whichever message it was about.
        if isinstance(message, FoundMessage) or not is_statement(events[n]):
            found[n] = message
    return found


def _is_somebody_else(event: ProviderEvent, row: Sent) -> bool:
    """Whether a recipient whom we do not know is not the message's customer, of whom we know another name of that kind."""
    return len(event.recipients) == 1 and _STORED_KINDS.get(event.recipients[0].kind) in row.kinds


async def _registered(services: Services, source: Source, wanted: Mapping[Key, Sequence[int]]) -> dict[Key, list[Sent]]:
    """Messages by the provider's id, which each key is or begins with, of some numbers."""
    if not wanted:
        return {}
    asked = [(key if isinstance(key, str) else key[0], numbers) for key, numbers in wanted.items()]
    rows = await matching.by_provider_id(services.pool, source.brand.brand_id, source.provider, asked)
    return dict(zip(wanted, rows, strict=True))


async def _picked(services: Services, rows: Sequence[Sent]) -> FoundMessage | NoMessage:
    """Which of the messages under one id an event is of; these are those that can be its recipient's."""
    if not rows:
        return NoMessage("other_recipient")
    distinct = {(row.message_id, row.customer) for row in rows}
    return await _found(services, rows[0], "provider_id") if len(distinct) == 1 else NoMessage("ambiguous_recipient")


async def _last(
    services: Services, source: Source, answers: Mapping[int, tuple[ProviderEvent, datetime]], *, writes: bool
) -> dict[int, FoundMessage | NoMessage]:
    if not answers:
        return {}
    known = await _people(services, source, {n: event for n, (event, _) in answers.items()})
    people = {n: each for n, each in known.items() if isinstance(each, Customer)}
    answers = {n: answers[n] for n in people}
    pool, brand_id = services.pool, source.brand.brand_id
    replies = {n: matching.reply_key(source.provider, event.natural_key) for n, (event, _) in answers.items()}
    channels = {replies[n]: event.channel for n, (event, _) in answers.items()}
    noted = await matching.remembered(pool, brand_id, list(channels), channels)
    new = {n: each for n, each in answers.items() if replies[n] not in noted}
    within = timedelta(hours=services.settings.reply_hours)
    wanted = [
        LastWanted(_numbers(people[n]), event.channel, happened_at - within, happened_at + CLOCKS_DIFFER)
        for n, (event, happened_at) in new.items()
    ]
    last = await matching.last_sent(pool, brand_id, wanted) if wanted else []
    # Of copies in one batch the first decides.
    taken = {replies[n]: sent for n, sent in reversed(list(zip(new, last, strict=True))) if sent is not None}
    if taken and not writes:
        noted |= taken
    elif taken:
        await matching.remember(pool, brand_id, taken)
        first = await matching.remembered(pool, brand_id, list(taken), channels)
        # What was found just now says more of what is revoked than the note does.
        noted |= {reply: taken[reply] if taken[reply].message_id == sent.message_id else sent for reply, sent in first.items()}
    return {n: await _found(services, noted[reply], "last_message") for n, reply in replies.items() if reply in noted}


async def _found(services: Services, sent: Sent, matched_by: MatchedBy) -> FoundMessage | NoMessage:
    if sent.is_revoked:
        return NoMessage("link_revoked")
    standing = await campaign_of_link(services, sent.campaign_no)
    if sent.message_id is None or standing is None:
        return NoMessage("no_message")
    return FoundMessage(sent.message_id, standing.current.id, sent.customer, sent.channel, matched_by)


def _numbers(known: Customer) -> tuple[int, ...]:
    return known.customer, *known.former


async def happened_to(
    services: Services,
    source: Source,
    events: Mapping[int, tuple[ProviderEvent, datetime, Stage]],
    messages: Sequence[FoundMessage | NoMessage | None],
) -> dict[int, Happened]:
    """Which messages events are of that say how far these have come, as far as it is known. ``messages`` are known by token."""
    found = {n: messages[n] for n in events if messages[n] is not None}
    found |= await by_provider_id(services, source, {n: event for n, (event, _, _) in events.items() if n not in found})
    happened: dict[int, Happened] = {}
    for n, (event, at, stage) in events.items():
        message, recipient = found.get(n), recipient_of(event)
        if isinstance(message, FoundMessage):
            who = CustomerRef(id=customer_id(message.customer))
            happened[n] = Happened(message.message_id, message.campaign, who, message.channel, stage, at)
        elif message is None and {"campaign", "message"} <= set(event.tags) and isinstance(recipient, CustomerRef):
            tags = event.tags
            happened[n] = Happened(tags["message"], tags["campaign"], recipient, event.channel, stage, at)
    return happened
