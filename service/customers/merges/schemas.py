"""Attaching names, merges and splits on the wire."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from service.customers.schemas import CustomerRef, Device, Email, Phone
from service.http.bodies import Batch, Body, Identifier
from service.http.field_docs import ItemResult
from service.http.problems import Problem, ProblemDocument


class NamesRequest(Body, frozen=True):
    """Names to attach to the customer in the path."""

    email: Email | None = None
    phone: Phone | None = None
    device: Device | None = None

    example: ClassVar[dict[str, Any]] = {"email": "ada@example.org"}


class CustomerRequest(Body, frozen=True, omit_defaults=True):
    """A customer by the brand's own id, and names to attach."""

    id: Identifier
    """The brand's own id of the customer."""
    email: Email | None = None
    phone: Phone | None = None
    device: Device | None = None

    example: ClassVar[dict[str, Any]] = {"id": "customer-1", "email": "ada@example.org"}


class CustomerBatch(Batch[CustomerRequest]):
    """A JSON array, or NDJSON with one customer a line; at most 10,000."""


class MergeRequest(Body, frozen=True):
    """The customer to merge into the one in the path: exactly one of id, email, phone and device."""

    from_: CustomerRef = msgspec.field(name="from")
    """The customer to merge into the one in the path, by exactly one name."""

    example: ClassVar[dict[str, Any]] = {"from": {"id": "customer-2"}}


class SplitRequest(Body, frozen=True):
    """The customer to separate from the one in the path, as named before the merge: exactly one of id, email, phone and
    device."""

    customer: CustomerRef
    """The customer to separate, by exactly one of the names they had before the merge."""

    example: ClassVar[dict[str, Any]] = {"customer": {"id": "customer-2"}}


class SplitAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a split."""

    customer: str
    """The customer in the path, as given in the request."""
    confirmed: bool
    """Whether the customer in the path has the brand's own id."""
    split_off: str
    """Our number (`cus_`) of the customer who is separate again."""
    points: int
    """How many points went back to them, by this call or when the split was first made."""
    balance: int
    """What the customer in the path can spend now, in points."""
    balance_seq: int
    """The last transfer included in the balance. It only grows: of two balances, the one with the larger number is newer."""


class CustomerAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The result of changing a customer's names."""

    customer: str
    """The customer's id as given in the request."""
    known: bool
    """Whether any event, link or name of this customer had reached us."""
    confirmed: bool
    """Whether the customer has the brand's own id."""
    merged: int
    """How many customers this call merged into this one; 0 when it is repeated."""
    merged_points: int
    """How many points they brought; 0 when the call is repeated."""
    balance: int
    """What the customer can spend now, in points."""
    balance_seq: int
    """The last transfer included in the balance. It only grows: of two balances, the one with the larger number is newer."""


class CustomerResult(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One item's result: what the single call returns, or a problem."""

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


def customer_result(index: int, answer: CustomerAnswer | Problem, request_id: str) -> CustomerResult:
    """Build an item's result."""
    if isinstance(answer, Problem):
        return CustomerResult(index=index, status=answer.status, problem=answer.document(request_id))
    return CustomerResult(index=index, status=200, **msgspec.structs.asdict(answer))
