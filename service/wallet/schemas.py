"""Wallets on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

from ledger import Balance
from service.brands.brand import Brand
from service.brands.goals import Progress, progress
from service.customers.schemas import After, CustomerRef, LotResponse, StatementEntry
from service.http.bodies import Body
from service.http.identifiers import customer_id as public_number
from service.http.pagination import Page


class Money(msgspec.Struct, frozen=True):
    """An amount in minor units (cents, pence, yen) of a currency."""

    minor_units: int
    """The amount in cents, pence or yen."""
    currency: str
    """The currency: three letters of ISO 4217."""


class WalletRequest(Body, frozen=True):
    """The customer whose wallet is read, and the page of its history."""

    customer: CustomerRef
    """The customer, by at least one name."""
    after: After | None = None
    """The `next` of the previous page's history. Absent: the newest page."""

    example: ClassVar[dict[str, Any]] = {"customer": {"email": "ada@example.org"}}


class WalletResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A customer's wallet: balance and worth, expiry, recent history, and progress to the next reward."""

    customer: str | None
    """Our number of the customer (`cus_`); null for a customer nobody has reported."""
    points_name: str
    """The name of the points as customers see it."""
    balance: int
    """What the customer can spend now, in points."""
    held: int
    """Points set aside for purchases not captured yet."""
    pending: int
    """Points held back until they are approved."""
    worth: Money | None
    """What the balance pays, rounded down to a minor unit; null while points have no value."""
    lots: Sequence[LotResponse]
    """The spendable points by expiry day, soonest first."""
    progress: Progress
    """Progress to the next reward."""
    history: Page[StatementEntry]
    """A page of the history, newest first."""
    balance_seq: int
    """The last transfer included in the balance. It only grows: of two balances, the one with the larger number is newer."""

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
