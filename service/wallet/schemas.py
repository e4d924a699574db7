"""Wallets on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

from ledger import Balance
from service.brands.brand import Brand
from service.customers.schemas import After, CustomerRef, LotResponse, StatementEntry
from service.http.bodies import Body
from service.http.identifiers import customer_id as public_number
from service.http.pagination import Page
from service.wallet.progress import Progress, progress


class Money(msgspec.Struct, frozen=True):
    """An amount in minor units (cents, pence, yen) of a currency."""

    minor_units: int
    """So many cents, pence or yen."""
    currency: str
    """The currency: three letters of ISO 4217."""


class WalletRequest(Body, frozen=True):
    """Whose wallet it is, and from where on its history is shown."""

    customer: CustomerRef
    """Who it is, by at least one name."""
    after: After | None = None
    """The `next` of the history of the page before. Absent: the newest page."""

    example: ClassVar[dict[str, Any]] = {"customer": {"email": "ada@example.org"}}


class WalletResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What a customer has, as of ``balance_seq``, what happened of late, and how far it is to her next reward.

    ``customer`` is our number of her, null for one nobody has reported yet. ``worth`` is what her balance pays, rounded
    down; null where the brand has not said what points are worth. ``history`` is newest first.
    """

    customer: str | None
    """Our number of the customer (`cus_`); null for one nobody has reported yet."""
    points_name: str
    """What the points are called in front of customers."""
    balance: int
    """What the customer can spend now, in points."""
    held: int
    """Points set aside for purchases that are not captured yet."""
    pending: int
    """Points that are held back until somebody approves of them."""
    worth: Money | None
    """What the balance pays, rounded down; null while points have no value."""
    lots: Sequence[LotResponse]
    """The spendable points by their last day, soonest first."""
    progress: Progress
    """How far it is to the next reward."""
    history: Page[StatementEntry]
    """What happened recently, newest first."""
    balance_seq: int
    """The last transfer of the book that the balance includes. It only grows: of two balances, the one with the larger
    number is newer."""

    @classmethod
    def of(cls, brand: Brand, customer: int | None, has: Balance | None, history: Page[StatementEntry]) -> WalletResponse:
        """The answer; ``None`` for a customer nobody knows."""
        balance = has.spendable if has else 0
        return cls(
            customer=None if customer is None else public_number(customer),
            points_name=brand.points_name,
            balance=balance,
            held=has.held if has else 0,
            pending=has.pending if has else 0,
            worth=None if brand.point_value is None else Money(brand.point_value.worth(balance), brand.currency),
            lots=[LotResponse(lot.points, lot.expires_on, lot.account_class.name.lower()) for lot in has.lots] if has else [],
            progress=progress(balance, brand.goals),
            history=history,
            balance_seq=has.seq if has else 0,
        )
