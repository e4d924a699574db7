"""Customers on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any, ClassVar

import msgspec

from ledger import Balance, Entry
from service.bodies import Batch, Body, Identifier
from service.identifiers import grant_id, redemption_id
from service.problems import Problem, ProblemDocument

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


class NamesRequest(Body, frozen=True):
    """What else she is called, beside the brand's own id in the path."""

    email: Email | None = None
    phone: Phone | None = None

    example: ClassVar[dict[str, Any]] = {"email": "ada@example.org"}


class CustomerRequest(Body, frozen=True):
    """The brand's own id of a customer, and what else she is called."""

    id: Identifier
    email: Email | None = None
    phone: Phone | None = None

    example: ClassVar[dict[str, Any]] = {"id": "C-1001", "email": "ada@example.org"}


class CustomerBatch(Batch[CustomerRequest]):
    """A JSON array, or NDJSON with one customer a line; at most 10,000."""


class LookupBatch(Batch[CustomerRef]):
    """``{"customers": [...]}``, 1 to 10,000 of them."""

    member: ClassVar[str | None] = "customers"


class MergeRequest(Body, frozen=True):
    """Who turns out to be the customer in the path: exactly one of id, email and phone."""

    from_: CustomerRef = msgspec.field(name="from")

    example: ClassVar[dict[str, Any]] = {"from": {"id": "C-2002"}}


class SplitRequest(Body, frozen=True):
    """Who is not the customer in the path after all: exactly one of id, email and phone, as she was called before the merge."""

    customer: CustomerRef

    example: ClassVar[dict[str, Any]] = {"customer": {"id": "C-2002"}}


class SplitAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The customer who was taken apart.

    ``split_off`` is our number of who is a customer of her own again, and ``points`` went with her, now or when this was sent
    first. ``confirmed`` and ``balance``, as of ``balance_seq``, are of the customer in the path.
    """

    customer: str
    confirmed: bool
    split_off: str
    points: int
    balance: int
    balance_seq: int


class CustomerAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A customer whose names were changed.

    ``merged`` is how many customers became one with her by this call, and ``merged_points`` what came to her with them; both
    are 0 when the same is sent again. ``balance`` is what she can spend, as of ``balance_seq``.
    """

    customer: str
    known: bool
    confirmed: bool
    merged: int
    merged_points: int
    balance: int
    balance_seq: int


class CustomerResult(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What became of one item: what a single call answers, or a problem. ``index`` counts every item, also the broken ones."""

    index: int
    status: int
    customer: str | msgspec.UnsetType = msgspec.UNSET
    known: bool | msgspec.UnsetType = msgspec.UNSET
    confirmed: bool | msgspec.UnsetType = msgspec.UNSET
    merged: int | msgspec.UnsetType = msgspec.UNSET
    merged_points: int | msgspec.UnsetType = msgspec.UNSET
    balance: int | msgspec.UnsetType = msgspec.UNSET
    balance_seq: int | msgspec.UnsetType = msgspec.UNSET
    problem: ProblemDocument | msgspec.UnsetType = msgspec.UNSET


class CustomerResults(msgspec.Struct, frozen=True):
    """One result for each item, in the order of the request."""

    results: list[CustomerResult]

    @classmethod
    def of(cls, answers: Sequence[CustomerAnswer | Problem], *, request_id: str) -> CustomerResults:
        """Say what became of each item."""
        return cls([_customer_result(index, answer, request_id) for index, answer in enumerate(answers)])


def _customer_result(index: int, answer: CustomerAnswer | Problem, request_id: str) -> CustomerResult:
    if isinstance(answer, Problem):
        return CustomerResult(index=index, status=answer.status, problem=answer.document(request_id))
    return CustomerResult(index=index, status=200, **msgspec.structs.asdict(answer))


class LookupAnswer(msgspec.Struct, frozen=True):
    """Whether a customer is known, and by the brand's own id, and what she can spend as of ``balance_seq``."""

    known: bool
    confirmed: bool
    balance: int
    balance_seq: int


class LookupResult(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What is known of one item's customer, or what is wrong with the item."""

    index: int
    status: int
    known: bool | msgspec.UnsetType = msgspec.UNSET
    confirmed: bool | msgspec.UnsetType = msgspec.UNSET
    balance: int | msgspec.UnsetType = msgspec.UNSET
    balance_seq: int | msgspec.UnsetType = msgspec.UNSET
    problem: ProblemDocument | msgspec.UnsetType = msgspec.UNSET


class LookupResults(msgspec.Struct, frozen=True):
    """One result for each item, in the order of the request."""

    results: list[LookupResult]

    @classmethod
    def of(cls, answers: Sequence[LookupAnswer | Problem], *, request_id: str) -> LookupResults:
        """Say what is known of each."""
        return cls([_lookup_result(index, answer, request_id) for index, answer in enumerate(answers)])


def _lookup_result(index: int, answer: LookupAnswer | Problem, request_id: str) -> LookupResult:
    if isinstance(answer, Problem):
        return LookupResult(index=index, status=answer.status, problem=answer.document(request_id))
    return LookupResult(index=index, status=200, **msgspec.structs.asdict(answer))


class LotResponse(msgspec.Struct, frozen=True):
    """Points that can be spent up to and including ``expires_on``, in the brand's zone; null: for ever."""

    points: int
    expires_on: date | None
    account_class: str = msgspec.field(name="class")


class BalanceResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What a customer has, as of ``balance_seq``. ``known`` is false for a customer nobody has reported yet.

    ``merged_into`` is null unless the id was another customer's who has become one with this one: then our number of her.
    """

    customer: str
    known: bool
    merged_into: str | None
    balance: int
    held: int
    pending: int
    lots: Sequence[LotResponse]
    balance_seq: int

    @classmethod
    def of(cls, customer: str, balance: Balance | None, *, merged_into: str | None = None) -> BalanceResponse:
        """The answer; ``None`` for a customer nobody knows."""
        if balance is None:
            return cls(customer=customer, known=False, merged_into=None, balance=0, held=0, pending=0, lots=(), balance_seq=0)
        return cls(
            customer=customer,
            known=True,
            merged_into=merged_into,
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
