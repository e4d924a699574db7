"""Messages on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar

import msgspec

from service.customers.schemas import CustomerRef
from service.http.bodies import Batch, Body, Identifier, Slug
from service.http.field_docs import ItemResult
from service.http.identifiers import customer_id
from service.http.problems import Problem, ProblemDocument
from service.messages.queries import SentMessage

Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class RegisteredMessage(msgspec.Struct, frozen=True):
    """A message as it is registered. ``is_new`` is false if it had been before."""

    message: SentMessage
    is_new: bool


class MessageRequest(Body, frozen=True):
    """A message that you send to one customer."""

    message_id: Identifier
    """Your id of the message, as links and reports name it. It may be the same for everybody who gets the message."""
    customer: CustomerRef
    """The customer it is for, by at least one name. An unknown customer is created."""
    campaign: Identifier
    """The id of the campaign that what customers do with it counts for."""
    channel: Slug
    """The channel, such as `sms`."""
    provider: Slug
    """Who sends it, as `provider` of a source names it, such as `twilio`."""
    provider_message_id: Identifier | None = None
    """The provider's id of the message, as it answered when you sent it. Angle brackets around it do not count."""
    conversation: Identifier | None = None
    """Your id of the conversation that it is part of, on whatever channels."""
    offer_group: Identifier | None = None
    """Your id of the offer that it makes, which other messages to the customer may make on other channels. For a campaign that
    makes offers. The offer is paid once, for whichever is answered first."""
    lapses_at: Instant | None = None
    """When the offer lapses unless it is claimed. Absent: when another message said, or else when the campaign ends."""
    sent_at: Instant | None = None
    """When it is sent. Absent: now."""

    example: ClassVar[dict[str, Any]] = {
        "message_id": "welcome-77",
        "customer": {"id": "customer-1"},
        "campaign": "hello-again",
        "channel": "sms",
        "provider": "twilio",
        "provider_message_id": "SM0123456789abcdef0123456789abcdef",
        "conversation": "conversation-9",
    }


class MessageBatch(Batch[MessageRequest]):
    """``{"messages": [...]}``, 1 to 10,000 of them."""

    member: ClassVar[str | None] = "messages"


class MessageResult(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One item's result: registered (201, or 200 if it had been before), or a problem."""

    described_by: ClassVar[tuple[type, ...]] = (ItemResult,)

    index: int
    status: int
    customer: str | msgspec.UnsetType = msgspec.UNSET
    """The id of the customer: `cus_` and a number."""
    sent_at: datetime | msgspec.UnsetType = msgspec.UNSET
    """When it was sent, as it is registered."""
    problem: ProblemDocument | msgspec.UnsetType = msgspec.UNSET


def message_result(index: int, registered: RegisteredMessage | Problem, request_id: str) -> MessageResult:
    """Build an item's result."""
    if isinstance(registered, Problem):
        return MessageResult(index=index, status=registered.status, problem=registered.document(request_id))
    return MessageResult(
        index=index,
        status=201 if registered.is_new else 200,
        customer=customer_id(registered.message.customer),
        sent_at=registered.message.sent_at,
    )
