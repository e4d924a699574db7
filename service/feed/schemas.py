"""The feed on the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from ledger import GrantOutcome, Happening
from service import identifiers

_TYPES = {GrantOutcome.WAITING: "waiting", GrantOutcome.CAP_REACHED: "refused", GrantOutcome.BUDGET_EXHAUSTED: "refused"}
_REASONS: Mapping[GrantOutcome, Literal["stronger_evidence_needed", "cap_reached", "budget_exhausted"]] = {
    GrantOutcome.WAITING: "stronger_evidence_needed",
    GrantOutcome.CAP_REACHED: "cap_reached",
    GrantOutcome.BUDGET_EXHAUSTED: "budget_exhausted",
}


class FeedEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened to a customer.

    ``position`` is its place, for ``after``. ``type`` is a verb of the log (``grant``, ``authorize``, ``capture``, ``void``,
    ``refund``, ``expire`` ...), ``waiting`` or ``refused``. ``customer`` is our number of the customer. An operation on points
    with several last days is an entry for each, with one ``transaction_id``.
    """

    position: str
    type: str
    reason: Literal["stronger_evidence_needed", "cap_reached", "budget_exhausted"] | None
    at: datetime
    customer: int
    points: int
    campaign: str | None
    grant_id: str | None
    redemption_id: str | None
    transaction_id: int | None
    action: str | None
    channel: str | None
    message_id: str | None

    @classmethod
    def of(cls, happening: Happening, book_id: int, campaigns: Mapping[int, str]) -> FeedEntry:
        """The entry as the API shows it; ``campaigns`` names campaigns by number."""
        no, key, verb, outcome = happening.campaign_no, happening.key, happening.verb, happening.outcome
        return cls(
            position=identifiers.position(happening.position),
            type=_TYPES[outcome] if outcome is not None else verb.name.lower() if verb is not None else "",
            reason=None if outcome is None else _REASONS[outcome],
            at=happening.at,
            customer=happening.customer,
            points=happening.points,
            campaign=None if no is None else campaigns.get(no, str(no)),
            grant_id=None if no is None or key is None else identifiers.grant_id(no, key),
            redemption_id=None if happening.redemption is None else identifiers.redemption_id(book_id, happening.redemption),
            transaction_id=happening.transaction_id,
            action=happening.action,
            channel=happening.channel,
            message_id=happening.message_id,
        )


class FeedPage(msgspec.Struct, frozen=True):
    """A part of the feed. ``next`` is where to go on, always: ``more`` says whether something is there already."""

    items: Sequence[FeedEntry]
    next: str
    more: bool
