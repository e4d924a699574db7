"""The wire of ``/v1/approvals`` and ``/v1/approval-limits``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar

import msgspec

from service.approvals.limits import DAYS_DEFAULT, Policy
from service.approvals.queries import Approval, State
from service.auth import looks
from service.http import identifiers
from service.http.bodies import Body
from service.http.validation_messages import NO_CONTROL_CHARACTERS

AMOUNT_MAX = 1_000_000_000_000_000_000

Note = Annotated[str, msgspec.Meta(min_length=1, max_length=500, pattern=NO_CONTROL_CHARACTERS)]
Amount = Annotated[int, msgspec.Meta(ge=0, le=AMOUNT_MAX)]


class DecisionRequest(Body, frozen=True):
    """What is decided, by its digest."""

    example: ClassVar[dict[str, Any]] = {"digest": "5d" * 32, "note": "Agreed with the shop."}

    digest: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$(?!\\n)", examples=["5d" * 32])]
    """The `digest` of the request as you have read it."""
    note: Note | None = None
    """Why, for others to read; the audit trail keeps it."""


class WhoResponse(msgspec.Struct, frozen=True):
    """A key, and the person it belongs to."""

    key: str
    """The id of the API key."""
    person: str | None
    """The id of the person it belongs to; null: it belongs to a system."""


class ErrorResponse(msgspec.Struct, frozen=True):
    """Why an approved request failed."""

    code: str
    """One of the codes of `/docs/errors`."""
    detail: str
    """What was wrong, for people."""


class ApprovalResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A request that waits for another person, or has waited."""

    id: str
    """The approval's id, `apr_` and a number."""
    kind: str
    """What is asked for, such as `campaign.fund`."""
    subject: str
    """What it is about, such as a campaign's id."""
    request: dict[str, Any]
    """The request as it was sent. Its fields depend on the kind."""
    amount: int
    """What counts towards limits: points, or as the kind's documentation says."""
    customer: str | None
    """Our number (`cus_`) of the customer it is for; null if it is for none, or for many."""
    exceeds: str
    """The limit it exceeds: `per_request`, `per_maker_day` or `per_customer_day`; `always` for kinds that always wait."""
    digest: str
    """The SHA-256 of kind, subject, amount, customer and request, in hexadecimal digits. Send it with your decision."""
    state: State
    """`pending`; `approved` until it is carried out, then `executed` or `failed`; `declined`; `expired`."""
    asked_by: WhoResponse
    """The key that sent the request."""
    asked_at: datetime
    """When it was sent."""
    expires_at: datetime
    """When it expires unless it is decided."""
    decided_by: WhoResponse | None
    """The key that approved or declined it; null: nobody yet, or it expired."""
    decided_at: datetime | None
    """When it was approved, declined, or recorded as expired."""
    note: str | None
    """What was noted with the decision."""
    executed_at: datetime | None
    """When it was carried out, or failed; null: it was not."""
    result: dict[str, Any] | None
    """What the request would have been answered without an approval; null until it is carried out."""
    error: ErrorResponse | None
    """Why it failed; null if it did not. It is not tried again: send a new request."""

    @classmethod
    def of(cls, approval: Approval) -> ApprovalResponse:
        """Describe an approval."""
        if approval.customer is not None:
            looks.see(approval.customer)
        decided_by = None if approval.decided_by is None else _who(approval.decided_by, approval.decided_by_person)
        return cls(
            id=identifiers.approval_id(approval.approval_no),
            kind=approval.kind,
            subject=approval.subject,
            request=approval.body,
            amount=approval.amount,
            customer=None if approval.customer is None else identifiers.customer_id(approval.customer),
            exceeds=approval.exceeds,
            digest=approval.digest.hex(),
            state=approval.state,
            asked_by=_who(approval.asked_by, approval.asked_by_person),
            asked_at=approval.asked_at,
            expires_at=approval.expires_at,
            decided_by=decided_by,
            decided_at=approval.decided_at,
            note=approval.note,
            executed_at=approval.executed_at,
            result=approval.result,
            error=None if approval.error is None else ErrorResponse(**approval.error),
        )


def _who(api_key_id: int, person_id: int | None) -> WhoResponse:
    return WhoResponse(identifiers.key_id(api_key_id), None if person_id is None else identifiers.person_id(person_id))


class LimitRequest(Body, frozen=True):
    """The limits of one kind; what is more waits."""

    kind: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
    """The kind, such as `campaign.fund`."""
    per_request: Amount | None = None
    """The most that one request may be for. 0: every request waits. Null: no limit."""
    per_maker_day: Amount | None = None
    """The most that one person, or one system with all keys its key created, may ask for on a day. Null: no limit."""
    per_customer_day: Amount | None = None
    """The most that may be asked for on a day for one customer. Null: no limit."""


class LimitsRequest(Body, frozen=True):
    """All limits of the brand, above which requests wait for another person."""

    example: ClassVar[dict[str, Any]] = {
        "expires_after_days": 7,
        "limits": [{"kind": "campaign.fund", "per_request": 100_000, "per_maker_day": 250_000}],
    }

    limits: Annotated[list[LimitRequest], msgspec.Meta(max_length=50)]
    """The limits by kind. A kind that is not named has none."""
    expires_after_days: Annotated[int, msgspec.Meta(ge=1, le=90)] = DAYS_DEFAULT
    """How many days a request waits before it expires."""


class LimitResponse(msgspec.Struct, frozen=True):
    """The limits of one kind; what is more waits."""

    kind: str
    """The kind, such as `campaign.fund`."""
    per_request: int | None
    """The most that one request may be for; null: no limit."""
    per_maker_day: int | None
    """The most that one person, or one system, may ask for on a day; null: no limit."""
    per_customer_day: int | None
    """The most that may be asked for on a day for one customer; null: no limit."""


class LimitsResponse(msgspec.Struct, frozen=True):
    """All limits of the brand, above which requests wait for another person."""

    version: int
    """How often the limits have been set; 0: never, and only kinds that always wait do."""
    expires_after_days: int
    """How many days a request waits before it expires."""
    limits: Sequence[LimitResponse]
    """The limits by kind."""

    @classmethod
    def of(cls, policy: Policy) -> LimitsResponse:
        """Describe a brand's limits."""
        limits = [
            LimitResponse(each.kind, each.per_request, each.per_maker_day, each.per_customer_day) for each in policy.limits
        ]
        return cls(policy.version, policy.expires_after_days, limits)
