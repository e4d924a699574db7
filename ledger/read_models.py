"""What reads return: balances and statements, the log and the feed, budgets, attention, cuts and the audit's findings.

Points are whole numbers, times are aware datetimes in UTC, and everything is frozen. A ``seq`` is the number of the book's
transfer as of which an answer holds.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, TypeAlias

import msgspec

from ledger.chart import Kind, describe_account
from ledger.types import AccountClass, Book, GrantOutcome, OfferNotice, RedemptionStatus, Verb


class Decisions(msgspec.Struct, frozen=True):
    """How many events of one outcome, channel and hour (UTC) a campaign has, and the points they were paid."""

    outcome: GrantOutcome
    channel: str
    hour: datetime
    events: int
    points: int


class Reconciliation(msgspec.Struct, frozen=True):
    """A campaign's funding, grants and decisions, in points, all up to one ``seq``, which the book reached by ``at``.

    ``granted`` is without what was ``clawed_back`` and with what was given by adjustments: so ``granted`` and ``clawed_back``
    are what the decisions paid and what was ``adjusted``.
    """

    seq: int
    at: datetime
    funded: int
    granted: int
    clawed_back: int
    adjusted: int
    decisions: tuple[Decisions, ...]


class Lot(msgspec.Struct, frozen=True):
    """Spendable points of one class with one last day."""

    account_class: AccountClass
    expires_on: date | None
    points: int


class Balance(msgspec.Struct, frozen=True):
    """What a customer has, as of ``seq``. ``spendable`` is the sum of ``lots``, which are soonest to expire first.

    A customer who was merged into another has nothing; ``moved_to`` is the survivor. ``generation`` changes with each merge and
    split.
    """

    spendable: int
    held: int
    pending: int
    lots: tuple[Lot, ...]
    seq: int
    moved_to: int | None = None
    generation: int = 0


class Spendable(msgspec.Struct, frozen=True):
    """The points a customer can spend, as of ``seq``; ``moved_to`` and ``generation`` are as in `Balance`."""

    points: int
    seq: int
    moved_to: int | None = None
    generation: int = 0


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One line of a customer's statement. ``points`` is positive where the customer gained spendable points."""

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
    """One row of the log: ``amount`` points from the debited to the credited account (16-byte ids, see ``chart``).

    ``accounting_date`` is the business date it counts on: of what fell due the day it did, of all else the day it was posted.
    """

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
    accounting_date: date


class Movement(msgspec.Struct, frozen=True, gc=False):
    """What transfers of one kind moved on one accounting date: ``points`` in ``transfers``, the first and the last by ``seq``.

    ``debit`` and ``credit`` are the kinds of their accounts. ``channel``, ``action`` and ``grade`` are those of the events that
    were paid, held back, approved or rejected. Of a layer these and ``campaign_no`` are those of its grant, which counts on the
    date ``issued_on``. Of grants, where it is asked for, ``occurred_on`` is the day of the act if it was before ``day``.
    """

    day: date
    verb: Verb
    debit: Kind
    credit: Kind
    account_class: AccountClass
    campaign_no: int | None
    channel: str | None
    action: str | None
    grade: str | None
    transfers: int
    points: int
    first_seq: int
    last_seq: int
    issued_on: date | None = None
    occurred_on: date | None = None


class MovementsBy(msgspec.Struct, frozen=True, kw_only=True):
    """What daily movements are told apart by, besides day, verb, accounts and class. ``act`` is action and grade."""

    campaign: bool = False
    channel: bool = False
    act: bool = False
    month_of_issue: bool = False


class DailyMovements(msgspec.Struct, frozen=True, gc=False):
    """What changed what is owed in the log up to ``seq``. Points that left are of their grant's campaign and channel, and were
    issued on the first day of its month.
    """

    seq: int
    movements: Sequence[Movement]


class Adjustment(msgspec.Struct, frozen=True):
    """Points that a customer was given out of a campaign's budget or, if ``points`` is below zero, lost. ``reference`` and
    ``note`` are ``None`` where nothing was said, or where the customer was erased.
    """

    number: int
    seq: int
    posted_at: datetime
    customer: int
    points: int
    campaign_no: int | None
    reason: str
    reference: str | None
    note: str | None
    principal: int


class DueClawBack(msgspec.Struct, frozen=True):
    """What is taken back of a campaign's points on ``day``, as soon as a hold that timed out gives them back to a lot of a
    class and last day: they go to a ``budget`` of this kind.
    """

    day: date
    campaign_no: int
    account_class: AccountClass
    expires_on: date | None
    budget: Kind
    points: int

    @classmethod
    def of(cls, lot: bytes, budget: bytes, points: int, day: date) -> DueClawBack:
        """What goes from a lot to a budget."""
        given, taken = describe_account(lot), describe_account(budget)
        return cls(day, taken.number, given.account_class, given.expires_on, taken.kind, points)


class StageEarned(msgspec.Struct, frozen=True, gc=False):
    """What customers of one stage earned on one accounting date: ``new``, ``active`` or ``reactivated``."""

    day: date
    campaign_no: int | None
    account_class: AccountClass
    stage: str
    acts: int
    points: int


class CustomerMovement(msgspec.Struct, frozen=True, gc=False):
    """What one customer's transfers of one kind moved in a stretch of days, the last of them on ``day``.

    ``verified`` counts the acts with evidence of grade A or B, the last of which was on ``acted_on``. ``redemptions`` are those
    that points were captured from.
    """

    customer: int
    stretch: int
    verb: Verb
    points: int
    day: date
    verified: int
    acted_on: date | None
    redemptions: Sequence[int]


class CustomerMessage(msgspec.Struct, frozen=True, gc=False):
    """A message on which a customer was reported, and how many of these acts have evidence of grade A or B."""

    customer: int
    channel: str
    message_id: str | None
    verified: int


class ActHour(msgspec.Struct, frozen=True, gc=False):
    """How many acts were on a channel in an hour of the week, in the book's time zone. Monday is ``weekday`` 1."""

    channel: str
    verified: bool
    weekday: int
    hour: int
    acts: int


class RedemptionStep(msgspec.Struct, frozen=True, gc=False):
    """One step of a redemption, on its accounting date; ``seq`` is its first transfer. What a final capture releases is a step
    of its own.

    ``value`` is that of the whole redemption, in minor units. Store and terminal are those of the redemption unless others were
    given with the step.
    """

    day: date
    verb: Verb
    redemption: int
    points: int
    seq: int
    value: int | None
    store_id: str | None
    terminal_id: str | None


class RedemptionFilter(msgspec.Struct, frozen=True):
    """Which redemptions are wanted; ``None`` is any. Store and terminal are those that authorized.

    ``between`` bounds the ids, which are those of their first transfers, on both sides and without the bounds.
    """

    customer: int | None = None
    order_ref: str | None = None
    store_id: str | None = None
    terminal_id: str | None = None
    status: RedemptionStatus | None = None
    between: tuple[int, int] = (0, 2**63 - 1)

    @property
    def leading(self) -> RedemptionFilter:
        """What of it an index finds: of a customer, an order and a store, what there is the least of."""
        if self.order_ref is not None:
            return RedemptionFilter(order_ref=self.order_ref, between=self.between)
        if self.customer is not None:
            return RedemptionFilter(customer=self.customer, between=self.between)
        return RedemptionFilter(store_id=self.store_id, between=self.between)

    def takes(self, row: Mapping[str, Any]) -> bool:
        """Whether a redemption is one of them."""
        named = {name: getattr(self, name) for name in ("customer", "order_ref", "store_id", "terminal_id", "status")}
        return all(value is None or row[name] == value for name, value in named.items())


class Cut(msgspec.Struct, frozen=True):
    """An instant made exact: all transfers up to and including ``seq``."""

    name: str
    seq: int
    posted_at: datetime


class InstantOutcome(enum.IntEnum):
    """How an instant was made exact, in order of precedence."""

    IN_FUTURE = 1
    BEFORE_BOOK = 2
    KNOWN = 3


class AsOf(msgspec.Struct, frozen=True):
    """An instant made exact: all transfers up to ``cut``, and what fell due by then, whenever it was or will be posted.

    That is lots whose last day is before ``day``, and holds and held-back points with a deadline up to ``at``.
    """

    cut: Cut
    at: datetime
    day: date


class CloseOutcome(enum.IntEnum):
    """How a request to close a period was decided, in order of precedence."""

    CLOSED_BEFORE = 1
    NOT_OVER = 2
    OUT_OF_ORDER = 3
    BEFORE_BOOK = 4
    CLOSED = 5


class CloseState(enum.IntEnum):
    """How far a close has come. ``SETTLED``: all that it reckoned is in the log."""

    STORING = 1
    CLOSED = 2
    SETTLED = 3


class CloseTotals(msgspec.Struct, frozen=True):
    """What a close comes to: debits and credits by line of the trial balance; how many accounts have a balance, and how many
    customers have points; the digests of both.
    """

    lines: Mapping[bytes, tuple[int, int]]
    accounts: int
    customers: int
    lines_digest: bytes
    balances_digest: bytes


class Close(msgspec.Struct, frozen=True):
    """A closed period: what the book was at ``ends_at``, the first instant after its last day.

    ``cut`` is the log up to then; what had fallen due and was not posted yet is in it by ``settled_seq``. There are ``totals``
    once all is stored.
    """

    begins_on: date
    ends_on: date
    version: int
    state: CloseState
    ends_at: datetime
    closed_at: datetime
    cut: Cut
    settled_seq: int | None
    stored_through: bytes
    totals: CloseTotals | None

    @property
    def as_of(self) -> AsOf:
        """The last instant of the period, at which lots with this last day have expired."""
        return AsOf(self.cut, self.ends_at - timedelta(microseconds=1), self.ends_on + timedelta(days=1))


class LeftOpen(msgspec.Struct, frozen=True):
    """What is still to be decided or posted of a period, ``at`` a time: each is counted up to ``LEFT_OPEN_MAX``.

    ``holds`` and ``held_back`` fell due in it and are not posted yet, nor may be what died with it unless ``is_swept``.
    ``to_approve`` are grants that are held back and not due; ``waiting`` are events that wait for more evidence.
    """

    ends_at: datetime
    at: datetime
    holds: int
    held_back: int
    is_swept: bool
    to_approve: int
    waiting: int

    @property
    def unsettled(self) -> int:
        """How much fell due in it and is not posted yet; lots that died count as one. 0: the period is settled."""
        return self.holds + self.held_back + (not self.is_swept)


LEFT_OPEN_MAX = 10_000


class Position(msgspec.Struct, frozen=True):
    """A reader's place in a book's feed: the last ``seq`` they have read of its transfers, and the last ``place`` of its
    decisions that moved no points.
    """

    seq: int = 0
    place: int = 0


EventName: TypeAlias = tuple[Book, int, bytes]
"""What an event is recorded under: its book, its campaign's number, its key."""


class Event(msgspec.Struct, frozen=True):
    """What was reported, and how it was decided. ``seq`` is the transfer's; for an event that moved no points, the head's at
    that time.
    """

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
    principal: int


class ActFilter(msgspec.Struct, frozen=True):
    """What is asked of events' details; ``None`` is any. What was erased is nothing that anybody asks for.

    ``metadata`` is a name and its value, as text: numbers and ``true``, ``false``, ``null`` as JSON writes them. ``store_id``
    is the value of that name.
    """

    action: str | None = None
    channel: str | None = None
    grade: str | None = None
    message_id: str | None = None
    principal: int | None = None
    metadata: tuple[str, str] | None = None
    store_id: str | None = None

    def matches(self, event: Event) -> bool:
        """Whether an event is one of those."""
        return (
            self.action in {None, event.action}
            and self.channel in {None, event.channel}
            and self.grade in {None, event.grade}
            and self.message_id in {None, event.message_id}
            and self.principal in {None, event.principal}
            and (self.metadata is None or _has_metadata(event, *self.metadata))
            and (self.store_id is None or _has_metadata(event, "store_id", self.store_id))
        )


def _has_metadata(event: Event, name: str, value: str) -> bool:
    known = {} if event.metadata is None else msgspec.json.decode(event.metadata, type=dict[str, Any])
    if name not in known:
        return False
    found = known[name]
    return value == (found if isinstance(found, str) else msgspec.json.encode(found).decode())


class TransferFilter(msgspec.Struct, frozen=True):
    """Which transfers of the log are looked for; ``None`` is any. ``since`` and ``until`` are accounting dates, included,
    ``occurred_since`` and ``occurred_until`` the days on which it occurred.

    ``act`` is of their events. Store and terminal are those named with a capture or refund, or else where the redemption began.
    """

    verbs: tuple[Verb, ...] | None = None
    campaign_no: int | None = None
    account_class: AccountClass | None = None
    since: date | None = None
    until: date | None = None
    occurred_since: date | None = None
    occurred_until: date | None = None
    act: ActFilter = ActFilter()
    customers: tuple[int, ...] | None = None
    redemptions: tuple[int, ...] | None = None
    store_id: str | None = None
    terminal_id: str | None = None


class HeldBack(msgspec.Struct, frozen=True):
    """An event that holds points back, by whose they are now and what it is recorded under."""

    customer: int
    campaign_no: int
    key: bytes


class Refusal(msgspec.Struct, frozen=True):
    """An event that was refused for a cap or the budget. ``place`` is its place among the decisions that moved no points.

    ``message_id`` is ``None`` once the details were erased.
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


class FeedEntry(msgspec.Struct, frozen=True):
    """One thing that happened to a customer: a transfer (``verb``), an event that moved no points (``outcome``), or what became
    of an offer to them (``notice``).

    ``position`` is the reader's after this entry. ``balance_change`` is what it did to the points the customer can spend.
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
    notice: OfferNotice | None = None
    offer_group: str | None = None


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One thing that happened to a customer: a transfer, or a decision that moved no points (then it has a ``place``).

    From ``posted_at`` to ``details_hash`` it is of the transfer, from ``outcome`` to ``source`` of the event it belongs to, as
    it stands now; then of its redemption, and of the correction it was made by. What does not apply is ``None``.
    """

    seq: int
    place: int | None
    campaign_no: int | None
    key: bytes | None
    verb: Verb | None
    posted_at: datetime | None
    occurred_at: datetime | None
    debit: bytes | None
    credit: bytes | None
    amount: int | None
    transaction_id: int | None
    accounting_date: date | None
    leaf_version: int | None
    details_hash: bytes | None
    outcome: GrantOutcome | None
    points: int | None
    grade: str | None
    window_at: datetime | None
    decided_at: datetime | None
    due_at: datetime | None
    campaign_version: int | None
    rule: int | None
    action: str | None
    channel: str | None
    message_id: str | None
    metadata: str | None
    principal: int | None
    source: str | None
    redemption: int | None
    order_ref: str | None
    store_id: str | None
    terminal_id: str | None
    reason: str | None
    reference: str | None
    note: str | None
    corrected_by: int | None

    @property
    def at(self) -> datetime:
        """When it was posted or decided."""
        at = self.posted_at or self.decided_at
        assert at is not None
        return at


class WalletMovement(msgspec.Struct, frozen=True, gc=False):
    """What one customer's transfers of one verb changed of what is owed to them in one class, in a stretch of days."""

    stretch: int
    account_class: AccountClass
    verb: Verb
    change: int


class Lookback(msgspec.Struct, frozen=True):
    """How far back a span of time goes in a book: everything after ``since``, up to ``until`` and whatever has come since.

    It is the transfers from ``seq`` on, and the decisions that moved no points from ``place`` on.
    """

    book: Book
    since: datetime
    until: datetime
    seq: int
    place: int


class Responders(msgspec.Struct, frozen=True, gc=False):
    """The customers who acted within a `Lookback`, however it was decided; ``proved`` are those with evidence of grade A or B.

    ``complete`` is false where there were more acts than are read: then these are the customers of the newest ones.
    """

    acted: frozenset[int]
    proved: frozenset[int]
    complete: bool


class MessageAttention(msgspec.Struct, frozen=True, gc=False):
    """What is known of a customer on one channel and message within a `Lookback`.

    ``reported_at`` is when the last report on it was decided, ``None`` if that was before. ``rewards`` is how many acts were
    paid, ``points`` what they were paid in all, ``rewarded_at`` when the last was. ``message_id`` is ``None`` once the details
    were erased.
    """

    channel: str
    message_id: str | None
    reported_at: datetime | None
    rewards: int
    points: int
    rewarded_at: datetime | None


class Attention(msgspec.Struct, frozen=True):
    """What one customer was sent and earned within a `Lookback`, by channel and message.

    ``complete`` is false where there was more than is read (``attention.SCAN_ROWS_MAX``): then this is the newest of it.
    """

    messages: tuple[MessageAttention, ...]
    complete: bool


class BookClock(msgspec.Struct, frozen=True):
    """How far a book's clock is ahead of the world's (``offset``). It is never before the last posting."""

    offset: timedelta
    posted_at: datetime

    def at(self, world: datetime) -> datetime:
        """What the book's clock says when the world's says ``world``."""
        return max(self.posted_at, world + self.offset)


class ClockOutcome(enum.IntEnum):
    """How moving a book's clock was decided, in order of precedence."""

    LIVE_BOOK = 1
    NOT_FORWARD = 2
    TOO_FAR = 3
    ADVANCED = 4


class ClockAdvance(msgspec.Struct, frozen=True):
    """Whether the clock was moved, and where it stands now."""

    outcome: ClockOutcome
    clock: BookClock


class TrialBalanceLine(msgspec.Struct, frozen=True):
    """The sums of all accounts of one kind. Each campaign's budget is a line, and so are lots of each class and last day."""

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
    """All accounts at ``cut``. If debits differ from credits, the book is broken."""

    cut: Cut
    debits: int
    credits: int
    lines: tuple[TrialBalanceLine, ...]


class Finding(msgspec.Struct, frozen=True):
    """What the audit checked. ``violations`` is 0 if the invariant holds; ``examples`` names up to five.

    ``unprovable`` counts those checked that cannot be recomputed: details of version 1 that were erased. ``warnings`` counts
    what breaks no invariant and is to be looked at.
    """

    invariant: str
    checked: int
    violations: int
    examples: tuple[str, ...] = ()
    unprovable: int = 0
    warnings: int = 0


class Source(msgspec.Struct, frozen=True):
    """What a redemption took of one layer and lot. ``authorized`` counts what was captured late, too, and ``captured`` what was
    refunded since; what is neither held nor captured was given back.

    ``seq``, ``verb`` and ``issued_at`` are of the transfer that brought the points in; ``campaign_no``, ``event_key``,
    ``action`` and ``channel`` of the grant, if it was one.
    """

    seq: int
    verb: Verb
    issued_at: datetime
    campaign_no: int | None
    event_key: bytes | None
    action: str | None
    channel: str | None
    account_class: AccountClass
    expires_on: date | None
    authorized: int
    held: int
    captured: int
    refunded: int


class RedemptionSources(msgspec.Struct, frozen=True):
    """Where the points of a redemption came from, soonest to expire first, then oldest first. All as of one ``seq``."""

    seq: int
    sources: tuple[Source, ...]


class Use(msgspec.Struct, frozen=True):
    """Where points of a grant went: a redemption, or out of the customer's lots by another ``verb``.

    ``seq`` and ``posted_at`` are of the first transfer; ``None`` of points that have expired by now and are not posted yet.
    """

    redemption: int | None
    verb: Verb
    seq: int | None
    posted_at: datetime | None
    points: int
    held: int
    captured: int
    refunded: int


class CorrectionsMade(msgspec.Struct, frozen=True):
    """How many corrections of a kind there are for a ``reason``, and how many points they moved: claw-backs, rejections of what
    was held back, or adjustments that gave (``is_credit``) or took points.
    """

    verb: Verb
    is_credit: bool
    reason: str
    corrections: int
    points: int


class GrantUses(msgspec.Struct, frozen=True):
    """Where the points of a grant went, in the order of the log, and how many are ``left`` in lots. All as of one ``seq``."""

    seq: int
    points: int
    left: int
    uses: tuple[Use, ...]
