"""Corrections on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Literal

import msgspec

from ledger import ClawBackOutcome, ClawBackResult
from service.http.bodies import Body, Identifier, Points
from service.http.identifiers import correction_id

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
