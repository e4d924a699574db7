"""Redemptions on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from ledger import Redemption, RedemptionStatus
from service.customers.schemas import CustomerRef
from service.http.bodies import Body, Identifier, Points
from service.http.identifiers import redemption_id
from service.redemptions.step_values import step_values

HOLD_S = 7 * 86_400
"""How long a hold lasts unless the storefront says otherwise."""
HOLD_S_MAX = 30 * 86_400

HoldSeconds = Annotated[int, msgspec.Meta(ge=1, le=HOLD_S_MAX)]


OccurredAt = Annotated[datetime, msgspec.Meta(tz=True)]


MinorUnits = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000_000, description="Minor units: cents, pence, yen.")]
"""An amount in minor units of the brand's currency: cents, pence, yen."""


class RedemptionRequest(Body, frozen=True, omit_defaults=True):
    """Points to set aside for a purchase: exactly one of `points` and `value`.

    The customer's `id` may also be our number (`cus_`), alone. A customer without the brand's own id must be named by a
    verified name, or by our number once one of their names is verified.
    """

    customer: CustomerRef
    """The customer who pays."""
    order_ref: Identifier
    """The storefront's reference of the purchase."""
    points: Points | Literal["max"] | None = None
    """A number of points, or `max` for all the customer can spend."""
    value: MinorUnits | None = None
    """Take the points worth this amount in the brand's currency."""
    capture: bool = False
    """Spend the points at once, without a hold."""
    expires_in_s: HoldSeconds = HOLD_S
    """Seconds until an uncaptured hold is released."""
    store_id: Identifier | None = None
    """Your id of the store, for your reports."""
    terminal_id: Identifier | None = None
    """Your id of the POS terminal, for your reports."""
    occurred_at: OccurredAt | None = None
    """When the POS did this, if it could not send it at once: at most 30 days ago. It is kept and shown, and changes no
    deadline and no date in the books."""

    example: ClassVar[dict[str, Any]] = {"customer": {"id": "customer-1"}, "points": 22, "order_ref": "order-77812"}


class QuoteRequest(Body, frozen=True):
    """A redemption to quote: exactly one of `points` and `value`."""

    customer: CustomerRef
    """The customer who would pay."""
    points: Points | Literal["max"] | None = None
    """A number of points, or `max` for all the customer can spend."""
    value: MinorUnits | None = None
    """Take the points worth this amount in the brand's currency."""

    example: ClassVar[dict[str, Any]] = {"customer": {"id": "customer-1"}, "points": "max"}


class QuoteResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What a redemption would take and pay. Values are in minor units of `currency`, and null while points have no value."""

    points: int
    """Points the redemption would take."""
    value: int | None
    """What they would pay, in minor units of `currency`; null while points have no value."""
    spendable: bool
    """Whether it would be accepted now: the customer has that many points, and they are worth at least one minor unit."""
    least_points: int
    """The fewest points a redemption can take: those worth at least one minor unit. 1 while points have no value."""
    balance: int
    """All that the customer can spend now, in points."""
    balance_value: int | None
    """What the whole balance would pay, in minor units of `currency`; null while points have no value."""
    currency: str
    """The brand's currency: three letters of ISO 4217."""
    balance_seq: int
    """The last transfer included in the balance. It only grows: of two balances, the one with the larger number is newer."""


class CaptureRequest(Body, frozen=True):
    """How much of a hold to spend. Without `points`: all of it."""

    points: Points | None = None
    """How many of the held points to spend. Absent: all of them."""
    final: bool = True
    """Release what is not captured. False: keep holding it."""
    ref: Identifier | None = None
    """Your reference of this capture, such as an invoice number."""
    store_id: Identifier | None = None
    """Your id of the store, for your reports."""
    terminal_id: Identifier | None = None
    """Your id of the POS terminal, for your reports."""
    occurred_at: OccurredAt | None = None
    """When the POS did this, if it could not send it at once: not before it authorized. It is kept and shown, and changes no
    deadline and no date in the books."""

    example: ClassVar[dict[str, Any]] = {"points": 20, "ref": "invoice-5531", "store_id": "berlin-1", "terminal_id": "pos-4"}


class VoidRequest(Body, frozen=True):
    """An empty object; voiding takes no parameters."""


class RefundRequest(Body, frozen=True):
    """How many captured points to give back. Without `points`: all of them."""

    points: Points | None = None
    """How many of the captured points to give back. Absent: all of them."""
    ref: Identifier | None = None
    """Your reference of this refund, such as a credit note number."""
    store_id: Identifier | None = None
    """Your id of the store, for your reports."""
    terminal_id: Identifier | None = None
    """Your id of the POS terminal, for your reports."""

    example: ClassVar[dict[str, Any]] = {"points": 10, "ref": "credit-note-881"}


class OperationResponse(msgspec.Struct, frozen=True):
    """One operation on a redemption. `ref`, `store_id` and `terminal_id` are what the capture or refund sent."""

    type: str
    """The operation: `authorize`, `capture`, `void` or `refund`. A hold that times out is a `void`."""
    points: int
    """How many points it moved."""
    posted_at: datetime
    """When it was posted."""
    seq: int
    """The number of its first transfer in the book."""
    ref: str | None
    """The storefront's reference of it; null if not given."""
    store_id: str | None
    """The store; null if not given."""
    terminal_id: str | None
    """The POS terminal; null if not given."""
    occurred_at: datetime | None
    """When it happened, as the POS sent it with the capture or authorization; of a hold that timed out, its deadline. Null:
    when it was posted."""


class RedemptionLotResponse(msgspec.Struct, frozen=True):
    """The part of a redemption taken from points with one expiry day."""

    expires_on: date | None
    """The last day of these points, in the brand's time zone; null: they never expire."""
    account_class: str = msgspec.field(name="class")
    """Their accounting class: `engagement`, `purchase` or `third_party`."""
    held: int
    """How many of them are still held."""
    captured: int
    """How many of them were spent."""
    refunded: int
    """How many of the spent ones were given back."""


class RedemptionResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A redemption. `captured`, `released` and what is still held add up to `authorized`.

    `captured_value` and `refunded_value` are the parts of `value` for the points captured and refunded, rounded so that a
    full capture pays the full value and a full refund returns it in full.
    """

    redemption_id: str
    """The redemption's id: `red_` and 24 hexadecimal digits."""
    status: RedemptionStatus
    """Its status."""
    order_ref: str | None
    """The storefront's reference of the purchase; null if the customer was erased."""
    store_id: str | None
    """The store that authorized it; null if not given."""
    terminal_id: str | None
    """The POS terminal that authorized it; null if not given."""
    authorized: int
    """How many points were set aside."""
    captured: int
    """How many of them were spent."""
    released: int
    """How many of them were released unspent."""
    refunded: int
    """How many of the spent points were given back."""
    value: int | None
    """What the authorized points pay of the purchase, in minor units of the brand's currency; null if points had no value."""
    captured_value: int | None
    """What the captured points pay, in minor units; null as for `value`."""
    refunded_value: int | None
    """What the refunded points had paid, in minor units; null as for `value`."""
    operations: Sequence[OperationResponse]
    """Its operations, oldest first."""
    lots: Sequence[RedemptionLotResponse]
    """The points it took, by expiry day."""
    expires_at: datetime
    """When the rest of the hold is released automatically."""
    balance: int
    """What the customer can spend now, in points."""
    balance_seq: int
    """The last transfer included in the balance. It only grows: of two balances, the one with the larger number is newer."""

    @classmethod
    def of(cls, redemption: Redemption, book_id: int) -> RedemptionResponse:
        """The redemption as a storefront sees it."""
        captured_value, refunded_value = _parts_of_value(redemption)
        return cls(
            redemption_id=redemption_id(book_id, redemption.redemption),
            status=redemption.status,
            order_ref=redemption.order_ref,
            store_id=redemption.store_id,
            terminal_id=redemption.terminal_id,
            authorized=redemption.authorized,
            captured=redemption.captured,
            released=redemption.released,
            refunded=redemption.refunded,
            value=redemption.value,
            captured_value=captured_value,
            refunded_value=refunded_value,
            operations=[
                OperationResponse(
                    type=operation.verb,
                    points=operation.points,
                    posted_at=operation.posted_at,
                    seq=operation.seq,
                    ref=operation.ref,
                    store_id=operation.store_id,
                    terminal_id=operation.terminal_id,
                    occurred_at=operation.occurred_at,
                )
                for operation in redemption.operations
            ],
            lots=[
                RedemptionLotResponse(lot.expires_on, lot.account_class.name.lower(), lot.held, lot.captured, lot.refunded)
                for lot in redemption.lots
            ],
            expires_at=redemption.expires_at,
            balance=redemption.balance,
            balance_seq=redemption.balance_seq,
        )


def _parts_of_value(redemption: Redemption) -> tuple[int | None, int | None]:
    """What the captured points pay, and how much of that was refunded."""
    if redemption.value is None:
        return None, None
    worth = {"capture": 0, "refund": 0}
    for step, value in step_values(redemption):
        if step.verb in worth:
            worth[step.verb] += value or 0
    return worth["capture"], worth["refund"]
