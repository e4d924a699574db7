"""Preferences on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from service.http.bodies import Body, Slug

CHANNELS_MAX = 32

Frequency = Literal["any", "weekly", "monthly"]
"""How often: ``any`` time there is something new, or at most weekly or monthly."""
FREQUENCIES: Sequence[Frequency] = ("any", "weekly", "monthly")

Status = Literal["granted", "refused"]


class ChannelRequest(Body, frozen=True):
    """Consent on one channel."""

    channel: Slug
    """The channel, such as `email`."""
    status: Status
    """`granted`: they may be contacted on the channel. `refused`: they may not."""


class PreferencesRequest(Body, frozen=True):
    """A customer's choices. Absent fields stay as they are."""

    channels: Annotated[list[ChannelRequest], msgspec.Meta(max_length=CHANNELS_MAX)] = msgspec.field(
        default_factory=list[ChannelRequest]
    )
    """Consent per channel."""
    frequency: Frequency | None = None
    """How often they want to hear from the brand. Absent: unchanged."""
    rewards: bool | None = None
    """False: they earn nothing any more, on any channel. They keep what they have."""

    example: ClassVar[dict[str, Any]] = {
        "channels": [{"channel": "email", "status": "granted"}, {"channel": "sms", "status": "refused"}],
        "frequency": "weekly",
        "rewards": True,
    }


Standing = Literal["granted", "refused", "unsaid"]


class ChannelResponse(msgspec.Struct, frozen=True):
    """Consent on one channel. `unsaid` is not a refusal."""

    channel: str
    """The channel, such as `email`."""
    status: Standing
    """What the customer chose; `unsaid` is not a refusal."""


class PreferencesResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A customer's preferences."""

    channels: Sequence[ChannelResponse]
    """The channels that active campaigns use, and those the customer has made a choice on."""
    frequency: Frequency | None
    """How often they want to hear from the brand; null until they answer."""
    rewards: bool
    """Whether they want rewards at all."""
    reward: int | None
    """Points an answer would earn; null if none."""
    answered_at: datetime | None
    """When they last answered; null: never."""


class Earned(msgspec.Struct, frozen=True):
    """What an answer earned; `outcome` as for a grant, null if no campaign pays for answers."""

    outcome: str | None
    points: int
    balance: int | None
    replayed: bool


class PreferencesAnswer(msgspec.Struct, frozen=True):
    """The preferences now, and what the answer earned."""

    preferences: PreferencesResponse
    earned: Earned
