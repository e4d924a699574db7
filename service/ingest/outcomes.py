"""What became of each event of an envelope. It names no customer: the grant's id leads on, for keys that may read grants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec

Outcome = Literal["granted", "held_back", "waiting", "refused", "duplicate", "recorded", "ignored", "failed"]
"""``recorded``: a consent. ``duplicate``: decided before, as ``grant`` says. ``failed``: it could not be read or decided."""

KIND_CHARACTERS_MAX = 64


class EventOutcome(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What became of one event. ``index`` is its place in the envelope; ``word`` the provider's own word for its kind."""

    index: int
    kind: str
    word: str
    channel: str
    occurred_at: datetime | None
    outcome: Outcome
    reason: str | None = None
    grant: str | None = None
    points: int = 0
    matched_by: str | None = None
    """How the message of a report was found; of outcomes from before that was stored, ``None``."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[EventOutcome]).decode


def packed(outcomes: Sequence[EventOutcome]) -> bytes:
    """Outcomes as they are stored."""
    return _encode(outcomes)


def unpacked(stored: bytes) -> list[EventOutcome]:
    """Outcomes that were stored."""
    return _decode(stored)


def counts_of(outcomes: Sequence[EventOutcome]) -> Mapping[str, int]:
    """How many there are of each outcome."""
    return Counter(each.outcome for each in outcomes)


def points_of(outcomes: Sequence[EventOutcome]) -> int:
    """What was paid or held back for all of them."""
    return sum(each.points for each in outcomes)
