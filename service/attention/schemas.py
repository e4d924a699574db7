"""Attention on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

import msgspec

from service.http.field_docs import ItemResult
from service.http.problems import Problem, ProblemDocument


class Attended(msgspec.Struct, frozen=True, kw_only=True):
    """How many messages she was sent, as far as is known here, how many of her acts were rewarded and with how many points.

    With the time of the last of each.
    """

    messages: int
    """How many messages: those for which a link was minted for the customer, or on which an act of theirs was reported."""
    last_message_at: datetime | None
    """When the last of these messages became known here; null where there is none."""
    rewards: int
    """How many of the customer's acts were rewarded."""
    points: int
    """How many points these rewards gave together."""
    last_rewarded_at: datetime | None
    """When the last of these acts happened; null where there is none."""


class AttendedChannel(Attended, frozen=True, kw_only=True):
    """The same on one channel."""

    channel: str
    """The channel that these figures are of, such as `email`."""


class AttentionAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one customer, on all channels together and on each of which anything is known.

    A message that was on two channels is one of the ``total``. ``complete`` is false where there was too much to look at:
    then it was this at least. ``known`` is false for a customer of whom nobody has told us yet.
    """

    known: bool
    """Whether anybody has told us of this customer."""
    complete: bool
    """False where there was too much to look at: the figures are then lower bounds."""
    total: Attended
    """All channels together. A message on two channels counts once."""
    channels: Sequence[AttendedChannel]
    """One entry for each channel of which anything is known."""


class AttentionResponse(AttentionAnswer, frozen=True, kw_only=True):
    """What is known of one customer after ``since``, up to ``until``, which is now."""

    customer: str
    """The customer's id as it was asked for."""
    since: datetime
    """Where the span begins; what happened at exactly this time is no longer in it."""
    until: datetime
    """Where the span ends: now."""


class HotlineResponse(msgspec.Struct, frozen=True, kw_only=True):
    """How many of those whom the brand wrote to after ``since`` answered as persons, up to ``until``, which is now.

    ``recipients`` are the customers for whom links were minted or of whom acts were reported, ``responders`` those of them who
    proved to be there: by an act of grade A or B. ``share`` is the one by the other, null without recipients. ``complete`` is
    false where there was too much to look at: then it is of the newest.
    """

    recipients: int
    """How many customers the brand wrote to: a link was minted for them, or an act of theirs was reported."""
    responders: int
    """How many of them proved to be there, by an act of grade A or B."""
    share: float | None
    """`responders` divided by `recipients`, from 0 to 1; null without recipients."""
    complete: bool
    """False where there was too much to look at: the figures are then of the newest messages."""
    since: datetime
    """Where the span begins; what happened at exactly this time is no longer in it."""
    until: datetime
    """Where the span ends: now."""


class AttentionResult(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What is known of one item's customer, or what is wrong with the item."""

    described_by: ClassVar[tuple[type, ...]] = (ItemResult, AttentionAnswer)

    index: int
    status: int
    known: bool | msgspec.UnsetType = msgspec.UNSET
    complete: bool | msgspec.UnsetType = msgspec.UNSET
    total: Attended | msgspec.UnsetType = msgspec.UNSET
    channels: Sequence[AttendedChannel] | msgspec.UnsetType = msgspec.UNSET
    problem: ProblemDocument | msgspec.UnsetType = msgspec.UNSET


class AttentionResults(msgspec.Struct, frozen=True):
    """One result for each item, in the order of the request: what is known after ``since``, up to ``until``, which is now."""

    since: datetime
    """Where the span begins; what happened at exactly this time is no longer in it."""
    until: datetime
    """Where the span ends: now."""
    results: list[AttentionResult]
    """One result for each item, in the order of the request."""


def result_of(index: int, answer: AttentionAnswer | Problem, *, request_id: str) -> AttentionResult:
    """Say what is known of an item's customer."""
    if isinstance(answer, Problem):
        return AttentionResult(index=index, status=answer.status, problem=answer.document(request_id))
    return AttentionResult(
        index=index, status=200, known=answer.known, complete=answer.complete, total=answer.total, channels=answer.channels
    )
