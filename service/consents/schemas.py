"""Consents on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from service.consents.queries import RefusalReason
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
        description="Where it was said: a form, a call, a list. At most 256 bytes of UTF-8, stored as sent: leave out names.",
        extra={"bytes_max": 256},
    ),
]


class ConsentRequest(Body, frozen=True):
    """Whether the customer may be contacted on the channel."""

    status: Status
    """`granted`: they may be contacted on the channel. `refused`: they may not."""
    source: Source
    at: Instant | None = None
    """When the customer decided this. Absent: now."""
    reason: RefusalReason | None = None
    """Why they refuse: a `complaint` (they reported spam), or a `stop` (they answered STOP). Either rejects for good the points
    held back for what they did on the channel so far. Absent: these points stay held back."""

    example: ClassVar[dict[str, Any]] = {"status": "granted", "source": "sign-up form", "at": "2026-02-02T10:15:00Z"}


class ConsentItem(Body, frozen=True):
    """One customer's consent on one channel. The customer need not be known yet."""

    customer: CustomerRef
    """The customer, by at least one name."""
    channel: Slug
    """The channel, such as `email`; `rewards` stands for all channels."""
    status: Status
    """`granted`: they may be contacted on the channel. `refused`: they may not."""
    source: Source
    at: Instant | None = None
    """When the customer decided this. Absent: now."""
    reason: RefusalReason | None = None
    """Why they refuse: a `complaint` (they reported spam), or a `stop` (they answered STOP). Either rejects for good the points
    held back for what they did on the channel so far. Absent: these points stay held back."""

    example: ClassVar[dict[str, Any]] = {
        "customer": {"phone": "+4930901820"},
        "channel": "voice",
        "status": "refused",
        "source": "national do-not-call list 2026-11",
    }


class ConsentBatch(Batch[ConsentItem]):
    """A JSON array, or NDJSON with one item a line; at most 10,000."""


class ConsentResponse(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a customer's consent history."""

    channel: str
    """The channel, such as `email`; `rewards` stands for all channels."""
    status: Status
    """`granted`: they may be contacted on the channel. `refused`: they may not."""
    at: datetime
    """When the customer decided this."""
    source: str
    """Where the customer said so, as reported to us."""
    recorded_at: datetime
    """When we recorded it."""
    recorded_by: str
    """Who recorded it: `customer` on their own page, otherwise the id of the key."""
    link_made_by: str | None
    """The id of the key that made the link to the customer's page; null if unknown, or if there was no link."""
    reason: RefusalReason | None
    """Why they refuse: a `complaint` or a `stop`; null for any other decision."""
    said_of: str
    """Our number of the customer it was recorded for (`cus_`). After a merge this may be the merged customer."""


class ConsentAnswer(msgspec.Struct, frozen=True):
    """The result of setting consent. An older statement that arrives late is recorded but does not change `current`."""

    recorded: bool
    """Whether this added an entry to the history."""
    current: ConsentResponse
    """What applies to the channel now: the latest statement."""


class ConsentResult(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One item's result: what the single call returns, or a problem."""

    described_by: ClassVar[tuple[type, ...]] = (ItemResult, ConsentAnswer)

    index: int
    status: int
    recorded: bool | msgspec.UnsetType = msgspec.UNSET
    current: ConsentResponse | msgspec.UnsetType = msgspec.UNSET
    problem: ProblemDocument | msgspec.UnsetType = msgspec.UNSET


def result_of(index: int, answer: ConsentAnswer | Problem, request_id: str) -> ConsentResult:
    """Build an item's result."""
    if isinstance(answer, Problem):
        return ConsentResult(index=index, status=answer.status, problem=answer.document(request_id))
    return ConsentResult(index=index, status=200, recorded=answer.recorded, current=answer.current)


class ConsentsResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A customer's consent per channel, and a page of its history. A channel without an entry is not refused."""

    customer: str
    """The customer's id as given in the request."""
    known: bool
    """Whether any event, link or name of this customer has reached us."""
    current: Sequence[ConsentResponse]
    """What applies now, for each channel that has an entry."""
    history: Sequence[ConsentResponse]
    """A page of the history, latest first."""
    next: str | None
    """The `after` of the next page; null on the last page."""
