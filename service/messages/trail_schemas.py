"""A message's trail on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from service.grants.schemas import GrantResponse
from service.offers.schemas import OfferResponse


class TrailMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message that was registered."""

    message_id: str
    """The sender's id of it."""
    campaign: str
    """The campaign's id."""
    channel: str
    """The channel."""
    conversation: str | None
    """The conversation that it is part of."""
    offer_group: str | None
    """The offer that it makes."""
    provider: str
    """Who sent it."""
    provider_message_id: str | None
    """The provider's id of it."""
    sent_at: datetime
    """When it was sent."""


class TrailLink(msgspec.Struct, frozen=True, kw_only=True):
    """A reward link in one of the messages."""

    link_id: str
    """The link's id."""
    message_id: str
    """The sender's id of the message."""
    campaign: str
    """The campaign's id."""
    action: str
    """What it reports, such as `click`."""
    channel: str
    """The channel."""
    label: str | None
    """What tells it from other links of the message."""
    minted_at: datetime
    """When it was minted."""
    sent_at: datetime | None
    """When the message was sent, if that was said."""
    expires_at: datetime
    """When it stops earning."""
    revoked_at: datetime | None
    """When it was revoked by an erasure; null: it was not."""


class TrailClick(msgspec.Struct, frozen=True, kw_only=True):
    """A request for one of the links."""

    link_id: str
    """The link's id."""
    at: datetime
    """When."""
    way: str
    """What it was fetched for."""
    evidence: str
    """How much of a person it showed: `A` to `D`, or `X` for a machine."""


class TrailPosting(msgspec.Struct, frozen=True, kw_only=True):
    """A transfer that an act caused."""

    seq: int
    """Its number in the book."""
    verb: str
    """The type of transfer, such as `grant`, `mature` or `clawback`."""
    points: int
    """How many points; always positive."""
    posted_at: datetime
    """When it was posted."""


class TrailAct(msgspec.Struct, frozen=True, kw_only=True):
    """What the customer did, as it was decided."""

    grant: GrantResponse
    """The decision. Its `source` and `principal` say who reported it first: `api`, `link` or a source (`src_`)."""
    postings: Sequence[TrailPosting]
    """What it moved, oldest first; none if it earned nothing."""


class TrailOffer(msgspec.Struct, frozen=True, kw_only=True):
    """An offer that one of the messages makes, with its other messages and what came of it."""

    offer: OfferResponse
    """The offer: its state, all its messages, and the act that claimed it."""
    postings: Sequence[TrailPosting]
    """What the claim moved, oldest first; none while the offer is open, or if it lapsed."""


class TrailResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about a message, or about a conversation, on all channels."""

    customer: str
    """The id of the customer: `cus_` and a number."""
    messages: Sequence[TrailMessage]
    """Messages that were registered, oldest first."""
    links: Sequence[TrailLink]
    """Links that were minted in them, oldest first."""
    clicks: Sequence[TrailClick]
    """Requests for these links as long as they are kept, newest first, at most 1,000."""
    acts: Sequence[TrailAct]
    """What was decided, oldest first."""
    offers: Sequence[TrailOffer]
    """The offers that the messages make, oldest first."""
    complete: bool
    """False if there was too much to look at: then some may be missing."""
