"""Corrections of many on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from ledger import POINTS_MAX
from service.campaigns.schemas import Instant
from service.corrections.schemas import ReasonCode, SignedPoints
from service.customers.schemas import CustomerRef
from service.http.bodies import Batch, Body, Identifier, Slug

LINES_MAX = 100_000

Status = Literal["receiving", "gathering", "checking", "checked", "running", "cancelling", "done", "cancelled", "failed"]
LineState = Literal["new", "checked", "refused", "skipped", "done", "failed"]
LineKind = Literal["clawback", "adjustment"]
FewPoints = Annotated[int, msgspec.Meta(ge=0, le=POINTS_MAX, description="Whole points.")]
CampaignVersion = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]


class GrantSelection(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which of a campaign's grants are corrected: all, or those that are as each of these says."""

    should_be: int | None = None
    """What each should have been, in points; null: nothing, and what is left of it is taken back."""
    action: str | None = None
    """Only those for this action; null: for any."""
    channel: str | None = None
    """Only those on this channel; null: on any."""
    version: int | None = None
    """Only those by this version of the campaign; null: by any."""
    from_: datetime | None = msgspec.field(default=None, name="from")
    """Only those that were decided at this time or later; null: from the beginning."""
    to: datetime | None = None
    """Only those that were decided before this time; null: up to when the first of them were gathered."""


class CorrectionRequest(Body, frozen=True, omit_defaults=True):
    """A correction of a campaign's grants. It is checked first; nothing is carried out before you start it."""

    campaign: Identifier
    """The campaign whose grants are corrected."""
    reason: ReasonCode
    """A reason that the brand has declared (`PUT /v1/adjustment-reasons/{reason}`); its campaign's budget pays what is given.
    """
    reference: Identifier | None = None
    """Your reference, such as the number of an incident. It is kept for ever: no personal data."""
    should_be: FewPoints | None = None
    """What each grant should have been. What was paid too much is taken back, what was paid too little is given as an
    adjustment; what claw-backs and corrections have changed before counts. Absent: what is left of each is taken back.
    """
    action: Slug | None = None
    """Only grants for this action."""
    channel: Slug | None = None
    """Only grants on this channel. A rule is an action and a channel."""
    version: CampaignVersion | None = None
    """Only grants by this version of the campaign's terms."""
    from_: Instant | None = msgspec.field(default=None, name="from")
    """Only grants that were decided at this time or later."""
    to: Instant | None = None
    """Only grants that were decided before this time."""

    example: ClassVar[dict[str, Any]] = {
        "campaign": "hello-again",
        "reason": "goodwill",
        "reference": "incident-7",
        "should_be": 5,
        "action": "click",
        "from": "2026-11-29T08:00:00Z",
        "to": "2026-11-29T12:00:00Z",
    }

    def selection(self) -> GrantSelection:
        """Which grants it is about."""
        return GrantSelection(**{name: getattr(self, name) for name in GrantSelection.__struct_fields__})


class LineRequest(Body, frozen=True, omit_defaults=True):
    """One correction of a list: a claw-back of a grant, or an adjustment of a customer."""

    grant_id: str | None = None
    """The grant to take back. Not together with `customer`."""
    customer: CustomerRef | None = None
    """The customer to give points to, or to take some from. Not together with `grant_id`."""
    points: SignedPoints | None = None
    """How many points: of a grant, to take back (absent: what is left of it); of a customer, to give, or below 0 to take."""

    example: ClassVar[dict[str, Any]] = {"customer": {"id": "customer-1"}, "points": 50}


class LineBatch(Batch[LineRequest]):
    """The lines of a list."""

    items_max = LINES_MAX
    csv_columns = ("grant_id", "customer.id", "customer.email", "customer.phone", "points")
    csv_numbers = ("points",)


class Points(msgspec.Struct, frozen=True):
    """Points that a correction moves."""

    taken: int
    """Taken from customers: by claw-backs, and by adjustments below 0."""
    given: int
    """Given to customers by adjustments."""
    shortfall: int
    """Of what claw-backs ask for, what customers have spent or set aside: it is taken once it returns to them."""


class Made(msgspec.Struct, frozen=True):
    """What has been carried out. It stays, also of a job that is cancelled."""

    lines: int
    """How many lines were carried out."""
    failed: int
    """How many were refused when their turn came, because something has changed since the check."""
    points: Points
    """What they moved."""


class CorrectionJobResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A correction of many."""

    id: str
    """Its id, `crj_` and a number. It is the `reference` of each of its claw-backs and adjustments."""
    status: Status
    """`receiving` or `gathering` its lines, `checking` them; `checked`: you can start it, unless `refused` lines are wrong;
    `running`, and then `done`; `cancelling`, and then `cancelled`; `failed`: see `error`.
    """
    reason: str
    """The code of its reason."""
    reference: str | None
    """The reference you gave; null if none."""
    campaign: str | None
    """The campaign whose grants it corrects; null: those that a list names."""
    grants: GrantSelection | None
    """Which of the campaign's grants; null for a list."""
    lines: int
    """How many lines it has."""
    checked: int
    """How many of them are checked."""
    refused: int
    """How many are wrong: `GET .../lines?state=refused` says why. It can be started only if there is none."""
    skipped: int
    """How many have nothing to do."""
    customers: int
    """How many customers it is about, once it is checked."""
    expected: Points
    """What it would move, as of the check."""
    lines_sha256: str | None
    """The SHA-256 of what is to be carried out, line by line, which an approval binds; null until it is checked."""
    approval: str | None
    """The approval that it waits for, or has waited for; null: it did not have to."""
    made: Made
    """What has been carried out by now."""
    error: str | None
    """Why it has failed; null if it has not."""
    ordered_by: str
    """The API key that ordered it."""
    ordered_at: datetime
    """When it was ordered."""
    checked_at: datetime | None
    """When the check was over."""
    started_at: datetime | None
    """When it was started."""
    ended_at: datetime | None
    """When it was done, cancelled or failed."""


class CorrectionLineResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a correction of many."""

    line: int
    """Its number, from 1."""
    kind: LineKind | None
    """`clawback` or `adjustment`; null: it could not be read."""
    grant_id: str | None
    """The grant; null: it names a customer."""
    customer: int | None
    """Our number of the customer, without `cus_`; null: not known."""
    points: int | None
    """How many points: below 0 an adjustment takes them; null: what is left of the grant."""
    state: LineState
    """`new`: not checked yet; `checked`: to be done; `refused`: wrong; `skipped`: nothing to do; `done`; `failed`: refused when
    its turn came."""
    expected: int | None
    """How many points it would move at once, as of the check; null before."""
    expected_shortfall: int | None
    """How many points would be taken once they return, as of the check; null before."""
    moved: int | None
    """How many points it has moved; null until it is done."""
    shortfall: int | None
    """How many points are taken once they return; null until it is done."""
    correction_id: str | None
    """The id of its claw-back or adjustment; null until it is done."""
    seq: int | None
    """Its first transfer; null if it moved none."""
    code: str | None
    """Why it is refused or has failed, as one of the codes of `/docs/errors`; otherwise null."""
    detail: str | None
    """What is wrong, or why there is nothing to do, for people; otherwise null."""


class StartRequest(Body, frozen=True):
    """What another person approves: the job, and by its hash every line of it."""

    correction: str
    """The job's id."""
    reason: str
    """The code of its reason."""
    campaign: str | None
    """The campaign whose grants are corrected; null: those that a list names."""
    lines: int
    """How many lines are to be carried out."""
    customers: int
    """How many customers they are about."""
    taken: int
    """How many points they take at once."""
    given: int
    """How many points they give."""
    shortfall: int
    """How many points are taken once they return to customers."""
    lines_sha256: str
    """The SHA-256 of what is to be carried out, line by line."""

    example: ClassVar[dict[str, Any]] = {
        "correction": "crj_7",
        "reason": "goodwill",
        "campaign": "hello-again",
        "lines": 40_000,
        "customers": 39_870,
        "taken": 1_800_000,
        "given": 0,
        "shortfall": 3_105,
        "lines_sha256": "5d" * 32,
    }
