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

HOLD_S = 7 * 86_400
"""How long a hold lasts unless the storefront says otherwise."""
HOLD_S_MAX = 30 * 86_400

HoldSeconds = Annotated[int, msgspec.Meta(ge=1, le=HOLD_S_MAX)]


MinorUnits = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000_000, description="Minor units: cents, pence, yen.")]
"""An amount in minor units of the brand's currency: cents, pence, yen."""


class RedemptionRequest(Body, frozen=True, omit_defaults=True):
    """Points to set aside for a purchase: exactly one of ``points`` and ``value``.

    The ``id`` of the customer may also be our own number of her (``cus_``), without other names. A customer to whom the brand
    has given no id of its own must be named by a name of hers that is verified, or by our number once one is.
    """

    customer: CustomerRef
    """Who pays."""
    order_ref: Identifier
    """The storefront's own reference of the purchase."""
    points: Points | Literal["max"] | None = None
    """So many points, or `max`: all that the customer can spend."""
    value: MinorUnits | None = None
    """As many points as are worth this in the brand's currency."""
    capture: bool = False
    """Spend the points at once, without a hold."""
    expires_in_s: HoldSeconds = HOLD_S
    """After how many seconds a hold that was not captured gives its points back."""
    store_id: Identifier | None = None
    """Your own id of the store, for your reports."""
    terminal_id: Identifier | None = None
    """Your own id of the till, for your reports."""

    example: ClassVar[dict[str, Any]] = {"customer": {"id": "customer-1"}, "points": 22, "order_ref": "order-77812"}


class QuoteRequest(Body, frozen=True):
    """What a redemption would take and pay: exactly one of ``points`` and ``value``."""

    customer: CustomerRef
    """Who would pay."""
    points: Points | Literal["max"] | None = None
    """So many, or `max`: all that the customer can spend."""
    value: MinorUnits | None = None
    """As many points as are worth this in the brand's currency."""

    example: ClassVar[dict[str, Any]] = {"customer": {"id": "customer-1"}, "points": "max"}


class QuoteResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What a redemption of ``points`` would pay of a purchase (``value``), and whether it would be taken.

    It is not ``spendable`` if the customer has fewer points, or if so few are worth less than a minor unit: ``least_points``
    are the fewest that are worth one. ``balance`` is all that the customer can spend, worth ``balance_value``, as of
    ``balance_seq``. Values are in minor units of ``currency``, null when the brand has not said what its points are worth.
    """

    points: int
    """How many points the redemption would take."""
    value: int | None
    """What they would pay of the purchase, in minor units of `currency`; null while points have no value."""
    spendable: bool
    """Whether it would be taken now: the customer can spend so many, and they are worth something."""
    least_points: int
    """The fewest points that are worth anything: fewer are not taken. 1 while points have no value."""
    balance: int
    """All that the customer can spend now, in points."""
    balance_value: int | None
    """What the whole balance would pay, in minor units of `currency`; null while points have no value."""
    currency: str
    """The brand's currency: three letters of ISO 4217."""
    balance_seq: int
    """The last transfer of the book that the balance includes. It only grows: of two balances, the one with the larger
    number is newer."""


class CaptureRequest(Body, frozen=True):
    """What to spend of a hold. Absent ``points``: all of it."""

    points: Points | None = None
    """How many of the held points to spend. Absent: all of them."""
    final: bool = True
    """Give back what is not captured; false keeps holding it."""
    ref: Identifier | None = None
    """Your own reference of this capture, such as an invoice's number."""
    store_id: Identifier | None = None
    """Your own id of the store, for your reports."""
    terminal_id: Identifier | None = None
    """Your own id of the till, for your reports."""

    example: ClassVar[dict[str, Any]] = {"points": 20, "ref": "invoice-5531", "store_id": "berlin-1", "terminal_id": "till-4"}


class VoidRequest(Body, frozen=True):
    """Nothing needs to be said to void a hold."""


class RefundRequest(Body, frozen=True):
    """What to give back of what was captured. Absent ``points``: all of it."""

    points: Points | None = None
    """How many of the captured points to give back. Absent: all of them."""
    ref: Identifier | None = None
    """Your own reference of this refund, such as a credit note's number."""
    store_id: Identifier | None = None
    """Your own id of the store, for your reports."""
    terminal_id: Identifier | None = None
    """Your own id of the till, for your reports."""

    example: ClassVar[dict[str, Any]] = {"points": 10, "ref": "credit-note-881"}


class OperationResponse(msgspec.Struct, frozen=True):
    """One thing that happened to a redemption. The last three are what its capture or refund said of itself."""

    type: str
    """What happened: `authorize`, `capture`, `void` or `refund`. A hold that times out is a `void`."""
    points: int
    """How many points it moved."""
    posted_at: datetime
    """When it was posted."""
    seq: int
    """The number of its first transfer in the book."""
    ref: str | None
    """The storefront's own reference of it; null: it gave none."""
    store_id: str | None
    """The store it named; null: none."""
    terminal_id: str | None
    """The till it named; null: none."""


class RedemptionLotResponse(msgspec.Struct, frozen=True):
    """The part of a redemption that came from points with one last day."""

    expires_on: date | None
    """The last day of these points, in the brand's time zone; null: for ever."""
    account_class: str = msgspec.field(name="class")
    """What kind of promise they are to the accountants: `engagement`, `purchase` or `third_party`."""
    held: int
    """How many of them are still held."""
    captured: int
    """How many of them were spent."""
    refunded: int
    """How many of those came back."""


class RedemptionResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A redemption. ``captured``, ``released`` and what is still held add up to ``authorized``.

    ``value`` is what the authorized points pay of the purchase, in minor units of the brand's currency; ``captured_value`` and
    ``refunded_value`` are its parts for the points captured and refunded, rounded so that what was captured in full is paid in
    full and what was refunded in full is given back in full. ``balance`` is what the customer can spend after it, as of
    ``balance_seq``.
    """

    redemption_id: str
    """The redemption's id: `red_` and 24 hexadecimal digits."""
    status: RedemptionStatus
    """Where it stands."""
    order_ref: str
    """The storefront's own reference of the purchase."""
    store_id: str | None
    """The store that authorized it; null: none was named."""
    terminal_id: str | None
    """The till that authorized it; null: none was named."""
    authorized: int
    """How many points were set aside."""
    captured: int
    """How many of them were spent."""
    released: int
    """How many of them were given back unspent."""
    refunded: int
    """How many of the spent points were given back."""
    value: int | None
    """What the authorized points pay of the purchase, in minor units of the brand's currency; null: points had no value."""
    captured_value: int | None
    """What the captured points pay of it, in minor units; null as for `value`."""
    refunded_value: int | None
    """What went back to the customer's points of it, in minor units; null as for `value`."""
    operations: Sequence[OperationResponse]
    """All that happened to it, oldest first."""
    lots: Sequence[RedemptionLotResponse]
    """The points it took, by their last day."""
    expires_at: datetime
    """When what is still held is given back by itself."""
    balance: int
    """What the customer can spend now, in points."""
    balance_seq: int
    """The last transfer of the book that the balance includes. It only grows: of two balances, the one with the larger
    number is newer."""

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
    """What the captured points pay, rounded down, and what of that went back.

    A refund leaves what the points still kept pay, rounded down too. What it gave back is given back for good: a capture that
    comes after it changes nothing about it, so the steps are gone through in order.
    """
    if redemption.value is None:
        return None, None
    captured = refunded = captured_value = refunded_value = 0
    for operation in redemption.operations:
        if operation.verb == "capture":
            captured += operation.points
            captured_value = redemption.value * captured // redemption.authorized
        elif operation.verb == "refund":
            refunded += operation.points
            kept = redemption.value * (captured - refunded) // redemption.authorized
            refunded_value = max(refunded_value, captured_value - kept)
    return captured_value, refunded_value
