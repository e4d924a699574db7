"""Grants on the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from ledger import GrantOutcome
from ledger import Reconciliation as Reconciled
from service.campaigns.rules import CapPer, Window
from service.campaigns.schemas import BudgetResponse
from service.customers.schemas import CustomerRef
from service.http.bodies import Batch, Body, Identifier, Slug
from service.http.field_docs import ItemResult
from service.http.problems import Problem, ProblemDocument

METADATA_BYTES_MAX = 2_048

Outcome = Literal["granted", "held_back", "waiting", "refused", "ignored"]
Reason = Literal[
    "cap_reached",
    "budget_exhausted",
    "rejected",
    "awaiting_approval",
    "stronger_evidence_needed",
    "campaign_not_started",
    "campaign_over",
    "campaign_paused",
    "campaign_not_funded",
    "consent_refused",
    "no_rule",
    "machine",
]

DECIDED: Mapping[GrantOutcome, tuple[Outcome, Reason | None]] = {
    GrantOutcome.GRANTED: ("granted", None),
    GrantOutcome.HELD_BACK: ("held_back", "awaiting_approval"),
    GrantOutcome.WAITING: ("waiting", "stronger_evidence_needed"),
    GrantOutcome.CAP_REACHED: ("refused", "cap_reached"),
    GrantOutcome.BUDGET_EXHAUSTED: ("refused", "budget_exhausted"),
    GrantOutcome.REJECTED: ("refused", "rejected"),
}
"""What the ledger decides, as the wire says it."""


MetadataName = Annotated[str, msgspec.Meta(max_length=256)]


class GrantRequest(Body, frozen=True, omit_defaults=True):
    """One thing a customer did with one message."""

    campaign: Identifier
    """The id of the campaign that pays."""
    message_id: Identifier
    """The sender's own id of the message: with the customer and the action it makes the event, which is paid once."""
    customer: CustomerRef
    """Who acted, by at least one name. A customer nobody knows yet is created."""
    action: Slug
    """What the customer did, as a rule of the campaign names it, such as `click`."""
    channel: Slug
    """On which channel, such as `email`."""
    occurred_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    """When it happened, with a time zone. Absent: now. What is reported later than the key's `lateness_hours` counts
    as that late; more than 400 days ago or 5 minutes ahead is refused."""
    link: Identifier | None = None
    """Which link of the message, where a rule pays once per link."""
    evidence: Literal["A", "B", "C", "D", "X"] | None = None
    """How sure it is that a person acted. It can lower what the API key may claim, never raise it; X is a machine."""
    metadata: Annotated[dict[MetadataName, str | int | float | bool | None], msgspec.Meta(max_length=32)] | None = None
    """What else you want to keep of it: beside the books, and erasable.

    At most 32 members, with names of at most 256 characters, and 2,048 bytes of JSON."""
    ref: Identifier | None = None
    """Your own mark, echoed in the answer."""

    example: ClassVar[dict[str, Any]] = {
        "campaign": "hello-again",
        "message_id": "newsletter-0412",
        "customer": {"id": "customer-1"},
        "action": "click",
        "channel": "email",
    }


class GrantResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What was reported, and what was decided about it.

    ``customer`` is our number of the customer. ``window_at`` is the time by which it was judged, ``seq`` the transfer that paid
    it, or the last one before it was refused or began to wait. ``evidence`` is the grade it was decided on. Points that are
    held back (``held_back``) are paid when they mature, and rejected after ``due_at``; it is null for all others.
    """

    grant_id: str
    """The id of the decision: `grt_` and 40 hexadecimal digits. Look it up with `GET /v1/grants/{grant_id}`."""
    campaign: str
    """The campaign's id."""
    campaign_version: int
    """The version of the campaign that it was judged by."""
    customer: int
    """Our number of the customer, without `cus_`."""
    action: str
    """What the customer did, such as `click`."""
    channel: str
    """On which channel."""
    message_id: str | None
    """The sender's own id of the message; null once it was erased."""
    qualifier: str
    """What lets the act count again, by the rule's `once_per`: a link's label, or a day. Empty: once for the message."""
    evidence: str
    """The grade it was decided on: `A` (authenticated) to `D` (an open), or `X` (a machine)."""
    outcome: Outcome
    """What was decided: `granted`, `held_back`, `waiting` for stronger evidence, `refused`, or `ignored` (not recorded)."""
    reason: Reason | None
    """Why, unless it was granted; null then."""
    points: int
    """How many points were paid, or are held back; 0 for all others."""
    window_at: datetime
    """The time by which it was judged: when it happened, at most the reporter's lateness before it was reported."""
    decided_at: datetime
    """When it was decided."""
    due_at: datetime | None
    """When points that are held back are rejected unless somebody approves; null for all others."""
    seq: int
    """The transfer that paid it, or the last one before it was refused or began to wait."""
    source: str
    """Who reported it: `api` for a key, `link` for our own link."""
    metadata: dict[str, str | int | float | bool | None] | None
    """What was sent with the report; null: nothing, or it was erased."""


class GrantQuoteRequest(GrantRequest, frozen=True, kw_only=True):
    """One thing a customer might do: a report as ``POST /v1/grants`` takes it, of a message that may not be there yet."""

    message_id: Identifier | None = None  # pyright: ignore[reportIncompatibleVariableOverride] - see `as_report`
    """The sender's own id of the message. Absent: one that is yet to be sent, so nothing was decided on it before."""
    customer: CustomerRef
    """Who might act, by at least one name. Nobody is created."""

    example: ClassVar[dict[str, Any]] = {
        "campaign": "hello-again",
        "customer": {"id": "customer-1"},
        "action": "click",
        "channel": "email",
        "ref": "offer-7",
    }

    def as_report(self) -> GrantRequest:
        """The report of it. No message has the id that it has if it names none."""
        return msgspec.structs.replace(self, message_id=self.message_id or "")


class GrantQuoteBatch(Batch[GrantQuoteRequest]):
    """A JSON array, or NDJSON with one act a line; at most 100."""

    items_max: ClassVar[int] = 100


class CapLeft(msgspec.Struct, frozen=True, kw_only=True):
    """A cap that covers the act, and what it leaves in the period in which the act would count.

    ``cap`` is its place, from 0, among the ``caps`` of the campaign's version. ``grants_left`` and ``points_left`` are null
    where it has no such limit.
    """

    cap: int
    """The cap's place, from 0, among the `caps` of the campaign's version."""
    per: CapPer
    """Who is counted: each `customer`, or all of the `campaign` together."""
    window: Window
    """The period: a `day`, a `week` from Monday, a `month` of the brand's calendar, `ever`, or any 24 hours (`rolling_day`)."""
    action: str | None
    """The action that counts; null: all actions."""
    channel: str | None
    """The channel that counts; null: all channels."""
    max_grants: int | None
    """The most grants in one period; null: no limit."""
    max_points: int | None
    """The most points in one period; null: no limit."""
    grants_left: int | None
    """How many grants it still lets pass in the period; null: it has no such limit."""
    points_left: int | None
    """How many points it still lets pass in the period; null: it has no such limit."""


class GrantQuoteAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What an act would earn now, with the remaining caps and budget. Nothing was recorded, and nothing is promised.

    ``outcome``, ``reason``, ``points`` and ``replayed`` are what the report would be answered. ``caps`` are those that cover
    the act in the ``campaign_version`` that it would be judged by; ``budget_left`` is what the campaign can still grant, null
    for an unlimited budget; ``balance`` is what the customer can spend. All are as of the book's transfer ``as_of``, before the
    act. Where nothing would be recorded (``ignored``) there are no ``caps``, and these four are null.
    """

    outcome: Outcome
    """What the report would be answered: `granted`, `held_back`, `waiting`, `refused`, or `ignored` (it would not be
    recorded)."""
    reason: Reason | None
    """Why, unless it would be granted; null then."""
    points: int
    """How many points would be paid, or held back; 0 for all others."""
    replayed: bool
    """Whether the act on this message was decided before."""
    campaign_version: int | None
    """The version of the campaign that it would be judged by; null where nothing would be recorded."""
    caps: Sequence[CapLeft]
    """The caps that cover the act."""
    budget_left: int | None
    """What the campaign can still grant, in points; null: without limit, or nothing would be recorded."""
    balance: int | None
    """What the customer can spend, in points; null where nothing would be recorded."""
    as_of: int | None
    """The last transfer of the book that these figures include; null where nothing would be recorded."""
    ref: str | None = None
    """The item's own mark, as it was sent; null: it had none."""

    example: ClassVar[dict[str, Any]] = {
        "outcome": "granted",
        "reason": None,
        "points": 5,
        "replayed": False,
        "campaign_version": 1,
        "caps": [
            {
                "cap": 0,
                "per": "customer",
                "window": "day",
                "action": None,
                "channel": None,
                "max_grants": 10,
                "max_points": None,
                "grants_left": 7,
                "points_left": None,
            }
        ],
        "budget_left": 4_812_345,
        "balance": 120,
        "as_of": 98_120,
        "ref": "offer-7",
    }


class GrantQuoteResult(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One item's answer: what a single quote answers, or a problem. ``index`` counts every item, also the broken ones."""

    described_by: ClassVar[tuple[type, ...]] = (ItemResult, GrantQuoteAnswer)

    index: int
    status: int
    outcome: Outcome | msgspec.UnsetType = msgspec.UNSET
    reason: Reason | msgspec.UnsetType | None = msgspec.UNSET
    points: int | msgspec.UnsetType = msgspec.UNSET
    replayed: bool | msgspec.UnsetType = msgspec.UNSET
    campaign_version: int | msgspec.UnsetType | None = msgspec.UNSET
    caps: Sequence[CapLeft] | msgspec.UnsetType = msgspec.UNSET
    budget_left: int | msgspec.UnsetType | None = msgspec.UNSET
    balance: int | msgspec.UnsetType | None = msgspec.UNSET
    as_of: int | msgspec.UnsetType | None = msgspec.UNSET
    ref: str | msgspec.UnsetType = msgspec.UNSET
    problem: ProblemDocument | msgspec.UnsetType = msgspec.UNSET


class GrantQuoteResults(msgspec.Struct, frozen=True):
    """One result for each item, in the order of the request."""

    results: list[GrantQuoteResult]
    """One result for each item, in the order of the request."""

    @classmethod
    def of(
        cls, items: Sequence[GrantQuoteRequest | Problem], answers: Sequence[GrantQuoteAnswer | Problem], *, request_id: str
    ) -> GrantQuoteResults:
        """Say of each item what it would earn."""
        pairs = zip(items, answers, strict=True)
        return cls([_quote_result(index, item, answer, request_id) for index, (item, answer) in enumerate(pairs)])


def _quote_result(
    index: int, item: GrantQuoteRequest | Problem, answer: GrantQuoteAnswer | Problem, request_id: str
) -> GrantQuoteResult:
    ref = msgspec.UNSET if isinstance(item, Problem) or item.ref is None else item.ref
    if isinstance(answer, Problem):
        return GrantQuoteResult(index=index, status=answer.status, ref=ref, problem=answer.document(request_id))
    told: dict[str, Any] = {**msgspec.structs.asdict(answer), "ref": ref}
    return GrantQuoteResult(index=index, status=200, **told)


class GrantBatch(Batch[GrantRequest]):
    """A JSON array, or NDJSON with one grant a line; at most 10,000."""


class GrantAnswer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What was decided on a report.

    ``points`` is what was paid, or is held back. ``balance`` is what the customer can spend now, as of ``balance_seq``; both
    are null where nothing was recorded (``ignored``), and so is ``grant_id``.
    """

    grant_id: str | None
    """The id of the decision: `grt_` and 40 hexadecimal digits. Look it up with `GET /v1/grants/{grant_id}`. Null
    where nothing was recorded (`ignored`)."""
    outcome: Outcome
    """What was decided: `granted`, `held_back`, `waiting` for stronger evidence, `refused`, or `ignored` (not recorded)."""
    reason: Reason | None
    """Why, unless it was granted; null then."""
    points: int
    """How many points were paid, or are held back; 0 for all others."""
    balance: int | None
    """What the customer can spend now, in points; null where nothing was recorded."""
    balance_seq: int | None
    """The last transfer of the book that the balance includes. It only grows: of two balances, the one with the larger
    number is newer. Null where nothing was recorded."""
    replayed: bool
    """Whether it was decided before, and this is the same answer."""
    ref: str | None = None
    """The report's own mark, as it was sent; null: it had none."""

    @property
    def status(self) -> int:
        """201 when it was decided now, 200 when it was before or when there was nothing to decide."""
        return 200 if self.replayed or self.outcome == "ignored" else 201


class GrantResult(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One item's answer: what a single grant answers, or a problem. ``index`` counts every item, also the broken ones."""

    described_by: ClassVar[tuple[type, ...]] = (ItemResult, GrantAnswer)

    index: int
    status: int
    ref: str | msgspec.UnsetType = msgspec.UNSET
    grant_id: str | msgspec.UnsetType | None = msgspec.UNSET
    outcome: Outcome | msgspec.UnsetType = msgspec.UNSET
    reason: Reason | msgspec.UnsetType | None = msgspec.UNSET
    points: int | msgspec.UnsetType = msgspec.UNSET
    balance: int | msgspec.UnsetType | None = msgspec.UNSET
    balance_seq: int | msgspec.UnsetType | None = msgspec.UNSET
    replayed: bool | msgspec.UnsetType = msgspec.UNSET
    problem: ProblemDocument | msgspec.UnsetType = msgspec.UNSET


class GrantResults(msgspec.Struct, frozen=True):
    """One result for each item, in the order of the request."""

    results: list[GrantResult]
    """One result for each item, in the order of the request."""


def result_of(index: int, item: GrantRequest | Problem, answer: GrantAnswer | Problem, *, request_id: str) -> GrantResult:
    """Say what became of an item."""
    ref = item.ref if isinstance(item, GrantRequest) and item.ref is not None else msgspec.UNSET
    if isinstance(answer, Problem):
        return GrantResult(index=index, status=answer.status, ref=ref, problem=answer.document(request_id))
    return GrantResult(
        index=index,
        status=answer.status,
        ref=ref,
        grant_id=answer.grant_id,
        outcome=answer.outcome,
        reason=answer.reason,
        points=answer.points,
        balance=answer.balance,
        balance_seq=answer.balance_seq,
        replayed=answer.replayed,
    )


class DecisionTotal(msgspec.Struct, frozen=True):
    """How many events were decided so, and what they were paid."""

    outcome: Outcome
    """What was decided: `granted`, `held_back`, `waiting` or `refused`."""
    reason: Reason | None
    """Why, unless it was granted; null then."""
    events: int
    """How many events were decided so."""
    points: int
    """How many points they were paid, or are held back."""


class DecisionsInHour(msgspec.Struct, frozen=True):
    """How many events of one channel were decided so, and what they were paid. ``hour`` (UTC) begins when they count."""

    hour: datetime
    """The hour in which they count, by its beginning in UTC."""
    channel: str
    """The channel they were reported on."""
    outcome: Outcome
    """What was decided: `granted`, `held_back`, `waiting` or `refused`."""
    reason: Reason | None
    """Why, unless it was granted; null then."""
    events: int
    """How many events were decided so."""
    points: int
    """How many points they were paid, or are held back."""


class ReconciliationResponse(msgspec.Struct, frozen=True):
    """All that a campaign has decided up to ``seq`` of the book.

    The points of what was granted are the budget's ``granted``. What was ``ignored`` was not recorded and is not here.
    """

    campaign: str
    """The campaign's id."""
    seq: int
    """The last transfer of the book that is counted."""
    at: datetime
    """When that transfer was posted."""
    budget: BudgetResponse
    """The campaign's budget at the same `seq`, in points."""
    totals: Sequence[DecisionTotal]
    """The decisions, by outcome and reason."""
    hours: Sequence[DecisionsInHour]
    """The same by hour and channel."""

    @classmethod
    def of(cls, campaign: str, found: Reconciled) -> ReconciliationResponse:
        """Show what the ledger counted."""
        totals: dict[GrantOutcome, tuple[int, int]] = {}
        for each in found.decisions:
            events, points = totals.get(each.outcome, (0, 0))
            totals[each.outcome] = (events + each.events, points + each.points)
        return cls(
            campaign=campaign,
            seq=found.seq,
            at=found.at,
            budget=BudgetResponse(funded=found.funded, granted=found.granted, left=found.funded - found.granted),
            totals=[DecisionTotal(*DECIDED[outcome], *totals[outcome]) for outcome in DECIDED if outcome in totals],
            hours=[
                DecisionsInHour(each.hour, each.channel, *DECIDED[each.outcome], each.events, each.points)
                for each in found.decisions
            ],
        )


class RedecideRequest(Body, frozen=True):
    """Which refusals to decide anew."""

    reasons: Annotated[list[Literal["cap_reached", "budget_exhausted"]], msgspec.Meta(min_length=1, max_length=2)] = (
        msgspec.field(default_factory=lambda: ["cap_reached", "budget_exhausted"])
    )
    """Which refusals to decide again, by why they were refused: one or both."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 100
    """How many to decide at most."""
    after: Annotated[str, msgspec.Meta(pattern="^[0-9]{1,18}-[0-9]{1,18}$(?!\\n)")] | None = None
    """The `next` of the answer before; absent: begin with the oldest refusal."""

    example: ClassVar[dict[str, Any]] = {"reasons": ["budget_exhausted"], "limit": 1_000}


class RedecideResponse(msgspec.Struct, frozen=True):
    """What became of a page of refusals: so many were ``decided``, of which ``granted`` now get ``points`` together.

    Points that their rule holds back are counted too. ``next`` is the ``after`` of the next page, null when all are decided.
    """

    decided: int
    """How many refusals were decided again."""
    granted: int
    """How many of them are granted now, or held back."""
    points: int
    """How many points these get together."""
    next: str | None
    """The `after` of the next call; null when all are decided."""
