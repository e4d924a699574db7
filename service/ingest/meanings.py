"""What a provider's event means: an act to be reported, a statement about consent, or nothing, and why.

    1. which message   our token in the provider's opaque field, or in the address that was clicked; else the campaign and
                       message that the opaque field names; else what was registered under the provider's id; of a reply
                       that names none, the last one sent; else the source's campaign and the provider's id of the message
    2. which person    the message's; else the one recipient. Of several the provider does not say who it was: nobody earns
    3. which act       by the kind of event; a link's label and channel go with its token
    4. what it proves  an open or a receipt D, a click C, a reply or an answer A; a machine X; never more than the source may

Pure decisions: what has to be looked up was looked up before.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Literal, TypeAlias

import msgspec

from service.admission.limits import NAME_BYTES_MAX
from service.consents.schemas import ConsentItem
from service.customers.schemas import CustomerRef
from service.grants.schemas import GrantRequest
from service.http.identifiers import customer_id
from service.ingest.sources import Source
from service.providers.replies import content_of, is_stop
from service.providers.types import EventKind, IdentityKind, Machine, ProviderEvent, Trust

ACTIONS: Mapping[EventKind, str] = {
    EventKind.OPENED: "open",
    EventKind.READ: "read",
    EventKind.CLICKED: "click",
    EventKind.REPLIED: "reply",
    EventKind.ANSWERED: "answer",
    EventKind.ENTERED: "location.enter",
}
"""The actions that campaigns pay for, by kind of event. Other kinds earn nothing."""

_EVIDENCE: Mapping[EventKind, Literal["A", "C", "D"]] = {
    EventKind.OPENED: "D",
    EventKind.READ: "D",
    EventKind.CLICKED: "C",
    EventKind.REPLIED: "A",
    EventKind.ANSWERED: "A",
    # A phone says so, and nobody did anything.
    EventKind.ENTERED: "C",
}
_SLUG = re.compile(r"[a-z][a-z0-9_.]{0,31}")
_STATEMENTS: Mapping[EventKind, tuple[Literal["granted", "refused"], Literal["complaint", "stop"] | None]] = {
    EventKind.COMPLAINED: ("refused", "complaint"),
    EventKind.OPTED_OUT: ("refused", "stop"),
    EventKind.UNSUBSCRIBED: ("refused", None),
    EventKind.RESUBSCRIBED: ("granted", None),
    EventKind.OPTED_IN: ("granted", None),
}
_NAMES: Mapping[IdentityKind, str] = {
    IdentityKind.CUSTOMER: "id",
    IdentityKind.EMAIL: "email",
    IdentityKind.PHONE: "phone",
    IdentityKind.DEVICE: "device",
}


ANSWERS = frozenset({EventKind.REPLIED, EventKind.ANSWERED})
"""What comes in as a message of its own, whose id at the provider is not that of the message it answers."""

MatchedBy: TypeAlias = Literal["token", "opaque_field", "provider_id", "last_message", "source"]
"""How the message of an act was found, in order of precedence. The last: the source's campaign and the provider's id alone."""


class FoundMessage(msgspec.Struct, frozen=True):
    """A message that we know: what an event is of, for whom and for which campaign."""

    message_id: str
    campaign: str
    customer: int
    channel: str
    matched_by: MatchedBy
    label: str = ""
    expires_at: datetime | None = None
    """When what a link of it reports stops earning."""


class NoMessage(msgspec.Struct, frozen=True):
    """Why an event leads to no message that earns."""

    reason: str


class Nothing(msgspec.Struct, frozen=True):
    """The event means nothing to us."""

    reason: str


Meaning: TypeAlias = GrantRequest | ConsentItem | Nothing


def meaning_of(
    source: Source, event: ProviderEvent, message: FoundMessage | NoMessage | None, occurred_at: datetime
) -> Meaning:
    """What an event means. ``message`` is what was found of it, if anything was; ``occurred_at`` is by the brand's clock."""
    statement = _STATEMENTS.get(event.kind) or (("refused", "stop") if _asks_to_stop(event) else None)
    if statement is None and event.kind not in ACTIONS:
        return Nothing("kind")
    if isinstance(message, NoMessage):
        return Nothing(message.reason)
    if message is not None and message.expires_at is not None and message.expires_at <= occurred_at:
        return Nothing("link_expired")
    customer = _customer(event, message)
    if isinstance(customer, Nothing):
        return customer
    channel = event.channel if message is None else message.channel
    if statement is not None:
        return _statement(source, customer, channel, statement, occurred_at)
    return _nothing_said(event) or _act(source, event, message, customer, channel, occurred_at)


def _statement(
    source: Source,
    customer: CustomerRef,
    channel: str,
    statement: tuple[Literal["granted", "refused"], Literal["complaint", "stop"] | None],
    occurred_at: datetime,
) -> Meaning:
    status, reason = statement
    if _SLUG.fullmatch(channel) is None:
        return Nothing("invalid")
    if status == "granted" and source.trust < Trust.SHARED_SECRET:
        # Anybody may stop messages by a source that proves nothing, and nobody start them.
        return Nothing("not_proved")
    said = f"{source.adapter.title} ({source.id})"
    return ConsentItem(customer=customer, channel=channel, status=status, source=said, at=occurred_at, reason=reason)


def _act(
    source: Source,
    event: ProviderEvent,
    message: FoundMessage | None,
    customer: CustomerRef,
    channel: str,
    occurred_at: datetime,
) -> Meaning:
    campaign = message.campaign if message is not None else event.tags.get("campaign") or source.campaign
    place = event.tags.get("place") if event.kind is EventKind.ENTERED else None
    message_id = place or (message.message_id if message is not None else _message_id(event))
    if campaign is None or message_id is None:
        return Nothing("no_campaign" if campaign is None else "no_message")
    label = None if place is not None else _label(event, message)
    if (
        _SLUG.fullmatch(channel) is None
        or max(len(name.encode()) for name in (campaign, message_id, label or "")) > NAME_BYTES_MAX
    ):
        return Nothing("invalid")
    return GrantRequest(
        campaign=campaign,
        message_id=message_id,
        customer=customer,
        action=ACTIONS[event.kind],
        channel=channel,
        occurred_at=occurred_at,
        link=label,
        evidence=_evidence(event),
        metadata=_metadata(source, event, message),
    )


def _metadata(
    source: Source, event: ProviderEvent, message: FoundMessage | None
) -> dict[str, str | int | float | bool | None] | None:
    if event.kind is EventKind.ENTERED:
        return {"place_id": event.tags.get("place")}
    # It is a guess, and whoever looks at the grant is to know.
    guessed = {"matched_by": "last_message"} if _is_guessed(message) else {}
    answered = {} if event.answer is None else {"answer_hash": _hash_of(source, event.answer.value)}
    return {**guessed, **answered} or None


def _hash_of(source: Source, answer: str) -> str:
    """What tells answers apart. There are few to guess from, so the secret part of the source's address is in it."""
    return blake2b(answer.encode(), key=source.address, digest_size=16, person=b"answer").hexdigest()


def _evidence(event: ProviderEvent) -> Literal["A", "C", "D", "X"]:
    match event.machine:
        case Machine.DECLARED:
            return "X"
        case Machine.SUSPECTED:
            return "D"
        case Machine.NONE:
            return _EVIDENCE[event.kind]


def _is_guessed(message: FoundMessage | None) -> bool:
    return message is not None and message.matched_by == "last_message"


def _customer(event: ProviderEvent, message: FoundMessage | None) -> CustomerRef | Nothing:
    if message is not None:
        return CustomerRef(id=customer_id(message.customer))
    return recipient_of(event)


def recipient_of(event: ProviderEvent) -> CustomerRef | Nothing:
    """The person whom an event itself names."""
    if len(event.recipients) != 1:
        return Nothing("ambiguous_recipient" if event.recipients else "no_recipient")
    (recipient,) = event.recipients
    name = _NAMES.get(recipient.kind)
    if name is None:
        return Nothing("unknown_account")
    try:
        return msgspec.convert({name: recipient.value}, CustomerRef)
    except msgspec.ValidationError:
        return Nothing("invalid")


def _message_id(event: ProviderEvent) -> str | None:
    """The brand's own id of the message, or else the provider's: of an answer, that of the message it answers."""
    provider_id = event.in_reply_to if event.kind in ANSWERS else event.provider_message_id
    return event.tags.get("message") or provider_id


def _label(event: ProviderEvent, message: FoundMessage | None) -> str | None:
    """What lets an act count again where the rule says so: another version of a question, another link."""
    if event.answer is not None:
        return f"{event.answer.question}@{event.answer.version or ''}"
    if message is not None and message.matched_by == "token":
        return message.label or None
    return event.tags.get("link")


def matched_by(event: ProviderEvent, message: FoundMessage | NoMessage | None) -> MatchedBy:
    """How the message of an act was found."""
    if isinstance(message, FoundMessage):
        return message.matched_by
    return "opaque_field" if "message" in event.tags else "source"


def is_statement(event: ProviderEvent) -> bool:
    """Whether an event says something about consent, rather than that somebody acted."""
    return event.kind in _STATEMENTS or _asks_to_stop(event)


def is_answer(event: ProviderEvent) -> bool:
    """Whether an event is a reply that says something, or an answer inside of a message."""
    return event.kind in ANSWERS and not _asks_to_stop(event) and _nothing_said(event) is None


def _asks_to_stop(event: ProviderEvent) -> bool:
    return event.kind is EventKind.REPLIED and is_stop(said_in(event))


def _nothing_said(event: ProviderEvent) -> Nothing | None:
    """Why a reply earns nothing."""
    if event.kind is not EventKind.REPLIED:
        return None
    if event.auto_reply is not None:
        return Nothing("auto_reply")
    if event.is_sender_proved is False:
        return Nothing("sender_not_proved")
    return None if said_in(event) else Nothing("empty_reply")


def said_in(event: ProviderEvent) -> str:
    """What a reply says without quotes and signature."""
    return content_of(event.text, event.stripped_text)
