"""Preferences on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from service.http.bodies import Body, Slug

CHANNELS_MAX = 32

Frequency = Literal["any", "weekly", "monthly"]
"""``any``: whenever there is something new; else at most so often."""
FREQUENCIES: Sequence[Frequency] = ("any", "weekly", "monthly")

Status = Literal["granted", "refused"]


class ChannelRequest(Body, frozen=True):
    """Whether she may be contacted on a channel."""

    channel: Slug
    """The channel, such as `email`."""
    status: Status
    """`granted`: they may be contacted on it. `refused`: they may not."""


class PreferencesRequest(Body, frozen=True):
    """What a customer chooses. What is absent stays as it is."""

    channels: Annotated[list[ChannelRequest], msgspec.Meta(max_length=CHANNELS_MAX)] = msgspec.field(
        default_factory=list[ChannelRequest]
    )
    """What is said of a channel is kept as consent."""
    frequency: Frequency | None = None
    """How often they want to hear of the brand. Absent: as it is."""
    rewards: bool | None = None
    """False: she wants no rewards any more, wherever she acts. What she has stays hers."""

    example: ClassVar[dict[str, Any]] = {
        "channels": [{"channel": "email", "status": "granted"}, {"channel": "sms", "status": "refused"}],
        "frequency": "weekly",
        "rewards": True,
    }


Standing = Literal["granted", "refused", "unsaid"]


class ChannelResponse(msgspec.Struct, frozen=True):
    """Whether a customer may be contacted on a channel; ``unsaid`` is not refused."""

    channel: str
    """The channel, such as `email`."""
    status: Standing
    """What the customer said of it; `unsaid` is not refused."""


class PreferencesResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What a customer has chosen.

    ``channels`` are those that running campaigns use, and those of which she has said something. ``frequency`` is null, and so
    is ``answered_at``, while she has not answered here. ``reward`` is what an answer would earn her; null when it would not.
    """

    channels: Sequence[ChannelResponse]
    """The channels that running campaigns use, and those of which the customer has said something."""
    frequency: Frequency | None
    """How often they want to hear of the brand; null while they have not answered."""
    rewards: bool
    """Whether they want rewards at all."""
    reward: int | None
    """How many points an answer would earn; null when it would earn none."""
    answered_at: datetime | None
    """When they last answered; null: never."""


class Earned(msgspec.Struct, frozen=True):
    """What an answer earned: ``outcome`` as of any grant, null where no campaign pays for answers."""

    outcome: str | None
    points: int
    balance: int | None
    replayed: bool


class PreferencesAnswer(msgspec.Struct, frozen=True):
    """What holds now, and what the answer earned."""

    preferences: PreferencesResponse
    earned: Earned
