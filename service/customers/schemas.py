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

Email = Annotated[str, msgspec.Meta(max_length=254, description="An email address of the customer, such as ada@example.org.")]
Phone = Annotated[
    str,
    msgspec.Meta(max_length=32, description="A telephone number of the customer with its country code, such as +49 30 901820."),
]

Device = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=200,
        pattern=NO_CONTROL_CHARACTERS,
        description="What your app calls its installation on a device of the customer. No control characters.",
    ),
]


CustomerFilter = Annotated[
    str | None, QueryParameter(description="The brand's own id of a customer, or our number of them (`cus_`).")
]
"""Whose entries a list has."""


class CustomerRef(Body, frozen=True, omit_defaults=True):
    """Who it is: the brand's own id, an email address, a telephone number, a device, or several of them."""

    id: Identifier | None = None
    """The brand's own id of the customer."""
    email: Email | None = None
    phone: Phone | None = None
    device: Device | None = None

    example: ClassVar[dict[str, Any]] = {"id": "customer-1"}


After = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,18}$(?!\n)")]
"""Where a page begins, in a body."""


class BalanceRequest(Body, frozen=True):
    """Whose balance it is."""

    customer: CustomerRef
    """Who it is, by at least one name."""

    example: ClassVar[dict[str, Any]] = {"customer": {"email": "ada@example.org"}}


class StatementRequest(Body, frozen=True):
    """Whose statement it is, and which page of it."""

    customer: CustomerRef
    """Who it is, by at least one name."""
    after: After | None = None
    """The `next` of the page before. Absent: the newest page."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT
    """How many entries to return at most."""

    example: ClassVar[dict[str, Any]] = {"customer": {"email": "ada@example.org"}, "limit": 20}


class NamesRequest(Body, frozen=True):
    """What else she is called, beside the brand's own id in the path."""

    email: Email | None = None
    phone: Phone | None = None
    device: Device | None = None

    example: ClassVar[dict[str, Any]] = {"email": "ada@example.org"}


class CustomerRequest(Body, frozen=True, omit_defaults=True):
    """The brand's own id of a customer, and what else she is called."""

    id: Identifier
    """The brand's own id of the customer."""
    email: Email | None = None
    phone: Phone | None = None
    device: Device | None = None

    example: ClassVar[dict[str, Any]] = {"id": "customer-1", "email": "ada@example.org"}


class CustomerBatch(Batch[CustomerRequest]):
    """A JSON array, or NDJSON with one customer a line; at most 10,000."""


class LookupBatch(Batch[CustomerRef]):
    """``{"customers": [...]}``, 1 to 10,000 of them."""

    member: ClassVar[str | None] = "customers"


class MergeRequest(Body, frozen=True):
    """Who turns out to be the customer in the path: exactly one of id, email, phone and device."""

    from_: CustomerRef = msgspec.field(name="from")
    """Who becomes one with the customer in the path: exactly one name."""

    example: ClassVar[dict[str, Any]] = {"from": {"id": "customer-2"}}


class SplitRequest(Body, frozen=True):
    """Who is not the customer in the path after all, as called before the merge: exactly one of id, email, phone and device."""

    customer: CustomerRef
    """Who is a customer by themselves again, as called before the merge: exactly one name."""

    example: ClassVar[dict[str, Any]] = {"customer": {"id": "customer-2"}}


class SplitAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The customer who was taken apart.

    ``split_off`` is our number of who is a customer of her own again, and ``points`` went with her, now or when this was sent
    first. ``confirmed`` and ``balance``, as of ``balance_seq``, are of the customer in the path.
    """

    customer: str
    """The customer in the path, as it was asked for."""
    confirmed: bool
    """Whether the brand has given the customer in the path an id of its own."""
    split_off: str
    """Our number (`cus_`) of who is a customer by themselves again."""
    points: int
    """How many points went with them, now or when this was sent first."""
    balance: int
    """What the customer in the path can spend now, in points."""
    balance_seq: int
    """The last transfer of the book that the balance includes. It only grows: of two balances, the one with the larger number
    is newer."""


class CustomerAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A customer whose names were changed.

    ``merged`` is how many customers became one with her by this call, and ``merged_points`` what came to her with them; both
    are 0 when the same is sent again. ``balance`` is what she can spend, as of ``balance_seq``.
    """

    customer: str
    """The customer's id as it was asked for."""
    known: bool
    """Whether anybody had told us of this customer."""
    confirmed: bool
    """Whether the brand has given the customer an id of its own."""
    merged: int
    """How many customers became one with this one by this call; 0 when the same is sent again."""
    merged_points: int
    """How many points came with them."""
    balance: int
    """What the customer can spend now, in points."""
    balance_seq: int
    """The last transfer of the book that the balance includes. It only grows: of two balances, the one with the larger number
    is newer."""


class CustomerResult(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What became of one item: what a single call answers, or a problem. ``index`` counts every item, also the broken ones."""

    described_by: ClassVar[tuple[type, ...]] = (ItemResult, CustomerAnswer)

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
    """One result for each item, in the order of the request."""

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
    """How it was proved."""
    proof: KeptText
    """Your own reference of the proof, such as the id of the message with the one-time password; not the password."""
    at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    """When it was proved. Absent: now."""

    example: ClassVar[dict[str, Any]] = {"method": "otp", "proof": "otp-7f3a91"}


class UnverifyRequest(Body, frozen=True):
    """Why what was proved of a name does not hold."""

    reason: KeptText
    """Why the proof does not hold."""

    example: ClassVar[dict[str, Any]] = {"reason": "the address has another owner now"}


class IdentityResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A name of a customer, without the name. ``customer`` is our own number of her.

    ``verified_at``, ``method`` and ``proof`` are the first proof since the state was last ``unverified``; null while it is.
    """

    identity_id: str
    """The id of the name: `idn_` and 24 hexadecimal digits. It says nothing of the name."""
    kind: Kind
    """What the name is: the brand's own `id`, an `email`, a `phone` or a `device`."""
    customer: str
    """Our number of the customer whose name it is (`cus_`)."""
    state: Literal["unverified", "verified"]
    """Whether it is proved to be the customer's."""
    verified_at: datetime | None
    """When it was first proved since it was last unverified; null while it is unverified."""
    method: Method | None
    """How it was proved; null while it is unverified."""
    proof: str | None
    """The brand's own reference of the proof; null while it is unverified."""
    since: datetime
    """Since when we know the name."""


class VerificationResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A proof that was taken (``verify``), or that all before it were withdrawn (``unverify``). Texts may have been erased."""

    entry: int
    """The number of the entry; later entries have larger numbers."""
    act: Literal["verify", "unverify"]
    """`verify`: a proof was taken. `unverify`: all before it were withdrawn."""
    at: datetime
    """When it was proved or withdrawn."""
    method: Method | None
    """How it was proved; null for a withdrawal."""
    proof: str | None
    """The brand's own reference of the proof; null for a withdrawal, or once erased."""
    reason: str | None
    """Why it was withdrawn; null for a proof, or once erased."""
    recorded_at: datetime
    """When we were told."""
    principal: str
    """The id of the key that told us."""


class LookupAnswer(msgspec.Struct, frozen=True):
    """Whether a customer is known, and by the brand's own id, and what she can spend as of ``balance_seq``.

    ``verified`` says that a name of hers is verified; ``identities`` are those of the names given that are hers.
    """

    known: bool
    """Whether anybody has told us of this customer."""
    confirmed: bool
    """Whether the brand has given the customer an id of its own."""
    balance: int
    """What the customer can spend now, in points."""
    balance_seq: int
    """The last transfer of the book that the balance includes. It only grows: of two balances, the one with the larger number
    is newer."""
    verified: bool = False
    """Whether any name of the customer is proved to be theirs."""
    identities: Sequence[IdentityResponse] = ()
    """Those of the names given that are the customer's."""
    duplicates: Sequence[str] = ()
    """Our numbers (`cus_`) of other customers who were known by another spelling of a phone or email given, before the two were
    one name here. If they are one person, merge them."""


class LookupResult(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What is known of one item's customer, or what is wrong with the item."""

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


class LookupResults(msgspec.Struct, frozen=True):
    """One result for each item, in the order of the request."""

    results: list[LookupResult]
    """One result for each item, in the order of the request."""

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
    """How many points."""
    expires_on: date | None
    """The last day on which they can be spent, in the brand's time zone; null: for ever."""
    account_class: str = msgspec.field(name="class")
    """What kind of promise they are to the accountants: `engagement`, `purchase` or `third_party`."""


# By number. A member's own name is found by three calls.
_CLASSES = tuple([each.name.lower() for each in sorted(AccountClass)])


class BalanceResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What a customer has, as of ``balance_seq``. ``known`` is false for a customer nobody has reported yet.

    ``merged_into`` is null unless the id was another customer's who has become one with this one: then our number of her.
    """

    customer: str | None
    """The customer as the path has it. Where a body names them, our number (`cus_`); null for one nobody has reported yet."""
    known: bool
    """Whether anybody has told us of this customer."""
    merged_into: str | None
    """Our number (`cus_`) of the customer whom this one was merged into; null for all others."""
    balance: int
    """What the customer can spend now, in points."""
    held: int
    """Points set aside for purchases that are not captured yet."""
    pending: int
    """Points that are held back until somebody approves of them."""
    lots: Sequence[LotResponse]
    """The spendable points by their last day, soonest first."""
    balance_seq: int
    """The last transfer of the book that the balance includes. It only grows: of two balances, the one with the larger number
    is newer."""

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
            lots=[LotResponse(lot.points, lot.expires_on, _CLASSES[lot.account_class]) for lot in balance.lots],
            balance_seq=balance.seq,
        )


class StatementEntry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One change of a customer's spendable points; ``points`` is negative when they left."""

    seq: int
    """The transfer's number in the brand's book."""
    posted_at: datetime
    """When it was posted."""
    occurred_at: datetime
    """When it happened; a report may come later."""
    type: str
    """The verb of the log, such as `grant`, `authorize` or `expire`."""
    points: int
    """How many points; negative when they left the customer."""
    expires_on: date | None
    """The last day of these points, in the brand's time zone; null: for ever."""
    grant_id: str | None
    """The decision that paid them; null for what is no grant."""
    redemption_id: str | None
    """The redemption they moved for; null for all others."""

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
