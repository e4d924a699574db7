"""Consents on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from service.customers.schemas import CustomerRef
from service.http.bodies import Batch, Body, Slug
from service.http.field_docs import ItemResult
from service.http.problems import Problem, ProblemDocument
from service.http.validation_messages import NO_CONTROL_CHARACTERS

Status = Literal["granted", "refused"]

Instant = Annotated[datetime, msgspec.Meta(tz=True)]

Source = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=256,
        pattern=NO_CONTROL_CHARACTERS,
        description="Where it was said: a form, a call, a list. At most 256 bytes of UTF-8. Kept as it is: no names in it.",
        extra={"bytes_max": 256},
    ),
]


class ConsentRequest(Body, frozen=True):
    """Whether the customer may be contacted on the channel."""

    status: Status
    """`granted`: they may be contacted on the channel. `refused`: they may not."""
    source: Source
    at: Instant | None = None
    """When the customer said so. Absent: now."""

    example: ClassVar[dict[str, Any]] = {"status": "granted", "source": "sign-up form", "at": "2026-02-02T10:15:00Z"}


class ConsentItem(Body, frozen=True):
    """Whether one customer may be contacted on one channel. Nobody need know her yet: she is honoured once she is reported."""

    customer: CustomerRef
    """Who said it, by at least one name."""
    channel: Slug
    """The channel, such as `email`; `rewards` stands for all of them."""
    status: Status
    """`granted`: they may be contacted on the channel. `refused`: they may not."""
    source: Source
    at: Instant | None = None
    """When the customer said so. Absent: now."""

    example: ClassVar[dict[str, Any]] = {
        "customer": {"phone": "+4930901820"},
        "channel": "voice",
        "status": "refused",
        "source": "national do-not-call list 2026-11",
    }


class ConsentBatch(Batch[ConsentItem]):
    """A JSON array, or NDJSON with one statement a line; at most 10,000."""


class ConsentResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What was said of a channel, when and where, and when and by which key we were told: ``customer`` is she herself.

    ``said_of`` is our number of the customer it was said of: after a merge it may be one that was merged into her.
    """

    channel: str
    """The channel, such as `email`; `rewards` stands for all of them."""
    status: Status
    """`granted`: they may be contacted on it. `refused`: they may not."""
    at: datetime
    """When the customer said so."""
    source: str
    """Where it was said, as whoever told us wrote it."""
    recorded_at: datetime
    """When we were told."""
    recorded_by: str
    """Who told us: `customer` on their own page, else the id of the key."""
    link_made_by: str | None
    """The id of the key that made the link by which the customer came to that page; null where it is not known, or no link."""
    said_of: str
    """Our number of the customer it was said of (`cus_`); after a merge this may be one that was merged."""


class ConsentAnswer(msgspec.Struct, frozen=True):
    """``recorded`` is whether it is new in the history. ``current`` is what holds for the channel now: what was said last.

    An older statement that comes late is recorded and does not change ``current``.
    """

    recorded: bool
    """Whether the statement is new in the history."""
    current: ConsentResponse
    """What holds for the channel now: what was said last."""


class ConsentResult(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What became of one item: what a single call answers, or a problem. ``index`` counts every item, also the broken ones."""

    described_by: ClassVar[tuple[type, ...]] = (ItemResult, ConsentAnswer)

    index: int
    status: int
    recorded: bool | msgspec.UnsetType = msgspec.UNSET
    current: ConsentResponse | msgspec.UnsetType = msgspec.UNSET
    problem: ProblemDocument | msgspec.UnsetType = msgspec.UNSET


class ConsentResults(msgspec.Struct, frozen=True):
    """One result for each item, in the order of the request."""

    results: list[ConsentResult]
    """One result for each item, in the order of the request."""


def result_of(index: int, answer: ConsentAnswer | Problem, *, request_id: str) -> ConsentResult:
    """Say what became of an item."""
    if isinstance(answer, Problem):
        return ConsentResult(index=index, status=answer.status, problem=answer.document(request_id))
    return ConsentResult(index=index, status=200, recorded=answer.recorded, current=answer.current)


class ConsentsResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for each channel of which anything was said, and a page of the history, latest first; ``next`` as of any list.

    A channel of which nothing was said is not refused. ``known`` is false for a customer of whom nobody has told us yet.
    """

    customer: str
    """The customer's id as it was asked for."""
    known: bool
    """Whether anybody has told us of this customer."""
    current: Sequence[ConsentResponse]
    """What holds now, for each channel of which anything was said."""
    history: Sequence[ConsentResponse]
    """All that was said, latest first: a page of it."""
    next: str | None
    """The `after` of the next page; null on the last."""
