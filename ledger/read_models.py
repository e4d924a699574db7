"""What reads return: balances and statements, the log and the feed, budgets, attention, cuts and the audit's findings.

Points are whole numbers, times are aware datetimes in UTC, and everything is frozen. A ``seq`` says as of which transfer of the
book it is.
"""

from __future__ import annotations

import enum
from datetime import date, datetime, timedelta
from typing import TypeAlias

import msgspec

from ledger.types import AccountClass, Book, GrantOutcome, Verb


class Decisions(msgspec.Struct, frozen=True):
    """How many events of one channel, counted in one hour (UTC), were decided alike, and what they were paid."""

    outcome: GrantOutcome
    channel: str
    hour: datetime
    events: int
    points: int


class Reconciliation(msgspec.Struct, frozen=True):
    """What a campaign was funded with, has granted and has decided, all up to one ``seq``, which the book had at ``at``."""

    seq: int
    at: datetime
    funded: int
    granted: int
    decisions: tuple[Decisions, ...]


class Lot(msgspec.Struct, frozen=True):
    """Spendable points of one class with one last day."""

    account_class: AccountClass
    expires_on: date | None
    points: int


class Balance(msgspec.Struct, frozen=True):
    """What a customer has, as of ``seq``: ``spendable`` is the sum of ``lots``, soonest to expire first.

    Who was merged into another has nothing; ``moved_to`` says into whom. ``generation`` grows with her merges and splits.
    """

    spendable: int
    held: int
    pending: int
    lots: tuple[Lot, ...]
    seq: int
    moved_to: int | None = None
    generation: int = 0


class Spendable(msgspec.Struct, frozen=True):
    """What a customer can spend, as of ``seq``; ``moved_to`` and ``generation`` as in `Balance`."""

    points: int
    seq: int
    moved_to: int | None = None
    generation: int = 0


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One line of a customer's statement. ``points`` is positive when the customer gained spendable points."""

    seq: int
    posted_at: datetime
    occurred_at: datetime
    verb: str
    points: int
    expires_on: date | None
    campaign_no: int | None
    event_key: bytes | None
    redemption: int | None


class Transfer(msgspec.Struct, frozen=True):
    """One row of the log: ``amount`` points from the debited to the credited account (16-byte ids, see ``chart``)."""

    seq: int
    posted_at: datetime
    occurred_at: datetime
    verb: Verb
    debit: bytes
    credit: bytes
    amount: int
    customer: int | None
    campaign_no: int | None
    event_key: bytes | None
    transaction_id: int
    due_at: datetime | None


class Cut(msgspec.Struct, frozen=True):
    """An instant made exact: all transfers up to and including ``seq``."""

    name: str
    seq: int
    posted_at: datetime


class Position(msgspec.Struct, frozen=True):
    """How far a reader has come in all that happened in a book (see ``happenings``): in its transfers, which are numbered by
    ``seq``, and in its decisions that moved no points, which are numbered by ``place``.
    """

    seq: int = 0
    place: int = 0


EventName: TypeAlias = tuple[Book, int, bytes]
"""What an event is recorded under: the book, the campaign's number, the key."""


class Event(msgspec.Struct, frozen=True):
    """What was reported, and what was decided about it. ``seq`` is the transfer's, or the head's when it moved no points."""

    campaign_no: int
    key: bytes
    customer: int
    outcome: GrantOutcome
    points: int
    seq: int
    grade: str
    window_at: datetime
    decided_at: datetime
    due_at: datetime | None
    campaign_version: int
    action: str
    channel: str
    message_id: str | None
    qualifier: str
    source: str
    metadata: str | None


class Refusal(msgspec.Struct, frozen=True):
    """An event that was refused for a cap or the budget, and its ``place`` in the order of the decisions that moved no points.

    Without a ``message_id`` its details were erased.
    """

    place: int
    customer: int
    grade: str
    window_at: datetime
    campaign_version: int
    rule: int
    principal: int
    action: str
    channel: str
    message_id: str | None
    qualifier: str
    source: str
    metadata: str | None


class Happening(msgspec.Struct, frozen=True):
    """One thing that happened to a customer: a transfer (``verb``), or an event that moved no points (``outcome``).

    ``position`` is that of a reader who has come so far. ``balance_change`` is what the transfer did to what she can spend.
    """

    position: Position
    verb: Verb | None
    outcome: GrantOutcome | None
    at: datetime
    customer: int
    points: int
    balance_change: int
    transaction_id: int | None
    campaign_no: int | None
    key: bytes | None
    redemption: int | None
    action: str | None
    channel: str | None
    message_id: str | None


class Reach(msgspec.Struct, frozen=True):
    """How far back a span of time goes in a book: all that came after ``since``, up to ``until`` and whatever came meanwhile.

    These are the transfers from ``seq`` on, and the decisions that moved no points from ``place`` on.
    """

    book: Book
    since: datetime
    until: datetime
    seq: int
    place: int


class Responders(msgspec.Struct, frozen=True, gc=False):
    """Whose acts a book has within a `Reach`, whatever came of them; ``proved`` are those on evidence of grade A or B.

    ``complete`` is false where there was too much to look at: then these are the customers of the newest acts.
    """

    acted: frozenset[int]
    proved: frozenset[int]
    complete: bool


class Sighting(msgspec.Struct, frozen=True, gc=False):
    """What is known of a customer on one channel and message within a `Reach`.

    ``reported_at`` is when a report on it was decided last, ``None`` if all were decided before. ``rewards`` of her acts were
    paid ``points``, the last at ``rewarded_at``. Without a ``message_id`` the report's details were erased.
    """

    channel: str
    message_id: str | None
    reported_at: datetime | None
    rewards: int
    points: int
    rewarded_at: datetime | None


class Attention(msgspec.Struct, frozen=True):
    """All sightings of one customer, one for each channel and message. If there was too much to look at (see
    ``attention.LOOKED_AT_MAX``) it is not ``complete``: there was this at least.
    """

    sightings: tuple[Sighting, ...]
    complete: bool


class BookClock(msgspec.Struct, frozen=True):
    """How a book's clock stands to the world's. It runs ``offset`` ahead, and never before the last posting."""

    offset: timedelta
    posted_at: datetime

    def at(self, world: datetime) -> datetime:
        """What the book's clock says when the world's says ``world``."""
        return max(self.posted_at, world + self.offset)


class ClockOutcome(enum.IntEnum):
    """What became of moving a book's clock, in order of precedence."""

    LIVE_BOOK = 1
    NOT_FORWARD = 2
    TOO_FAR = 3
    ADVANCED = 4


class ClockAdvance(msgspec.Struct, frozen=True):
    """Whether the clock was moved, and how it stands then."""

    outcome: ClockOutcome
    clock: BookClock


class TrialBalanceLine(msgspec.Struct, frozen=True):
    """Sums of the accounts of one kind (a campaign's budget, or lots of one class and last day, is a line of its own)."""

    kind: str
    account_class: str | None
    campaign_no: int | None
    expires_on: date | None
    debits: int
    credits: int

    @property
    def balance(self) -> int:
        """Credits less debits."""
        return self.credits - self.debits


class TrialBalance(msgspec.Struct, frozen=True):
    """All accounts at ``cut``; debits equal credits, or the book is broken."""

    cut: Cut
    debits: int
    credits: int
    lines: tuple[TrialBalanceLine, ...]


class Finding(msgspec.Struct, frozen=True):
    """What the audit checked: ``violations`` is 0 when the invariant holds; ``examples`` names up to five."""

    invariant: str
    checked: int
    violations: int
    examples: tuple[str, ...] = ()
