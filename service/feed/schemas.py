"""The feed on the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, cast

import msgspec

import ledger
from ledger import GrantOutcome
from service.http import identifiers

Type = Literal[
    "waiting",
    "refused",
    "grant",
    "hold_back",
    "mature",
    "reject",
    "authorize",
    "capture",
    "void",
    "refund",
    "expire",
    "clawback",
    "adjust",
    "merge",
    "split",
    "open",
]
"""What moved no points, and every verb of the log but ``fund``, which happens to no customer."""

Reason = Literal["stronger_evidence_needed", "cap_reached", "budget_exhausted"]

_OUTCOMES: Mapping[GrantOutcome, tuple[Type, Reason]] = {
    GrantOutcome.WAITING: ("waiting", "stronger_evidence_needed"),
    GrantOutcome.CAP_REACHED: ("refused", "cap_reached"),
    GrantOutcome.BUDGET_EXHAUSTED: ("refused", "budget_exhausted"),
}


class FeedEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened to a customer.

    ``position`` is for ``after``. ``type`` is a verb of the log, ``waiting`` or ``refused``. Points that are held back
    (``hold_back``) become hers (``mature``) or go back to the budget (``reject``). A customer who is merged into another gives
    what she has and the other gets it: two entries (``merge``) for each last day. A ``split`` undoes it in the same way.
    ``customer`` is our number of the customer, ``points`` how many were moved, and ``balance_change`` what that did to what she
    can spend. An operation on points with several last days is an entry for each, with one ``transaction_id``.
    """

    position: str
    """Where the entry is in the feed; send it as `after` to go on behind it."""
    type: Type
    """A verb of the log (`grant`, `capture` ...), or `waiting` or `refused` for what moved no points."""
    reason: Reason | None
    """Why it waits or was refused; null for all others."""
    at: datetime
    """When it was posted or decided."""
    customer: int
    """Our number of the customer, without `cus_`."""
    points: int
    """How many points were moved; 0 for what waits or was refused."""
    balance_change: int
    """What that did to what the customer can spend, in points; may be negative or 0."""
    campaign: str | None
    """The campaign's id; null for what belongs to none."""
    grant_id: str | None
    """The decision; null for what is no grant."""
    redemption_id: str | None
    """The redemption; null for what belongs to none."""
    transaction_id: int | None
    """The `seq` of the first transfer of the operation, the same in all its entries; null where no points moved."""
    action: str | None
    """What the customer did, such as `click`; null for what is no grant, or once erased."""
    channel: str | None
    """On which channel; null as for `action`."""
    message_id: str | None
    """The sender's own id of the message; null as for `action`."""

    @classmethod
    def of(cls, entry: ledger.FeedEntry, book_id: int, campaigns: Mapping[int, str]) -> FeedEntry:
        """The entry as the API shows it; ``campaigns`` names campaigns by number."""
        no, key = entry.campaign_no, entry.key
        entry_type, reason = _type_and_reason(entry)
        return cls(
            position=identifiers.position(entry.position),
            type=entry_type,
            reason=reason,
            at=entry.at,
            customer=entry.customer,
            points=entry.points,
            balance_change=entry.balance_change,
            campaign=None if no is None else campaigns.get(no, str(no)),
            grant_id=None if no is None or key is None else identifiers.grant_id(no, key),
            redemption_id=None if entry.redemption is None else identifiers.redemption_id(book_id, entry.redemption),
            transaction_id=entry.transaction_id,
            action=entry.action,
            channel=entry.channel,
            message_id=entry.message_id,
        )


def _type_and_reason(entry: ledger.FeedEntry) -> tuple[Type, Reason | None]:
    if entry.outcome is not None:
        return _OUTCOMES[entry.outcome]
    assert entry.verb is not None, "what happened is a transfer or an event"
    return cast("Type", entry.verb.name.lower()), None


class FeedPage(msgspec.Struct, frozen=True):
    """A part of the feed. ``next`` is where to go on, always: ``more`` says whether something is there already."""

    items: Sequence[FeedEntry]
    """What happened, oldest first."""
    next: str
    """The `after` of the next call, always; also at the end of the feed."""
    more: bool
    """Whether something is there already."""
