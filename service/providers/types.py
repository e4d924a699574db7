"""What a provider sends, and what is made of it. Nothing here knows a database, a source or a customer.

ProviderRequest   a request as it came: what is signed are its bytes
Verification      whether the provider sent it, and how far that can be trusted
ProviderEvent     one thing that happened, in our words
Parsed            the events of a request, and the faults of those that could not be read
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypeAlias

import msgspec

Secrets: TypeAlias = Mapping[str, Sequence[str]]
"""What a source holds, by name; of each the one in use and those that still verify, in any order."""


class ProviderRequest(msgspec.Struct, frozen=True):
    """A request as a provider sent it."""

    method: str
    url: str
    """The public URL that the source was set up with, and the query as received: never what a proxy's ``Host`` says."""
    headers: Mapping[str, str]
    """By name, in lower case; the values as Latin-1 text, as HTTP has them."""
    body: bytes = b""


class Verdict(enum.StrEnum):
    """Whether a provider sent a request. Only the first two may be parsed."""

    VERIFIED = "verified"
    UNVERIFIED = "unverified"
    """The provider signs nothing, and the source holds no secret that it could present."""
    STALE = "stale"
    """Signed by the provider, and too long ago or ahead of our clock: a replay, or a clock that is wrong."""
    FORGED = "forged"
    UNSIGNED = "unsigned"


class Trust(enum.IntEnum):
    """How much a verified request proves, weakest first."""

    NONE = 0
    IP_ONLY = 1
    SHARED_SECRET = 2
    """A password that comes with each request: it says nothing of the body."""
    SIGNED_PARTIAL = 3
    """A signature that does not cover the whole body."""
    SIGNED_BODY = 4


class Verification(msgspec.Struct, frozen=True):
    """Whether a provider sent a request, and why not. The reason is for the brand's log and repeats nothing that was sent."""

    verdict: Verdict
    reason: str = ""
    trust: Trust = Trust.NONE

    @property
    def accepted(self) -> bool:
        """Whether the request may be parsed."""
        return self.verdict in {Verdict.VERIFIED, Verdict.UNVERIFIED}


class EventKind(enum.StrEnum):
    """What happened, whatever the provider calls it."""

    SENT = "sent"
    DELIVERED = "delivered"
    DEFERRED = "deferred"
    """Not delivered yet: the provider goes on trying."""
    OPENED = "opened"
    READ = "read"
    """A read receipt, or the person's app says so."""
    CLICKED = "clicked"
    REPLIED = "replied"
    """A message that the person wrote."""
    ANSWERED = "answered"
    """What the person chose or filled in inside of a message."""
    CONVERTED = "converted"
    BOUNCED = "bounced"
    FAILED = "failed"
    """The provider gave up, or refused to send."""
    COMPLAINED = "complained"
    UNSUBSCRIBED = "unsubscribed"
    RESUBSCRIBED = "resubscribed"
    OPTED_OUT = "opted_out"
    """STOP, as the provider itself understood it."""
    OPTED_IN = "opted_in"
    ENTERED = "entered"
    """The person came to a place."""
    OTHER = "other"
    """A kind that we have no word for. It is shown, and earns nothing."""


class IdentityKind(enum.StrEnum):
    """What a provider knows a person by."""

    CUSTOMER = "customer"
    """The brand's own id."""
    EMAIL = "email"
    PHONE = "phone"
    """In international form, with ``+``."""
    DEVICE = "device"
    ACCOUNT = "account"
    """The provider's own id of the person, such as a page-scoped id."""


class Identity(msgspec.Struct, frozen=True, gc=False):
    """A name of a person."""

    kind: IdentityKind
    value: str


class Machine(enum.StrEnum):
    """Whether the provider says that a program did it, and no person."""

    NONE = "none"
    SUSPECTED = "suspected"
    DECLARED = "declared"


class Answer(msgspec.Struct, frozen=True):
    """What a person answered inside of a message."""

    question: str
    value: str
    version: str | None = None
    """Of the question, where the provider states one."""


class ProviderEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One thing that happened. What is absent the provider does not say."""

    natural_key: str
    """The same for every copy of the event that the provider sends, and for no other event of the source. A hash."""
    kind: EventKind
    provider_kind: str
    """The provider's own word."""
    channel: str
    """``email``, ``sms``, ``whatsapp``, ``rcs``, ``push``, ..."""
    occurred_at: datetime | None = None
    """When, by the provider's clock, in UTC."""
    recipients: tuple[Identity, ...] = ()
    """Whose event it is. With more than one the provider does not say which of them it was."""
    token: str | None = None
    """Our reward token, from the provider's opaque field."""
    tags: Mapping[str, str] = {}
    """What else of ours is in the opaque field: ``campaign``, ``message``, ``conversation``, ..."""
    provider_message_id: str | None = None
    in_reply_to: str | None = None
    """The provider's id, or the ``Message-ID``, of the message that this one answers."""
    url: str | None = None
    user_agent: str | None = None
    ip: str | None = None
    machine: Machine = Machine.NONE
    machine_source: str | None = None
    """The field that says so."""
    auto_reply: str | None = None
    """The field that says that a program wrote the reply."""
    is_sender_proved: bool | None = None
    """Of a mail: whether the provider found that it is from its sender; None: it does not say."""
    text: str | None = None
    """A reply, as it came."""
    stripped_text: str | None = None
    """The reply as the provider strips it of what it quotes."""
    answer: Answer | None = None
    permanent: bool | None = None
    """Of a bounce or failure: whether trying again is of no use."""


class Fault(msgspec.Struct, frozen=True, gc=False):
    """Why an event could not be read. It repeats nothing that was sent."""

    index: int | None
    """Which event of the request; null: the request itself."""
    field: str
    problem: str
    withheld: bool = False
    """Whether what is there is not to be kept, not even as it came."""


class Parsed(msgspec.Struct, frozen=True):
    """What a request holds."""

    events: Sequence[ProviderEvent] = ()
    faults: Sequence[Fault] = ()
    confirm_url: str | None = None
    """What is to be fetched once to confirm the subscription; its host was checked."""


class Reply(msgspec.Struct, frozen=True):
    """An answer that a provider waits for before it sends events."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = {}
