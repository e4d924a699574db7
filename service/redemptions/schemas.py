"""Redemptions on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from ledger import Redemption, RedemptionStatus
from service.bodies import Body, Identifier, Points
from service.customers.schemas import CustomerRef
from service.identifiers import redemption_id

HOLD_S = 7 * 86_400
"""How long a hold lasts unless the storefront says otherwise."""
HOLD_S_MAX = 30 * 86_400

HoldSeconds = Annotated[int, msgspec.Meta(ge=1, le=HOLD_S_MAX)]


MinorUnits = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000_000)]
"""An amount in minor units of the brand's currency: cents, pence, yen."""


class RedemptionRequest(Body, frozen=True):
    """Points to set aside for a purchase: exactly one of ``points`` and ``value``.

    The ``id`` of the customer may also be our own number of her (``cus_``), without other names. A customer to whom the brand
    has given no id of its own must be named by a name of hers that is verified, or by our number once one is.
    """

    customer: CustomerRef
    order_ref: Identifier
    """The storefront's own reference of the purchase."""
    points: Points | Literal["max"] | None = None
    """So many, or all that the customer can spend."""
    value: MinorUnits | None = None
    """As many as are worth this, in minor units of the brand's currency."""
    capture: bool = False
    """Spend the points at once, without a hold."""
    expires_in_s: HoldSeconds = HOLD_S
    """After so many seconds a hold that was not captured gives its points back."""
    store_id: Identifier | None = None
    terminal_id: Identifier | None = None

    example: ClassVar[dict[str, Any]] = {"customer": {"id": "C-1001"}, "points": 500, "order_ref": "order-77812"}


class QuoteRequest(Body, frozen=True):
    """What a redemption would take and pay: exactly one of ``points`` and ``value``."""

    customer: CustomerRef
    points: Points | Literal["max"] | None = None
    value: MinorUnits | None = None

    example: ClassVar[dict[str, Any]] = {"customer": {"id": "C-1001"}, "points": "max"}


class QuoteResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What a redemption of ``points`` would pay of a purchase (``value``), and whether she can spend so many.

    ``balance`` is all that the customer can spend, worth ``balance_value``, as of ``balance_seq``. Values are in minor units of
    ``currency``, null when the brand has not said what its points are worth.
    """

    points: int
    value: int | None
    spendable: bool
    balance: int
    balance_value: int | None
    currency: str
    balance_seq: int


class CaptureRequest(Body, frozen=True):
    """What to spend of a hold. Absent ``points``: all of it."""

    points: Points | None = None
    final: bool = True
    """Give back what is not captured; false keeps holding it."""
    ref: Identifier | None = None
    """Your own reference of this capture, such as an invoice's number."""
    store_id: Identifier | None = None
    terminal_id: Identifier | None = None

    example: ClassVar[dict[str, Any]] = {"points": 400, "ref": "invoice-5531", "store_id": "berlin-1", "terminal_id": "till-4"}


class VoidRequest(Body, frozen=True):
    """Nothing needs to be said to void a hold."""


class RefundRequest(Body, frozen=True):
    """What to give back of what was captured. Absent ``points``: all of it."""

    points: Points | None = None
    ref: Identifier | None = None
    """Your own reference of this refund, such as a credit note's number."""
    store_id: Identifier | None = None
    terminal_id: Identifier | None = None

    example: ClassVar[dict[str, Any]] = {"points": 150, "ref": "credit-note-881"}


class OperationResponse(msgspec.Struct, frozen=True):
    """One thing that happened to a redemption. The last three are what its capture or refund said of itself."""

    type: str
    points: int
    posted_at: datetime
    seq: int
    ref: str | None
    store_id: str | None
    terminal_id: str | None


class RedemptionLotResponse(msgspec.Struct, frozen=True):
    """The part of a redemption that came from points with one last day."""

    expires_on: date | None
    account_class: str = msgspec.field(name="class")
    held: int
    captured: int
    refunded: int


class RedemptionResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A redemption. ``captured``, ``released`` and what is still held add up to ``authorized``.

    ``value`` is what the authorized points pay of the purchase, in minor units of the brand's currency; ``captured_value`` and
    ``refunded_value`` are its parts for the points captured and refunded, rounded so that what was captured in full is paid in
    full and what was refunded in full is given back in full. ``balance`` is what the customer can spend after it, as of
    ``balance_seq``.
    """

    redemption_id: str
    status: RedemptionStatus
    order_ref: str
    store_id: str | None
    terminal_id: str | None
    authorized: int
    captured: int
    released: int
    refunded: int
    value: int | None
    captured_value: int | None
    refunded_value: int | None
    operations: Sequence[OperationResponse]
    lots: Sequence[RedemptionLotResponse]
    expires_at: datetime
    balance: int
    balance_seq: int

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
    """What the captured points pay, rounded down, and what of that went back: the rest of what is kept, rounded down too."""
    if redemption.value is None:
        return None, None
    captured = redemption.value * redemption.captured // redemption.authorized
    kept = redemption.value * (redemption.captured - redemption.refunded) // redemption.authorized
    return captured, captured - kept
