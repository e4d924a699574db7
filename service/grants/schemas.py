"""Grants on the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from ledger import GrantOutcome
from ledger import Reconciliation as Reconciled
from service.campaigns.schemas import BudgetResponse
from service.customers.schemas import CustomerRef
from service.http.bodies import Batch, Body, Identifier, Slug
from service.http.field_docs import ItemResult
from service.http.problems import Problem, ProblemDocument

METADATA_BYTES_MAX = 2_048

Outcome = Literal["granted", "held_back", "waiting", "refused", "ignored"]
Reason = Literal[
    "cap_reached",
    "store_budget_exhausted",
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
    "amount_too_small",
    "source_limit_reached",
    "offer_claimed",
    "offer_lapsed",
]

DECIDED: Mapping[GrantOutcome, tuple[Outcome, Reason | None]] = {
    GrantOutcome.GRANTED: ("granted", None),
    GrantOutcome.HELD_BACK: ("held_back", "awaiting_approval"),
    GrantOutcome.WAITING: ("waiting", "stronger_evidence_needed"),
    GrantOutcome.CAP_REACHED: ("refused", "cap_reached"),
    GrantOutcome.GROUP_CAP_REACHED: ("refused", "store_budget_exhausted"),
    GrantOutcome.BUDGET_EXHAUSTED: ("refused", "budget_exhausted"),
    GrantOutcome.REJECTED: ("refused", "rejected"),
    GrantOutcome.OFFER_LAPSED: ("refused", "offer_lapsed"),
}
"""The ledger's outcomes as they appear on the wire."""


MetadataName = Annotated[str, msgspec.Meta(max_length=256)]


class PurchaseRequest(Body, frozen=True):
    """What was bought, for a rule that pays by amount."""

    amount_minor: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000_000)]
    """What was paid in money, in minor units of `currency`: 1999 is 19.99 euros. What was paid with points earns none, so leave
    it out."""
    currency: Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$(?!\\n)")]
    """The currency (ISO 4217): the brand's."""
    order_ref: Identifier
    """The storefront's reference of the order. Erasing the customer removes it."""

    example: ClassVar[dict[str, Any]] = {"amount_minor": 1999, "currency": "EUR", "order_ref": "order-77812"}


class GrantRequest(Body, frozen=True, omit_defaults=True):
    """An event: one thing a customer did with one message."""

    campaign: Identifier
    """The id of the campaign."""
    message_id: Identifier
    """The sender's id of the message. Together with campaign, customer and action it identifies the event, which is paid
    once."""
    customer: CustomerRef
    """The customer who acted, by at least one name. An unknown customer is created."""
    action: Slug
    """What the customer did, as a rule of the campaign names it, such as `click`."""
    channel: Slug
    """The channel, such as `email`."""
    occurred_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    """When it happened, with a time zone. Absent: now. An event reported later than the key's `lateness_hours` counts as
    that late. Refused if more than 400 days ago or 5 minutes ahead."""
    link: Identifier | None = None
    """Which link of the message, for a rule that pays once per link."""
    evidence: Literal["A", "B", "C", "D", "X"] | None = None
    """How sure you are that a person acted, from `A` to `D`; `X` is a machine. It can lower the key's grade, not raise it."""
    metadata: Annotated[dict[MetadataName, str | int | float | bool | None], msgspec.Meta(max_length=32)] | None = None
    """Anything you want to keep with the event. It is stored outside the books and can be erased.

    At most 32 members, with names of at most 256 characters, and 2,048 bytes of JSON. An action that begins with `data.` needs
    `consent_receipt_id`, `field` and `field_version`, and is paid once per customer, field and version. One that begins with
    `location.` needs `place_id`, the name of a coarse place, and takes nothing else; it is paid once per customer and place.
    Coordinates are refused.
    """
    store_id: Identifier | None = None
    """Your id of the store. Required if the campaign has a cap per `store`; kept in `metadata` as `store_id`."""
    purchase: PurchaseRequest | None = None
    """What was bought. Required if the rule pays by amount (`points_per`). The first report of an event counts."""
    ref: Identifier | None = None
    """Your own reference, echoed in the answer."""

    example: ClassVar[dict[str, Any]] = {
        "campaign": "hello-again",
        "message_id": "newsletter-0412",
        "customer": {"id": "customer-1"},
        "action": "click",
        "channel": "email",
    }


class PurchaseResponse(msgspec.Struct, frozen=True):
    """What was bought."""

    amount_minor: int
    """What was paid in money, in minor units of `currency`."""
    currency: str
    """The currency (ISO 4217)."""
    order_ref: str
    """The storefront's reference of the order."""


class GrantResponse(msgspec.Struct, frozen=True, kw_only=True):
    """An event and the decision on it."""

    grant_id: str
    """The id of the decision: `grt_` and 40 hexadecimal digits. Look it up with `GET /v1/grants/{grant_id}`."""
    campaign: str
    """The campaign's id."""
    campaign_version: int
    """The version of the campaign's terms it was judged by."""
    customer: int
    """Our number of the customer, without `cus_`."""
    action: str
    """What the customer did, such as `click`."""
    channel: str
    """The channel."""
    message_id: str | None
    """The sender's id of the message; null if erased."""
    qualifier: str
    """What lets the action count again, per the rule's `once_per`: a link's label, or a day; for an
    action that begins with `data.`, the field and its version, such as `birthday@2`. Empty: once per message."""
    evidence: str
    """The grade it was decided on: `A` (authenticated) to `D` (an open), or `X` (a machine)."""
    outcome: Outcome
    """The decision: `granted`, `held_back`, `waiting` for stronger evidence, `refused`, or `ignored` (not recorded)."""
    reason: Reason | None
    """Why it was not granted; null if it was."""
    points: int
    """Points paid or held back; otherwise 0."""
    window_at: datetime
    """The time it was judged by: when it happened, but no earlier than the key's lateness before the report."""
    decided_at: datetime
    """When it was decided."""
    due_at: datetime | None
    """When held-back points are rejected unless approved; otherwise null."""
    seq: int
    """The transfer that paid it, or the last transfer before it was refused or began to wait."""
    source: str
    """Who reported it: `api` for a key, `link` for our own link, `app` for a device of the customer's, or the id of a
    source, such as `src_1`."""
    principal: str | None
    """The id of the API key that reported it, or in whose name a source did, such as `key_12`; null for our own link."""
    metadata: dict[str, str | int | float | bool | None] | None
    """The metadata sent with the report; null if none, or erased."""
    purchase: PurchaseResponse | None
    """What was bought; null if nothing was said, or erased."""


class GrantBatch(Batch[GrantRequest]):
    """A JSON array, or NDJSON with one event a line; at most 10,000."""


class StoreLeft(msgspec.Struct, frozen=True):
    """What a store has left of its budget."""

    store_id: str
    """Your id of the store."""
    points_left: int
    """Points it can still give in the period in which the event counts."""


class OfferClaim(msgspec.Struct, frozen=True, kw_only=True):
    """Which act claimed an offer."""

    offer_group: str
    """Your id of the offer."""
    grant_id: str
    """The id of the decision that paid it."""
    message_id: str | None
    """The sender's id of the message that was answered; null if erased."""
    channel: str
    """The channel of it."""
    action: str
    """What the customer did with it."""


class GrantAnswer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The decision on a report."""

    grant_id: str | None
    """The id of the decision: `grt_` and 40 hexadecimal digits. Look it up with `GET /v1/grants/{grant_id}`. Null if nothing
    was recorded (`ignored`); of an offer that was claimed before, the decision that paid it."""
    outcome: Outcome
    """The decision: `granted`, `held_back`, `waiting` for stronger evidence, `refused`, or `ignored` (not recorded)."""
    reason: Reason | None
    """Why it was not granted; null if it was."""
    points: int
    """Points paid or held back; otherwise 0."""
    balance: int | None
    """What the customer can spend now, in points; null if nothing was recorded."""
    balance_seq: int | None
    """The last transfer included in the balance. It only grows: of two balances, the one with the larger number is newer.
    Null if nothing was recorded."""
    replayed: bool
    """Whether the event was decided before. The answer is the earlier one."""
    ref: str | None = None
    """The report's `ref`, as sent; null if it had none."""
    store: StoreLeft | msgspec.UnsetType = msgspec.UNSET
    """Only if `reason` is `store_budget_exhausted`: the store, and what it has left now."""
    offer: OfferClaim | msgspec.UnsetType = msgspec.UNSET
    """Only if `reason` is `offer_claimed`: which act claimed the offer that the message makes."""

    @property
    def status(self) -> int:
        """201 if it was decided now; 200 if it was decided before, or if there was nothing to decide."""
        return 200 if self.replayed or self.outcome == "ignored" else 201


class GrantResult(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One item's result: what a single report returns, or a problem."""

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
    offer: OfferClaim | msgspec.UnsetType = msgspec.UNSET
    problem: ProblemDocument | msgspec.UnsetType = msgspec.UNSET


def result_of(index: int, item: GrantRequest | Problem, answer: GrantAnswer | Problem, *, request_id: str) -> GrantResult:
    """Build an item's result."""
    ref = item.ref if isinstance(item, GrantRequest) and item.ref is not None else msgspec.UNSET
    if isinstance(answer, Problem):
        return GrantResult(index=index, status=answer.status, ref=ref, problem=answer.document(request_id))
    result = GrantResult(
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
    return result if answer.reason != "offer_claimed" else msgspec.structs.replace(result, offer=answer.offer)


class DecisionTotal(msgspec.Struct, frozen=True):
    """The number of events with one outcome and reason, and their points."""

    outcome: Outcome
    """The decision: `granted`, `held_back`, `waiting` or `refused`."""
    reason: Reason | None
    """Why they were not granted; null if they were."""
    events: int
    """How many events."""
    points: int
    """Points paid or held back for them."""


class DecisionsInHour(msgspec.Struct, frozen=True):
    """The number of events of one hour and channel with one outcome and reason, and their points."""

    hour: datetime
    """The hour in which the events count, by its start in UTC."""
    channel: str
    """The channel they were reported on."""
    outcome: Outcome
    """The decision: `granted`, `held_back`, `waiting` or `refused`."""
    reason: Reason | None
    """Why they were not granted; null if they were."""
    events: int
    """How many events."""
    points: int
    """Points paid or held back for them."""


class ReconciliationResponse(msgspec.Struct, frozen=True):
    """A campaign's decisions up to `seq`, counted from its events.

    The points of granted and held-back events, and `adjusted`, add up to the budget's `granted` and `clawed_back`. Ignored
    reports are not recorded, so they are not counted.
    """

    campaign: str
    """The campaign's id."""
    seq: int
    """The last transfer included."""
    at: datetime
    """When that transfer was posted."""
    budget: BudgetResponse
    """The campaign's budget at the same `seq`, in points."""
    clawed_back: int
    """Points of these grants that were taken back."""
    adjusted: int
    """Points that adjustments gave out of this budget."""
    totals: Sequence[DecisionTotal]
    """The decisions by outcome and reason."""
    hours: Sequence[DecisionsInHour]
    """The decisions by hour, channel, outcome and reason."""

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
            clawed_back=found.clawed_back,
            adjusted=found.adjusted,
            totals=[DecisionTotal(*DECIDED[outcome], *totals[outcome]) for outcome in DECIDED if outcome in totals],
            hours=[
                DecisionsInHour(each.hour, each.channel, *DECIDED[each.outcome], each.events, each.points)
                for each in found.decisions
            ],
        )


class RedecideRequest(Body, frozen=True):
    """Which refusals to decide again."""

    reasons: Annotated[
        list[Literal["cap_reached", "store_budget_exhausted", "budget_exhausted"]], msgspec.Meta(min_length=1, max_length=3)
    ] = msgspec.field(default_factory=lambda: ["cap_reached", "store_budget_exhausted", "budget_exhausted"])
    """The reasons of the refusals to decide again: one or several."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 100
    """The most refusals to decide in this call."""
    after: Annotated[str, msgspec.Meta(pattern="^[0-9]{1,18}-[0-9]{1,18}$(?!\\n)")] | None = None
    """The `next` of the previous answer. Absent: start with the oldest refusal."""

    example: ClassVar[dict[str, Any]] = {"reasons": ["budget_exhausted"], "limit": 1_000}


class RedecideResponse(msgspec.Struct, frozen=True):
    """The result for one page of refusals."""

    decided: int
    """How many refusals were decided again."""
    granted: int
    """How many of them are now granted or held back."""
    points: int
    """The points of those that are now granted or held back."""
    next: str | None
    """The `after` of the next call; null once all are decided."""
