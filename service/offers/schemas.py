"""Offers on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import msgspec

State = Literal["offered", "delivered", "opened", "clicked", "claimed", "lapsed"]
MessageState = Literal["sent", "delivered", "opened", "clicked", "failed", "void", "claimed"]


class OfferMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message that makes an offer."""

    message_id: str
    """The sender's id of it."""
    channel: str
    """The channel."""
    state: MessageState
    """How far it has come: `claimed` if it was answered first, `void` if the offer has ended without it, `failed` if it will
    never arrive."""
    sent_at: datetime
    """When it was sent."""
    delivered_at: datetime | None
    """When it arrived; null if that is not known."""
    opened_at: datetime | None
    """When it was opened first; null if that is not known."""
    clicked_at: datetime | None
    """When the customer first did something with it; null if they did not."""
    failed_at: datetime | None
    """When it was known never to arrive; null if it may have."""


class OfferWinner(msgspec.Struct, frozen=True, kw_only=True):
    """The act that claimed an offer."""

    grant_id: str
    """The id of the decision that paid it."""
    message_id: str | None
    """The sender's id of the message that was answered; null if erased."""
    channel: str
    """The channel."""
    action: str
    """What the customer did."""
    points: int
    """What it earned, or earns once it is approved."""
    source: str
    """Who reported it first: `api` for a key, `link` for our own link, or the id of a source, such as `src_1`."""
    decided_at: datetime
    """When it was decided."""


class OfferResponse(msgspec.Struct, frozen=True, kw_only=True):
    """An offer to a customer."""

    offer_group: str
    """Your id of it."""
    customer: str
    """The customer to whom it was made: `cus_` and a number."""
    campaign: str
    """The campaign's id."""
    state: State
    """How far it has come, by the furthest of its messages that may still arrive; in the end `claimed` or `lapsed`."""
    offered_at: datetime
    """When its first message was sent."""
    lapses_at: datetime
    """When it lapses, or would have. That it has lapsed is recorded an hour later, as acts of before may be reported late."""
    ended_at: datetime | None
    """When it was noted that it was claimed or has lapsed; null if it is open."""
    claim: OfferWinner | None
    """The act that claimed it; null if none did."""
    messages: Sequence[OfferMessage]
    """The messages that make it, in the order in which they were sent, at most 20."""
