"""Customers on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from litestar.params import QueryParameter

from ledger import AccountClass, Balance, Entry
from service.http.bodies import Batch, Body, Identifier
from service.http.field_docs import ItemResult
from service.http.identifiers import grant_id, redemption_id
from service.http.pagination import LIMIT_DEFAULT, LIMIT_MAX
from service.http.problems import Problem, ProblemDocument
from service.http.validation_messages import NO_CONTROL_CHARACTERS

Email = Annotated[str, msgspec.Meta(max_length=254, description="The customer's email address, such as ada@example.org.")]
Phone = Annotated[
    str,
    msgspec.Meta(max_length=32, description="The customer's phone number with its country code, such as +49 30 901820."),
]

Device = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=200,
        pattern=NO_CONTROL_CHARACTERS,
        description="Your app's id of its installation on the customer's device. No control characters.",
    ),
]


CustomerFilter = Annotated[str | None, QueryParameter(description="A customer: the brand's own id, or our number (`cus_`).")]
"""The customer whose entries are listed."""


class CustomerRef(Body, frozen=True, omit_defaults=True):
    """A customer, by one or more names: the brand's own id, an email address, a phone number, a device."""

    id: Identifier | None = None
    """The brand's own id of the customer, or our number (`cus_`) alone."""
    email: Email | None = None
    phone: Phone | None = None
    device: Device | None = None

    example: ClassVar[dict[str, Any]] = {"id": "customer-1"}


After = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,18}$(?!\n)")]
"""Where a page starts, in a body."""


class BalanceRequest(Body, frozen=True):
    """The customer whose balance is read."""

    customer: CustomerRef
    """The customer, by at least one name."""

    example: ClassVar[dict[str, Any]] = {"customer": {"email": "ada@example.org"}}


class StatementRequest(Body, frozen=True):
    """The customer whose statement is read, and the page."""

    customer: CustomerRef
    """The customer, by at least one name."""
    after: After | None = None
    """The `next` of the previous page. Absent: the newest page."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT
    """The most entries to return."""

    example: ClassVar[dict[str, Any]] = {"customer": {"email": "ada@example.org"}, "limit": 20}


class LookupBatch(Batch[CustomerRef]):
    """``{"customers": [...]}``, 1 to 10,000 of them."""

    member: ClassVar[str | None] = "customers"


Kind = Literal["id", "email", "phone", "device"]
"""The kind of name."""

Method = Literal["otp", "sign_on", "double_opt_in", "document", "in_person"]
"""How a name was proved to be the customer's."""


class IdentityResponse(msgspec.Struct, frozen=True, kw_only=True):
    """One of a customer's names, without the name itself. Proof fields describe the first proof since the name was last
    unverified."""

    identity_id: str
    """The id of the name: `idn_` and 24 hexadecimal digits. It reveals nothing about the name."""
    kind: Kind
    """The kind of name: the brand's own `id`, an `email`, a `phone` or a `device`."""
    customer: str
    """Our number (`cus_`) of the customer it belongs to."""
    state: Literal["unverified", "verified"]
    """Whether the name is proved to be the customer's."""
    verified_at: datetime | None
    """When it was first proved since it was last unverified; null while unverified."""
    method: Method | None
    """How it was proved; null while unverified."""
    proof: str | None
    """Your reference for the proof; null while unverified."""
    since: datetime
    """When we first heard of the name."""


class LookupAnswer(msgspec.Struct, frozen=True):
    """What is known of a customer, and what they can spend."""

    known: bool
    """Whether any event, link or name of this customer has reached us."""
    confirmed: bool
    """Whether the customer has the brand's own id."""
    balance: int
    """What the customer can spend now, in points."""
    balance_seq: int
    """The last transfer included in the balance. It only grows: of two balances, the one with the larger number is newer."""
    verified: bool = False
    """Whether any of the customer's names is verified."""
    identities: Sequence[IdentityResponse] = ()
    """Those of the given names that belong to the customer."""
    duplicates: Sequence[str] = ()
    """Our numbers (`cus_`) of other customers stored under another spelling of the given phone or email, before the two
    spellings had one normal form. If they are the same person, merge them."""


class LookupResult(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One item's result, or its problem."""

    described_by: ClassVar[tuple[type, ...]] = (ItemResult, LookupAnswer)

    index: int
    status: int
    known: bool | msgspec.UnsetType = msgspec.UNSET
    confirmed: bool | msgspec.UnsetType = msgspec.UNSET
    balance: int | msgspec.UnsetType = msgspec.UNSET
    balance_seq: int | msgspec.UnsetType = msgspec.UNSET
    verified: bool | msgspec.UnsetType = msgspec.UNSET
    identities: Sequence[IdentityResponse] | msgspec.UnsetType = msgspec.UNSET
    duplicates: Sequence[str] | msgspec.UnsetType = msgspec.UNSET
    problem: ProblemDocument | msgspec.UnsetType = msgspec.UNSET


def lookup_result(index: int, answer: LookupAnswer | Problem, request_id: str) -> LookupResult:
    """Build an item's result."""
    if isinstance(answer, Problem):
        return LookupResult(index=index, status=answer.status, problem=answer.document(request_id))
    return LookupResult(index=index, status=200, **msgspec.structs.asdict(answer))


class LotResponse(msgspec.Struct, frozen=True):
    """Points that expire on the same day and belong to one accounting class."""

    points: int
    """How many points."""
    expires_on: date | None
    """The last day on which they can be spent, in the brand's time zone; null: they never expire."""
    account_class: str = msgspec.field(name="class")
    """Their accounting class: `engagement`, `purchase` or `third_party`."""


# By number. A member's own name is found by three calls.
_CLASSES = tuple([each.name.lower() for each in sorted(AccountClass)])


def lots_of(balance: Balance) -> list[LotResponse]:
    """The lots of a balance as the API shows them."""
    return [LotResponse(lot.points, lot.expires_on, _CLASSES[lot.account_class]) for lot in balance.lots]


class BalanceResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What a customer has."""

    customer: str | None
    """The customer's id as given in the path. If the body named them: our number (`cus_`), or null for a customer nobody has
    reported."""
    known: bool
    """Whether any event, link or name of this customer has reached us."""
    merged_into: str | None
    """Our number (`cus_`) of the survivor, if this customer was merged; otherwise null."""
    balance: int
    """What the customer can spend now, in points."""
    held: int
    """Points set aside for purchases not captured yet."""
    pending: int
    """Points held back until they are approved."""
    lots: Sequence[LotResponse]
    """The spendable points by expiry day, soonest first."""
    balance_seq: int
    """The last transfer included in the balance. It only grows: of two balances, the one with the larger number is newer."""

    @classmethod
    def of(cls, customer: str | None, balance: Balance | None, *, merged_into: str | None = None) -> BalanceResponse:
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
            lots=lots_of(balance),
            balance_seq=balance.seq,
        )


class CustomerWithPoints(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A customer who can spend points."""

    customer: int
    """Our number of the customer, without `cus_`."""
    spendable: int
    """What they can spend now, in points."""
    expiring: int
    """What of it expires by the end of the day `expires_by`, if they do not spend it; 0 without `expires_by`."""
    next_expiry_on: date | None
    """The last day of the points that expire next, in the brand's time zone; null: none expire."""

    @classmethod
    def of(cls, customer: int, has: Balance, expires_by: date | None) -> CustomerWithPoints:
        """Build the entry."""
        days = [(lot.expires_on, lot.points) for lot in has.lots if lot.expires_on is not None]
        return cls(
            customer=customer,
            spendable=has.spendable,
            expiring=sum(points for day, points in days if expires_by is not None and day <= expires_by),
            next_expiry_on=min((day for day, _ in days), default=None),
        )


class StatementEntry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One change of a customer's spendable points."""

    seq: int
    """The transfer's number in the brand's book."""
    posted_at: datetime
    """When it was posted."""
    occurred_at: datetime
    """When it happened. The report may have come later."""
    type: str
    """The kind of transfer, such as `grant`, `authorize` or `expire`."""
    points: int
    """The change in points; negative when they left the customer."""
    expires_on: date | None
    """The last day of these points, in the brand's time zone; null: they never expire."""
    grant_id: str | None
    """The grant they belong to; null if none."""
    redemption_id: str | None
    """The redemption they belong to; null if none."""

    @classmethod
    def of(cls, entry: Entry, book_id: int) -> StatementEntry:
        """Build the entry."""
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
