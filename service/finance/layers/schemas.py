"""Sources of redemptions and uses of grants on the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Literal

import msgspec

from ledger import Book, GrantUses, RedemptionSources, Source, Use, Verb
from service.http.identifiers import grant_id, redemption_id

_KINDS: Mapping[Verb, Literal["grant", "opening", "adjustment"]] = {
    Verb.GRANT: "grant",
    Verb.MATURE: "grant",
    Verb.OPEN: "opening",
    Verb.ADJUST: "adjustment",
}
_TYPES: Mapping[Verb, Literal["redemption", "expiry", "forfeit", "clawback", "adjustment"]] = {
    Verb.AUTHORIZE: "redemption",
    Verb.CAPTURE: "redemption",
    Verb.EXPIRE: "expiry",
    Verb.FORFEIT: "forfeit",
    Verb.CLAWBACK: "clawback",
    Verb.ADJUST: "adjustment",
}


class SourceResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Points of one grant with one expiry day that a redemption took."""

    type: Literal["grant", "opening", "adjustment"]
    """What brought the points in: a grant, an opening balance that was imported, or an adjustment."""
    grant_id: str | None
    """The grant; null if it was none."""
    campaign: str | None
    """The grant's campaign; null if it was no grant."""
    channel: str | None
    """The channel of the event that earned them; null if it was no grant."""
    action: str | None
    """The action that earned them; null if it was no grant."""
    granted_at: datetime
    """When the points became spendable for the first time."""
    seq: int
    """The number of that transfer in the book."""
    expires_on: date | None
    """The last day of the points, in the brand's time zone; null: they never expire."""
    account_class: str = msgspec.field(name="class")
    """Their accounting class: `engagement`, `purchase` or `third_party`."""
    points: int
    """How many of these points were set aside."""
    held: int
    """How many of them are still held."""
    captured: int
    """How many of them were spent, including those that were given back since."""
    released: int
    """How many of them were released unspent."""
    refunded: int
    """How many of the spent ones were given back."""

    @classmethod
    def of(cls, source: Source, campaigns: Mapping[int, str]) -> SourceResponse:
        """The source as the API shows it; ``campaigns`` names campaigns by number."""
        no, key = source.campaign_no, source.event_key
        return cls(
            type=_KINDS[source.verb],
            grant_id=None if no is None or key is None else grant_id(no, key),
            campaign=None if no is None else campaigns.get(no, str(no)),
            channel=source.channel,
            action=source.action,
            granted_at=source.issued_at,
            seq=source.seq,
            expires_on=source.expires_on,
            account_class=source.account_class.name.lower(),
            points=source.authorized,
            held=source.held,
            captured=source.captured,
            released=source.authorized - source.held - source.captured,
            refunded=source.refunded,
        )


class SourcesResponse(msgspec.Struct, frozen=True):
    """Where the points of a redemption came from, soonest to expire first, then oldest first. Their `points` add up to what was
    authorized, and captured after a hold had timed out.
    """

    as_of_seq: int
    """The last transfer included. It is the book's newest, unless thousands of the customer's have not been read yet."""
    items: Sequence[SourceResponse]
    """The sources of this page."""
    next: str | None
    """The `after` of the next page; null on the last page."""

    @classmethod
    def of(cls, found: RedemptionSources, campaigns: Mapping[int, str], after: int, limit: int) -> SourcesResponse:
        """A page of the sources: ``after`` is how many come before it."""
        items = [SourceResponse.of(source, campaigns) for source in found.sources[after : after + limit]]
        return cls(found.seq, items, _next(len(found.sources), after + limit))


class UseResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Where some of a grant's points went."""

    type: Literal["redemption", "expiry", "forfeit", "clawback", "adjustment"]
    """What took them: a redemption, their expiry, the erasure of their customer, a claw-back, or an adjustment."""
    redemption_id: str | None
    """The redemption; null if it was none."""
    posted_at: datetime | None
    """When they were taken; null if they have expired and that is not posted yet."""
    seq: int | None
    """The number of that transfer in the book; null as for `posted_at`."""
    points: int
    """How many of the grant's points it took."""
    held: int
    """How many of them a redemption still holds."""
    captured: int
    """How many of them a redemption spent, including those that were given back since."""
    released: int
    """How many of them a redemption released unspent."""
    refunded: int
    """How many of the spent ones were given back."""

    @classmethod
    def of(cls, use: Use, book: Book) -> UseResponse:
        """The use as the API shows it."""
        is_redemption = use.redemption is not None
        return cls(
            type=_TYPES[use.verb],
            redemption_id=None if use.redemption is None else redemption_id(book.book_id, use.redemption),
            posted_at=use.posted_at,
            seq=use.seq,
            points=use.points,
            held=use.held,
            captured=use.captured,
            released=use.points - use.held - use.captured if is_redemption else 0,
            refunded=use.refunded,
        )


class UsesResponse(msgspec.Struct, frozen=True):
    """Where the points of a grant went, in the order of the book. What was released or refunded is left, or was used again."""

    as_of_seq: int
    """The last transfer included. It is the book's newest, unless thousands of the customer's have not been read yet."""
    points: int
    """How many points were granted; 0 if none were, or while they are held back."""
    left: int
    """How many of them the customer can still spend."""
    items: Sequence[UseResponse]
    """The uses of this page."""
    next: str | None
    """The `after` of the next page; null on the last page."""

    @classmethod
    def of(cls, found: GrantUses, book: Book, after: int, limit: int) -> UsesResponse:
        """A page of the uses: ``after`` is how many come before it."""
        items = [UseResponse.of(use, book) for use in found.uses[after : after + limit]]
        return cls(found.seq, found.points, found.left, items, _next(len(found.uses), after + limit))


def _next(there: int, until: int) -> str | None:
    return str(until) if until < there else None
