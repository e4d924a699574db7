"""Quotes on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

from service.campaigns.rules import CapPer, Window
from service.customers.schemas import CustomerRef
from service.grants.schemas import GrantRequest, Outcome, Reason
from service.http.bodies import Batch, Identifier
from service.http.field_docs import ItemResult
from service.http.problems import Problem, ProblemDocument


class GrantQuoteRequest(GrantRequest, frozen=True, kw_only=True):
    """A possible event, as `POST /v1/grants` takes it. Its message may not exist yet."""

    message_id: Identifier | None = None  # pyright: ignore[reportIncompatibleVariableOverride] - see `as_report`
    """The sender's id of the message. Absent: a message not sent yet, on which nothing was decided."""
    customer: CustomerRef
    """The customer, by at least one name. An unknown customer is not created."""

    example: ClassVar[dict[str, Any]] = {
        "campaign": "hello-again",
        "customer": {"id": "customer-1"},
        "action": "click",
        "channel": "email",
        "ref": "offer-7",
    }

    def as_report(self) -> GrantRequest:
        """The report it would be. Without a message id, it gets one that no message has."""
        return msgspec.structs.replace(self, message_id=self.message_id or "")


class GrantQuoteBatch(Batch[GrantQuoteRequest]):
    """A JSON array, or NDJSON with one event a line; at most 100."""

    items_max: ClassVar[int] = 100


class CapLeft(msgspec.Struct, frozen=True, kw_only=True):
    """A cap that applies to the event, and what is left of it in the event's period."""

    cap: int
    """The cap's index, from 0, in the `caps` of the campaign's version."""
    per: CapPer
    """What is counted: each `customer` or `store` separately, or the whole `campaign`."""
    store_id: str | None
    """The store whose limit it is; null if it is not per `store`."""
    window: Window
    """The period: a `day`, a `week` from Monday, a `month` of the brand's calendar, `ever`, or any 24 hours (`rolling_day`).
    """
    action: str | None
    """The action that counts; null: all actions."""
    channel: str | None
    """The channel that counts; null: all channels."""
    max_grants: int | None
    """The most grants in one period; null: no limit."""
    max_points: int | None
    """The most points in one period; null: no limit."""
    grants_left: int | None
    """Grants left in the period; null: no limit on grants."""
    points_left: int | None
    """Points left in the period; null: no limit on points."""


class GrantQuoteAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What the event would earn now. Nothing was recorded, and nothing is promised.

    All figures are as of `as_of`, before the event. If nothing would be recorded (`ignored`), `caps` is empty and the fields
    that can be null are null.
    """

    outcome: Outcome
    """What the report would be answered: `granted`, `held_back`, `waiting`, `refused`, or `ignored` (it would not be
    recorded)."""
    reason: Reason | None
    """Why it would not be granted; null if it would."""
    points: int
    """Points that would be paid or held back; otherwise 0."""
    replayed: bool
    """Whether this event was decided before."""
    campaign_version: int | None
    """The version of the terms it would be judged by; null if nothing would be recorded."""
    caps: Sequence[CapLeft]
    """The caps that apply to the event."""
    budget_left: int | None
    """Points the campaign can still grant; null if unlimited, or if nothing would be recorded."""
    balance: int | None
    """What the customer can spend, in points; null if nothing would be recorded."""
    as_of: int | None
    """The last transfer these figures include; null if nothing would be recorded."""
    ref: str | None = None
    """The item's `ref`, as sent; null if it had none."""

    example: ClassVar[dict[str, Any]] = {
        "outcome": "granted",
        "reason": None,
        "points": 5,
        "replayed": False,
        "campaign_version": 1,
        "caps": [
            {
                "cap": 0,
                "per": "customer",
                "store_id": None,
                "window": "day",
                "action": None,
                "channel": None,
                "max_grants": 10,
                "max_points": None,
                "grants_left": 7,
                "points_left": None,
            }
        ],
        "budget_left": 4_812_345,
        "balance": 120,
        "as_of": 98_120,
        "ref": "offer-7",
    }


class GrantQuoteResult(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One item's result: what a single quote returns, or a problem."""

    described_by: ClassVar[tuple[type, ...]] = (ItemResult, GrantQuoteAnswer)

    index: int
    status: int
    outcome: Outcome | msgspec.UnsetType = msgspec.UNSET
    reason: Reason | msgspec.UnsetType | None = msgspec.UNSET
    points: int | msgspec.UnsetType = msgspec.UNSET
    replayed: bool | msgspec.UnsetType = msgspec.UNSET
    campaign_version: int | msgspec.UnsetType | None = msgspec.UNSET
    caps: Sequence[CapLeft] | msgspec.UnsetType = msgspec.UNSET
    budget_left: int | msgspec.UnsetType | None = msgspec.UNSET
    balance: int | msgspec.UnsetType | None = msgspec.UNSET
    as_of: int | msgspec.UnsetType | None = msgspec.UNSET
    ref: str | msgspec.UnsetType = msgspec.UNSET
    problem: ProblemDocument | msgspec.UnsetType = msgspec.UNSET


def quote_result(
    index: int, quoted: tuple[GrantQuoteRequest | Problem, GrantQuoteAnswer | Problem], request_id: str
) -> GrantQuoteResult:
    """Build an item's result."""
    item, answer = quoted
    ref = msgspec.UNSET if isinstance(item, Problem) or item.ref is None else item.ref
    if isinstance(answer, Problem):
        return GrantQuoteResult(index=index, status=answer.status, ref=ref, problem=answer.document(request_id))
    told: dict[str, Any] = {**msgspec.structs.asdict(answer), "ref": ref}
    return GrantQuoteResult(index=index, status=200, **told)
