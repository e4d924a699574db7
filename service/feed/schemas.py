"""The feed on the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, cast

import msgspec

import ledger
from ledger import GrantOutcome, OfferNotice, Verb
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
    "forfeit",
    "offer.lapsed",
    "offer.fell_back",
]
"""What moved no points, what became of offers, and every transfer type but ``fund``, which concerns no customer. A ``time_out``
is a ``void``.
"""

Reason = Literal["stronger_evidence_needed", "cap_reached", "store_budget_exhausted", "budget_exhausted", "offer_lapsed"]

_OUTCOMES: Mapping[GrantOutcome, tuple[Type, Reason]] = {
    GrantOutcome.WAITING: ("waiting", "stronger_evidence_needed"),
    GrantOutcome.CAP_REACHED: ("refused", "cap_reached"),
    GrantOutcome.GROUP_CAP_REACHED: ("refused", "store_budget_exhausted"),
    GrantOutcome.BUDGET_EXHAUSTED: ("refused", "budget_exhausted"),
    GrantOutcome.OFFER_LAPSED: ("refused", "offer_lapsed"),
}
_NOTICES: Mapping[OfferNotice, Type] = {OfferNotice.LAPSED: "offer.lapsed", OfferNotice.FELL_BACK: "offer.fell_back"}


class FeedEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened to a customer.

    A merge or split yields two entries per lot: the points leave one customer and reach the other. An operation on points of
    several expiry days yields one entry per day, all with the same `transaction_id`.
    """

    position: str
    """The entry's place in the feed. Send it as `after` to resume behind it."""
    type: Type
    """The type of transfer (`grant`, `capture` ...); `waiting` or `refused` for a decision that moved no points;
    `offer.lapsed`; or `offer.fell_back` if a message will not arrive, so that its offer stands on the others."""
    reason: Reason | None
    """Why it waits or was refused; otherwise null."""
    at: datetime
    """When it was posted or decided."""
    customer: int
    """Our number of the customer, without `cus_`."""
    points: int
    """How many points moved; 0 for `waiting` and `refused`."""
    balance_change: int
    """How this changed what the customer can spend, in points; may be negative or 0."""
    campaign: str | None
    """The campaign's id; null if none."""
    grant_id: str | None
    """The grant; null if none."""
    redemption_id: str | None
    """The redemption; null if none."""
    transaction_id: int | None
    """The `seq` of the operation's first transfer, shared by all its entries; null if no points moved."""
    action: str | None
    """What the customer did, such as `click`; null if this is no grant, or erased."""
    channel: str | None
    """The channel; null as for `action`."""
    message_id: str | None
    """The sender's id of the message; null as for `action`. Of `offer.fell_back` the one that will not arrive."""
    offer_group: str | None
    """Of `offer.lapsed` and `offer.fell_back`: your id of the offer, unless it is erased."""

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
            grant_id=None if no is None or key is None or entry.notice is not None else identifiers.grant_id(no, key),
            redemption_id=None if entry.redemption is None else identifiers.redemption_id(book_id, entry.redemption),
            transaction_id=entry.transaction_id,
            action=entry.action,
            channel=entry.channel,
            message_id=entry.message_id,
            offer_group=entry.offer_group,
        )


def _type_and_reason(entry: ledger.FeedEntry) -> tuple[Type, Reason | None]:
    if entry.notice is not None:
        return _NOTICES[entry.notice], None
    if entry.outcome is not None:
        return _OUTCOMES[entry.outcome]
    assert entry.verb is not None, "what happened is a transfer or an event"
    return "void" if entry.verb is Verb.TIME_OUT else cast("Type", entry.verb.name.lower()), None


class FeedPage(msgspec.Struct, frozen=True):
    """A page of the feed."""

    items: Sequence[FeedEntry]
    """What happened, oldest first."""
    next: str
    """The `after` of the next call. Always present, also at the end of the feed."""
    more: bool
    """Whether more entries are available now."""
