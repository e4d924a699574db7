"""Customers on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any, ClassVar

import msgspec

from ledger import Balance, Entry
from service.bodies import Body, Identifier
from service.identifiers import grant_id, redemption_id

Email = Annotated[str, msgspec.Meta(max_length=254, description="An email address such as ada@example.org.")]
Phone = Annotated[
    str, msgspec.Meta(max_length=32, description="A telephone number with its country code, such as +49 30 901820.")
]


class CustomerRef(Body, frozen=True):
    """Who it is: the brand's own id, an email address, a telephone number, or several of them."""

    id: Identifier | None = None
    email: Email | None = None
    phone: Phone | None = None

    example: ClassVar[dict[str, Any]] = {"id": "C-1001"}


class LotResponse(msgspec.Struct, frozen=True):
    """Points that can be spent up to and including ``expires_on``, in the brand's zone; null: for ever."""

    points: int
    expires_on: date | None
    account_class: str = msgspec.field(name="class")


class BalanceResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What a customer has, as of ``balance_seq``. ``known`` is false for a customer nobody has reported yet."""

    customer: str
    known: bool
    balance: int
    held: int
    pending: int
    lots: Sequence[LotResponse]
    balance_seq: int

    @classmethod
    def of(cls, customer: str, balance: Balance | None) -> BalanceResponse:
        """The answer; ``None`` for a customer nobody knows."""
        if balance is None:
            return cls(customer=customer, known=False, balance=0, held=0, pending=0, lots=(), balance_seq=0)
        return cls(
            customer=customer,
            known=True,
            balance=balance.spendable,
            held=balance.held,
            pending=balance.pending,
            lots=[LotResponse(lot.points, lot.expires_on, lot.account_class.name.lower()) for lot in balance.lots],
            balance_seq=balance.seq,
        )


class StatementEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One change of a customer's spendable points; ``points`` is negative when they left."""

    seq: int
    posted_at: datetime
    occurred_at: datetime
    type: str
    points: int
    expires_on: date | None
    grant_id: str | None
    redemption_id: str | None

    @classmethod
    def of(cls, entry: Entry, book_id: int) -> StatementEntry:
        """The line of one entry."""
        granted = entry.campaign_no is not None and entry.event_key is not None
        return cls(
            seq=entry.seq,
            posted_at=entry.posted_at,
            occurred_at=entry.occurred_at,
            type=entry.verb,
            points=entry.points,
            expires_on=entry.expires_on,
            grant_id=grant_id(entry.campaign_no or 0, entry.event_key or b"") if granted else None,
            redemption_id=None if entry.redemption is None else redemption_id(book_id, entry.redemption),
        )
