"""Corrections on the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from ledger import (
    POINTS_MAX,
    Adjustment,
    AdjustResult,
    ClawBackOutcome,
    ClawBackResult,
    PurchaseReturn,
    ReturnOutcome,
    ReturnQuote,
    ReturnResult,
)
from service.auth.principal import Principal
from service.customers.schemas import CustomerRef
from service.grants.schemas import PurchaseResponse
from service.http.bodies import Body, Identifier, Points
from service.http.identifiers import correction_id, key_id
from service.http.validation_messages import NO_CONTROL_CHARACTERS

_OUTCOMES: dict[ClawBackOutcome, Literal["clawed_back", "rejected"]] = {
    ClawBackOutcome.CLAWED_BACK: "clawed_back",
    ClawBackOutcome.REJECTED: "rejected",
}


class ClawbackRequest(Body, frozen=True):
    """How much of a grant to take back, and why. Without `points`: all of it."""

    reason: Identifier
    """Why, for your reports and the audit trail, such as `paid_by_mistake`. It is kept for ever: no personal data."""
    points: Points | None = None
    """How many of the grant's points to take back. Absent: all that were not taken back before and have not expired."""
    reference: Identifier | None = None
    """Your reference, such as the number of a complaint. Erasing the customer removes it."""

    example: ClassVar[dict[str, Any]] = {"reason": "paid_by_mistake", "reference": "ticket-4711"}


class ClawbackResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What was taken back. A shortfall is taken as soon as a void, a time-out or a refund returns points of this grant."""

    correction_id: str
    """The claw-back's own id."""
    grant_id: str
    """The grant."""
    outcome: Literal["clawed_back", "rejected"]
    """`rejected`: the points were still held back, so the customer never had them. Otherwise `clawed_back`."""
    clawed_back: int
    """How many points were taken now. They are in the campaign's budget again."""
    shortfall: int
    """How many could not be, because the customer has spent them or has set them aside for a purchase."""
    outstanding: int
    """How many points of this grant are still to be taken after all its claw-backs, once they return to the customer."""
    customer: int
    """Our number of the customer who has the grant now, without `cus_`."""
    balance: int
    """What they can spend after it, in points."""
    reason: str
    """The reason you gave."""
    reference: str | None
    """The reference you gave; null if none."""
    seq: int | None
    """The first transfer of the claw-back; null if there was nothing to take."""
    posted_at: datetime
    """When it was posted."""

    @classmethod
    def of(cls, grant_id: str, asked: ClawbackRequest, result: ClawBackResult, book_id: int) -> ClawbackResponse:
        """A claw-back that was decided, as the API shows it."""
        assert result.correction is not None
        assert result.posted_at is not None
        return cls(
            correction_id=correction_id(book_id, result.correction),
            grant_id=grant_id,
            outcome=_OUTCOMES[result.outcome],
            clawed_back=result.clawed_back,
            shortfall=result.shortfall,
            outstanding=result.outstanding,
            customer=result.customer,
            balance=result.balance,
            reason=asked.reason,
            reference=asked.reference,
            seq=result.seq,
            posted_at=result.posted_at,
        )


_RETURN_OUTCOMES: dict[ReturnOutcome, Literal["returned", "rejected"]] = {
    ReturnOutcome.RETURNED: "returned",
    ReturnOutcome.REJECTED: "rejected",
}


class ReturnedAmount(Body, frozen=True):
    """How much of a purchase comes back."""

    amount_minor: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000_000)]
    """What of the purchase's amount is returned, in minor units of `currency`. What was paid with points is no part of it."""
    currency: Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$(?!\\n)")]
    """The currency (ISO 4217): the purchase's."""


class ReturnQuoteRequest(ReturnedAmount, frozen=True):
    """A return that may be made."""

    example: ClassVar[dict[str, Any]] = {"amount_minor": 500, "currency": "EUR"}


class ReturnRequest(ReturnedAmount, frozen=True):
    """A part of a purchase, or all of it, that is returned."""

    reference: Identifier
    """Your reference of the return, which makes it happen once for each purchase. Erasing the customer removes it."""
    reason: Identifier | None = None
    """Why, for your reports. It is kept for ever: no personal data. Absent: `returned`."""
    withhold: bool = False
    """Whether you withhold `withheld_minor` of the answer from the refund. The customer has paid for these points then, so they
    are not taken when they return."""

    example: ClassVar[dict[str, Any]] = {"reference": "return-551", "amount_minor": 500, "currency": "EUR"}


class ReturnQuoteResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What a return would do now."""

    grant_id: str
    """The purchase's grant."""
    outcome: Literal["returned", "rejected"]
    """`rejected`: the points are still held back, and would be rejected. Otherwise `returned`."""
    points: int
    """How many points what is returned has earned."""
    clawed_back: int
    """How many of them would be taken from the customer."""
    shortfall: int
    """How many could not be, because the customer has spent them or has set them aside for a purchase."""
    withhold_minor: int | None
    """What to withhold from the refund for the shortfall, in minor units of `currency`; null: points have no value. What points
    are worth is rounded down, once for all returns of a purchase, and it is no more than is returned."""
    currency: str
    """The currency (ISO 4217)."""
    left_minor: int
    """What of the purchase was not returned before, in minor units of `currency`."""

    @classmethod
    def of(cls, grant_id: str, bought: PurchaseResponse, found: ReturnQuote, *, has_value: bool) -> ReturnQuoteResponse:
        """A quote as the API shows it."""
        return cls(
            grant_id=grant_id,
            outcome=_RETURN_OUTCOMES[found.outcome],
            points=found.points,
            clawed_back=found.clawed_back,
            shortfall=found.shortfall,
            withhold_minor=found.withheld_minor if has_value else None,
            currency=bought.currency,
            left_minor=bought.amount_minor - found.returned,
        )


class ReturnResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What a return took back of what its purchase earned."""

    correction_id: str
    """The return's own id."""
    grant_id: str
    """The purchase's grant."""
    outcome: Literal["returned", "rejected"]
    """`rejected`: the points were still held back, so the customer never had them. Otherwise `returned`."""
    amount_minor: int
    """What was returned, in minor units of `currency`."""
    currency: str
    """The currency (ISO 4217)."""
    left_minor: int
    """What of the purchase is not returned yet, in minor units of `currency`."""
    points: int
    """How many points what is returned has earned. What of them is neither taken, short nor withheld had expired, or had been
    taken back before."""
    clawed_back: int
    """How many of them were taken now. They are in the campaign's budget again."""
    shortfall: int
    """How many are to be taken as soon as a void, a time-out or a refund returns them to the customer."""
    outstanding: int
    """How many points of the grant are still to be taken after all its claw-backs and returns, once they return."""
    withheld_points: int
    """For how many the customer has paid with what was withheld from the refund."""
    withheld_minor: int
    """What to withhold from the refund, in minor units of `currency`; 0 if `withhold` was not requested."""
    customer: int
    """Our number of the customer who has the grant now, without `cus_`."""
    balance: int
    """What they can spend after it, in points."""
    reason: str
    """The reason you gave, or `returned`."""
    reference: str
    """Your reference."""
    seq: int | None
    """The first transfer of the return; null if no points were taken."""
    posted_at: datetime
    """When it was posted."""

    @classmethod
    def of(cls, grant_id: str, asked: PurchaseReturn, currency: str, result: ReturnResult) -> ReturnResponse:
        """A return that was just made, or made before under the same reference."""
        assert result.correction is not None
        assert result.posted_at is not None
        return cls(
            correction_id=correction_id(asked.book.book_id, result.correction),
            grant_id=grant_id,
            outcome=_RETURN_OUTCOMES[result.outcome],
            amount_minor=asked.amount,
            currency=currency,
            left_minor=asked.bought - result.returned,
            points=result.points,
            clawed_back=result.clawed_back,
            shortfall=result.shortfall,
            outstanding=result.outstanding,
            withheld_points=result.withheld_points,
            withheld_minor=result.withheld_minor,
            customer=result.customer,
            balance=result.balance,
            reason=asked.reason,
            reference=asked.reference,
            seq=result.seq,
            posted_at=result.posted_at,
        )


ReasonCode = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[a-z][a-z0-9_]{0,63}$(?!\n)",
        description="Lower-case letters, digits and `_`, beginning with a letter; at most 64.",
    ),
]
Note = Annotated[str, msgspec.Meta(min_length=1, max_length=1_000, pattern=NO_CONTROL_CHARACTERS)]
SignedPoints = Annotated[int, msgspec.Meta(ge=-POINTS_MAX, le=POINTS_MAX, description="Whole points, not 0.")]


class ReasonRequest(Body, frozen=True):
    """A reason for adjustments."""

    name: Identifier
    """What people call it."""
    campaign: Identifier | None = None
    """The campaign whose budget pays the points given for this reason, in its class and with its expiry. Null: the reason only
    takes points.
    """
    withdrawn: bool = False
    """Whether nothing can be adjusted for this reason any more."""

    example: ClassVar[dict[str, Any]] = {"name": "Goodwill", "campaign": "hello-again"}


class ReasonResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A reason for adjustments."""

    code: str
    """Its code, by which adjustments name it."""
    name: str
    """What people call it."""
    campaign: str | None
    """The campaign whose budget pays the points given for it; null if it only takes points."""
    withdrawn: bool
    """Whether nothing can be adjusted for this reason any more."""


class ReasonsResponse(msgspec.Struct, frozen=True):
    """The brand's reasons for adjustments."""

    items: Sequence[ReasonResponse]
    """All of them, by code."""


class AdjustmentRequest(Body, frozen=True, omit_defaults=True):
    """Points to give to a customer, or to take from them."""

    customer: CustomerRef
    """The customer."""
    points: SignedPoints
    """How many points to give; below 0, how many to take. All or none."""
    reason: ReasonCode
    """A reason that the brand has declared (`PUT /v1/adjustment-reasons/{reason}`)."""
    expires_on: date | None = None
    """The last day on which points that are given can be spent. Absent: as the terms of the campaign say whose budget pays."""
    reference: Identifier | None = None
    """Your reference, such as the number of a complaint. Erasing the customer removes it."""
    note: Note | None = None
    """What somebody wants to say about it. Erasing the customer removes it."""

    example: ClassVar[dict[str, Any]] = {
        "customer": {"id": "customer-1"},
        "points": 50,
        "reason": "goodwill",
        "reference": "ticket-4711",
    }


class AdjustedResponse(msgspec.Struct, frozen=True, kw_only=True):
    """An adjustment that was made."""

    adjustment_id: str
    """The adjustment's id."""
    customer: int
    """Our number of the customer who has the points now, without `cus_`."""
    points: int
    """How many points they were given; below 0, how many they lost."""
    reason: str
    """The code of its reason."""
    campaign: str | None
    """The campaign whose budget paid; null if points were taken."""
    budget_left: int | None
    """What that budget has left, in points; null if points were taken."""
    balance: int
    """What the customer can spend after it, in points."""
    reference: str | None
    """The reference you gave; null if none."""
    note: str | None
    """What was said about it; null if nothing."""
    made_by: str
    """The API key that asked for it: `key_` and a number."""
    seq: int
    """Its first transfer."""
    posted_at: datetime
    """When it was posted."""

    @classmethod
    def of(
        cls, result: AdjustResult, wanted: AdjustmentRequest, campaign: str | None, principal: Principal
    ) -> AdjustedResponse:
        """An adjustment that was just made, or made before under the same key."""
        assert result.correction is not None
        assert result.seq is not None
        assert result.posted_at is not None
        return cls(
            adjustment_id=correction_id(principal.brand.book.book_id, result.correction),
            customer=result.customer,
            points=wanted.points,
            reason=wanted.reason,
            campaign=campaign if wanted.points > 0 else None,
            budget_left=result.budget_left,
            balance=result.balance,
            reference=wanted.reference,
            note=wanted.note,
            made_by=key_id(principal.api_key_id),
            seq=result.seq,
            posted_at=result.posted_at,
        )


class AdjustmentResponse(msgspec.Struct, frozen=True, kw_only=True):
    """An adjustment."""

    adjustment_id: str
    """The adjustment's id."""
    customer: int
    """Our number of the customer it was made for, without `cus_`."""
    points: int
    """How many points they were given; below 0, how many they lost."""
    reason: str
    """The code of its reason."""
    campaign: str | None
    """The campaign whose budget paid; null if points were taken."""
    reference: str | None
    """The reference given with it; null if none, or erased."""
    note: str | None
    """What was said about it; null if nothing, or erased."""
    made_by: str
    """The API key that asked for it: `key_` and a number."""
    correction: str | None
    """The correction of many (`crj_`) that it belongs to, known a moment after it was posted; null if none."""
    seq: int
    """Its first transfer."""
    posted_at: datetime
    """When it was posted."""

    @classmethod
    def of(
        cls, made: Adjustment, book_id: int, campaigns: Mapping[int, str], corrections: Mapping[int, str]
    ) -> AdjustmentResponse:
        """An adjustment as the API shows it; ``campaigns`` names campaigns by number, ``corrections`` corrections of many by
        their first transfers.
        """
        no = made.campaign_no
        return cls(
            adjustment_id=correction_id(book_id, made.number),
            customer=made.customer,
            points=made.points,
            reason=made.reason,
            campaign=None if no is None else campaigns.get(no, str(no)),
            reference=made.reference,
            note=made.note,
            made_by=key_id(made.principal),
            correction=corrections.get(made.seq),
            seq=made.seq,
            posted_at=made.posted_at,
        )
