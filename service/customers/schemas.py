"""Customers on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from ledger import AccountClass, Balance, Entry
from service.bodies import Batch, Body, Identifier
from service.identifiers import grant_id, redemption_id
from service.plain_words import NO_CONTROL_CHARACTERS
from service.problems import Problem, ProblemDocument

Email = Annotated[str, msgspec.Meta(max_length=254, description="An email address such as ada@example.org.")]
Phone = Annotated[
    str, msgspec.Meta(max_length=32, description="A telephone number with its country code, such as +49 30 901820.")
]

Device = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=200,
        pattern=NO_CONTROL_CHARACTERS,
        description="What your app calls its installation on a device; at most 200 characters, no control characters.",
    ),
]


class CustomerRef(Body, frozen=True):
    """Who it is: the brand's own id, an email address, a telephone number, a device, or several of them."""

    id: Identifier | None = None
    email: Email | None = None
    phone: Phone | None = None
    device: Device | None = None

    example: ClassVar[dict[str, Any]] = {"id": "C-1001"}


class NamesRequest(Body, frozen=True):
    """What else she is called, beside the brand's own id in the path."""

    email: Email | None = None
    phone: Phone | None = None
    device: Device | None = None

    example: ClassVar[dict[str, Any]] = {"email": "ada@example.org"}


class CustomerRequest(Body, frozen=True):
    """The brand's own id of a customer, and what else she is called."""

    id: Identifier
    email: Email | None = None
    phone: Phone | None = None
    device: Device | None = None

    example: ClassVar[dict[str, Any]] = {"id": "C-1001", "email": "ada@example.org"}


class CustomerBatch(Batch[CustomerRequest]):
    """A JSON array, or NDJSON with one customer a line; at most 10,000."""


class LookupBatch(Batch[CustomerRef]):
    """``{"customers": [...]}``, 1 to 10,000 of them."""

    member: ClassVar[str | None] = "customers"


class MergeRequest(Body, frozen=True):
    """Who turns out to be the customer in the path: exactly one of id, email, phone and device."""

    from_: CustomerRef = msgspec.field(name="from")

    example: ClassVar[dict[str, Any]] = {"from": {"id": "C-2002"}}


class SplitRequest(Body, frozen=True):
    """Who is not the customer in the path after all, as called before the merge: exactly one of id, email, phone and device."""

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


Kind = Literal["id", "email", "phone", "device"]
"""What a name is."""

Method = Literal["otp", "sign_on", "double_opt_in", "document", "in_person"]
"""How it was proved that a name is the customer's."""

KeptText = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=200,
        pattern=NO_CONTROL_CHARACTERS,
        description="At most 200 characters, kept as they are: no address, number or name of the customer's.",
    ),
]


class VerifyRequest(Body, frozen=True):
    """Proof that a name is the customer's, which you have had."""

    method: Method
    proof: KeptText
    """Your own reference of the proof, such as the id of the message with the one-time password; not the password."""
    at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    """When it was proved. Absent: now."""

    example: ClassVar[dict[str, Any]] = {"method": "otp", "proof": "otp-7f3a91", "at": "2026-10-02T09:14:03Z"}


class UnverifyRequest(Body, frozen=True):
    """Why what was proved of a name does not hold."""

    reason: KeptText

    example: ClassVar[dict[str, Any]] = {"reason": "the address has another owner now"}


class IdentityResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A name of a customer, without the name. ``customer`` is our own number of her.

    ``verified_at``, ``method`` and ``proof`` are the first proof since the state was last ``unverified``; null while it is.
    """

    identity_id: str
    kind: Kind
    customer: str
    state: Literal["unverified", "verified"]
    verified_at: datetime | None
    method: Method | None
    proof: str | None
    since: datetime


class VerificationResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A proof that was taken (``verify``), or that all before it were withdrawn (``unverify``). Texts may have been erased."""

    entry: int
    act: Literal["verify", "unverify"]
    at: datetime
    method: Method | None
    proof: str | None
    reason: str | None
    recorded_at: datetime
    principal: str


class LookupAnswer(msgspec.Struct, frozen=True):
    """Whether a customer is known, and by the brand's own id, and what she can spend as of ``balance_seq``.

    ``verified`` says that a name of hers is verified; ``identities`` are those of the names given that are hers.
    """

    known: bool
    confirmed: bool
    balance: int
    balance_seq: int
    verified: bool = False
    identities: Sequence[IdentityResponse] = ()


class LookupResult(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What is known of one item's customer, or what is wrong with the item."""

    index: int
    status: int
    known: bool | msgspec.UnsetType = msgspec.UNSET
    confirmed: bool | msgspec.UnsetType = msgspec.UNSET
    balance: int | msgspec.UnsetType = msgspec.UNSET
    balance_seq: int | msgspec.UnsetType = msgspec.UNSET
    verified: bool | msgspec.UnsetType = msgspec.UNSET
    identities: Sequence[IdentityResponse] | msgspec.UnsetType = msgspec.UNSET
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


# By number. A member's own name is found by three calls.
_CLASSES = tuple([each.name.lower() for each in sorted(AccountClass)])


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
            lots=[LotResponse(lot.points, lot.expires_on, _CLASSES[lot.account_class]) for lot in balance.lots],
            balance_seq=balance.seq,
        )


class StatementEntry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
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
