"""Attention on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

import msgspec

from service.http.field_docs import ItemResult
from service.http.problems import Problem, ProblemDocument


class Attended(msgspec.Struct, frozen=True, kw_only=True):
    """Messages sent to a customer, as far as we know, and the events rewarded on them."""

    messages: int
    """Messages in which a link was minted for them, that were registered, or on which an event of theirs was reported."""
    last_message_at: datetime | None
    """When we first heard of the latest of these messages; null if there is none."""
    rewards: int
    """How many of the customer's events were rewarded."""
    points: int
    """Points these rewards gave in total."""
    last_rewarded_at: datetime | None
    """When the latest rewarded event happened; null if there is none."""


class AttendedChannel(Attended, frozen=True, kw_only=True):
    """The same figures for one channel."""

    channel: str
    """The channel, such as `email`."""


class AttentionAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A customer's figures, in total and per channel."""

    known: bool
    """Whether any event, link or name of this customer has reached us."""
    complete: bool
    """False if there was too much data to read: the figures are then lower bounds."""
    total: Attended
    """All channels together. A message sent on two channels counts once."""
    channels: Sequence[AttendedChannel]
    """One entry per channel with any data."""


class AttentionResponse(AttentionAnswer, frozen=True, kw_only=True):
    """A customer's figures for the window from `since` (exclusive) to `until` (now)."""

    customer: str
    """The customer's id as given in the request."""
    since: datetime
    """Start of the window, exclusive."""
    until: datetime
    """End of the window: now."""


class HotlineResponse(msgspec.Struct, frozen=True, kw_only=True):
    """How many recipients responded as humans, in the window from `since` (exclusive) to `until` (now)."""

    recipients: int
    """Customers the brand wrote to: with a link or a registered message, or an event of theirs was reported."""
    responders: int
    """Recipients with an event of grade A or B."""
    share: float | None
    """`responders` divided by `recipients`, from 0 to 1; null without recipients."""
    complete: bool
    """False if there was too much data to read: the figures then cover only the newest messages."""
    since: datetime
    """Start of the window, exclusive."""
    until: datetime
    """End of the window: now."""


class AttentionResult(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One item's figures, or its problem."""

    described_by: ClassVar[tuple[type, ...]] = (ItemResult, AttentionAnswer)

    index: int
    status: int
    known: bool | msgspec.UnsetType = msgspec.UNSET
    complete: bool | msgspec.UnsetType = msgspec.UNSET
    total: Attended | msgspec.UnsetType = msgspec.UNSET
    channels: Sequence[AttendedChannel] | msgspec.UnsetType = msgspec.UNSET
    problem: ProblemDocument | msgspec.UnsetType = msgspec.UNSET


class AttentionResults(msgspec.Struct, frozen=True):
    """One result per item, in request order, for the window from `since` (exclusive) to `until` (now)."""

    since: datetime
    """Start of the window, exclusive."""
    until: datetime
    """End of the window: now."""
    results: list[AttentionResult]
    """One result per item, in request order."""


def result_of(index: int, answer: AttentionAnswer | Problem, *, request_id: str) -> AttentionResult:
    """Build an item's result."""
    if isinstance(answer, Problem):
        return AttentionResult(index=index, status=answer.status, problem=answer.document(request_id))
    return AttentionResult(
        index=index, status=200, known=answer.known, complete=answer.complete, total=answer.total, channels=answer.channels
    )
