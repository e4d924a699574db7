"""What is posted: orders in, results out, all of it frozen.

    Book            a brand's book
    GrantOrder      in: pay this customer for this event        GrantResult       out
    GrantTerms      what many orders have in common
    Redeem          in: authorize, capture, void or refund      RedemptionResult  out
    ClawBack        in: take a grant's points back              ClawBackResult    out
    PurchaseReturn  in: a part of a purchase is returned      ReturnResult      out
    Adjust          in: give or take points, for a reason       AdjustResult      out
    Fund            in: give a campaign points to grant         FundResult        out

Points are whole numbers, 1 to ``POINTS_MAX``. Times are aware datetimes in UTC. A refusal is a result, never an exception.
Outcomes are listed in order of precedence: an order that is wrong in two ways is refused for the first.

A customer has a number and a ``generation``, which changes whenever they are merged or split. An order carries the generation
that its maker knew, so that an order made before a merge is not posted after it.

What reads return is in ``read_models``.
"""

from __future__ import annotations

import enum
from datetime import date, datetime
from typing import Any

import msgspec

from ledger.point_value import PointValue

POINTS_MAX = 1_000_000_000
"""The most points one grant, redemption or refund may move."""

FUND_MAX = 1_000_000_000_000_000
"""The most points one funding may move."""

TEXT_BYTES_MAX = 256
"""The longest id or reference, in bytes of UTF-8."""


class AccountClass(enum.IntEnum):
    """Which kind of liability a lot is in the brand's accounts."""

    ENGAGEMENT = 0
    PURCHASE = 1
    THIRD_PARTY = 2


class Grade(enum.StrEnum):
    """How sure we are that a person acted; ``A`` is the strongest. ``X`` (a machine) never reaches the ledger."""

    A = "A"
    B = "B"
    C = "C"
    D = "D"


class Verb(enum.IntEnum):
    """What a transfer does. The log keeps these numbers for ever."""

    FUND = 1
    GRANT = 2
    HOLD_BACK = 3
    MATURE = 4
    REJECT = 5
    AUTHORIZE = 6
    CAPTURE = 7
    VOID = 8
    REFUND = 9
    EXPIRE = 10
    CLAWBACK = 11
    ADJUST = 12
    MERGE = 13
    OPEN = 14
    SPLIT = 15
    TIME_OUT = 16
    FORFEIT = 17


class Book(msgspec.Struct, frozen=True):
    """A brand's book. Every function checks ``brand_id`` against the book's head."""

    brand_id: int
    book_id: int


class CapUse(msgspec.Struct, frozen=True, gc=False):
    """One cap that a grant counts against.

    ``period`` is the first day of the cap's period in the brand's time zone. ``None`` is a rolling day: the 24 hours before and
    after the event, so that a late report cannot exceed the cap. ``shared`` counts all customers of the campaign together and
    needs a ``period``; with a number below 0 as its ``group``, all grants of that group. ``None`` as a limit is no limit.
    """

    cap: int
    period: date | None
    max_grants: int | None = None
    max_points: int | None = None
    shared: bool = False
    group: int = 0

    @property
    def counted_for(self) -> int | None:
        """For whom it is counted: a group, all customers (0), or ``None`` for each customer."""
        return self.group if self.shared else None

    @property
    def terms(self) -> tuple[int | bool | date | None, ...]:
        """How the terms of an event list it: see pay_waiting_v1."""
        listed = self.cap, self.period, self.max_grants, self.max_points, self.shared
        return (*listed, self.group) if self.group else listed


class Corroboration(msgspec.Struct, frozen=True):
    """How an act corroborates other acts of the same customer on the same message: a strong one proves that a person is there.

    Keys are the customer's own first, then those of customers merged into them. A strong act (grade A or B) leaves a proof
    under the first of ``proof_keys`` and pays waiting events: for each of ``may_wait`` (the keys of one other event) the one
    that waits, unless another of these keys is decided already, or one of its ``past_keys`` was (see ``GrantOrder``). A waiting
    act is paid at once if there is a proof of grade ``needs`` or better under one of ``proof_keys``.
    """

    proof_keys: tuple[bytes, ...]
    may_wait: tuple[tuple[bytes, ...], ...] = ()
    past_keys: tuple[tuple[tuple[int, bytes], ...], ...] = ()
    needs: Grade = Grade.B


class GrantTerms(msgspec.Struct, frozen=True, gc=False):
    """What is the same for all grants of one rule, grade and day.

    ``action`` to ``rule`` are stored as details of each event. ``waits`` says that the evidence is too weak to pay now: the
    event is recorded, and a stronger report of the same key decides it, or a strong act on the same message (see
    `Corroboration`). ``expires_on`` is the last day the points can be spent, in the brand's time zone; ``None`` is never.
    ``held_back`` sets the points aside until they mature or are rejected, at the latest at an order's ``due_at``. ``again``
    decides once more an event that was refused for a cap or the budget. 0 ``points`` pay nothing and record only the proof.
    """

    book: Book
    campaign_no: int
    points: int
    grade: Grade
    action: str
    channel: str
    source: str
    principal: int
    campaign_version: int
    rule: int
    expires_on: date | None = None
    account_class: AccountClass = AccountClass.ENGAGEMENT
    caps: tuple[CapUse, ...] = ()
    waits: bool = False
    unlimited: bool = False
    held_back: bool = False
    again: bool = False


class GrantOrder(msgspec.Struct, frozen=True, gc=False):
    """Pay ``customer`` for one event, once. Orders that share their ``terms`` are prepared together.

    ``key`` names the event. ``former_keys`` are its keys under the numbers that were merged into the customer. ``past_keys``
    are its keys under each number that the customer was merged with for a time, with that number: they count if they were
    decided during that time. ``window_at`` is the time at which caps count the event. ``generation`` is the one the caller
    knows; if it is outdated, the outcome is ``STALE_CUSTOMER``.
    """

    terms: GrantTerms
    key: bytes
    customer: int
    message_id: str
    window_at: datetime
    occurred_at: datetime
    qualifier: str = ""
    metadata: str | None = None
    due_at: datetime | None = None
    former_keys: tuple[bytes, ...] = ()
    past_keys: tuple[tuple[int, bytes], ...] = ()
    generation: int = 0
    corroboration: Corroboration | None = None

    @property
    def book(self) -> Book:
        """The book it is posted to."""
        return self.terms.book

    def on(self, **changed: Any) -> GrantOrder:
        """A copy with these terms changed."""
        return msgspec.structs.replace(self, terms=msgspec.structs.replace(self.terms, **changed))


class GrantOutcome(enum.IntEnum):
    """How a grant was decided, in order of precedence.

    ``STALE_CUSTOMER``: the customer was merged or split since the caller looked them up. Nothing is recorded; look them up
    again. ``PROOF_ONLY``: there was nothing to pay; at most a proof was recorded. ``WAITING``: recorded, and paid once there is
    better evidence. ``NOT_FUNDED``: the campaign was never funded. Nothing is recorded, so the event can be paid later.
    ``CAP_REACHED``, ``GROUP_CAP_REACHED`` (the cap of a group) and ``BUDGET_EXHAUSTED`` are final unless an order asks to
    decide them ``again``. ``HELD_BACK`` becomes ``GRANTED`` or ``REJECTED``. ``OFFER_LAPSED``: an offer was not claimed.
    """

    STALE_CUSTOMER = 5
    PROOF_ONLY = 8
    WAITING = 4
    CAP_REACHED = 2
    GROUP_CAP_REACHED = 10
    NOT_FUNDED = 9
    BUDGET_EXHAUSTED = 3
    HELD_BACK = 6
    REJECTED = 7
    OFFER_LAPSED = 11
    GRANTED = 1


class OfferNotice(enum.IntEnum):
    """What the feed says of an offer: it ``LAPSED``, or it ``FELL_BACK`` on its other messages, as one will not arrive."""

    LAPSED = 1
    FELL_BACK = 2


class OfferNote(msgspec.Struct, frozen=True):
    """An offer that is to lapse, or that is known not to be made by ``message_id``.

    ``keys`` are those under which the offer may be decided, ``notice_keys`` those of what is noted: under the customer's own
    number first, then under those that were merged into it. ``at`` is when it came about.
    """

    notice: OfferNotice
    campaign_no: int
    campaign_version: int
    customer: int
    generation: int
    keys: tuple[bytes, ...]
    notice_keys: tuple[bytes, ...]
    offer_group: str
    at: datetime
    channel: str | None = None
    message_id: str | None = None


class OfferNoted(msgspec.Struct, frozen=True):
    """What an offer was decided as, ``None`` while it is open; and whether it was noted now.

    ``STALE_CUSTOMER``: the customer was merged or split since; nothing was noted.
    """

    outcome: GrantOutcome | None
    is_new: bool


class GrantResult(msgspec.Struct, frozen=True, gc=False):
    """The decision on one event.

    ``points`` were paid or are held back; 0 otherwise. ``balance`` is what the customer can spend after the whole batch, as of
    ``balance_seq``. ``seq`` is the transfer's; for an event that was refused or waits, the head's at that time. ``key`` is the
    one under which the event is recorded: the order's own, or one of its ``former_keys`` or ``past_keys``.
    """

    outcome: GrantOutcome
    points: int
    seq: int
    replayed: bool
    balance: int
    balance_seq: int
    key: bytes


class SettleOutcome(enum.IntEnum):
    """How settling held-back points was decided, in order of precedence."""

    NOT_FOUND = 1
    NOT_HELD_BACK = 2
    SETTLED = 3


class CapRoom(msgspec.Struct, frozen=True):
    """How many grants and points one cap has left; ``None`` where it has no such limit."""

    grants_left: int | None
    points_left: int | None


class GrantQuote(msgspec.Struct, frozen=True):
    """How an order would be decided now, as of the book's transfer ``seq``.

    ``outcome``, ``points`` and ``replayed`` are what the ``GrantResult`` would say. The rest is as it is before the order:
    ``caps`` in the order of the order's caps, ``budget_left`` in points (``None`` for an unlimited budget), and ``balance``,
    the points that the customer can spend.
    """

    outcome: GrantOutcome
    points: int
    replayed: bool
    caps: tuple[CapRoom, ...]
    budget_left: int | None
    balance: int
    seq: int


class Settlement(msgspec.Struct, frozen=True):
    """Whether an event's held-back points were settled, now or (``replayed``) in the same way before."""

    outcome: SettleOutcome
    replayed: bool


class MergeOutcome(enum.IntEnum):
    """How a merge was decided, in order of precedence.

    ``STALE_CUSTOMER``: one of the two was merged into someone else before. ``TOO_MANY``: together they would have more than
    eight numbers.
    """

    STALE_CUSTOMER = 1
    TOO_MANY = 2
    MERGED = 3


class MergeResult(msgspec.Struct, frozen=True):
    """Whether two customers are one now. ``points`` moved to the survivor. ``replayed``: they had been merged before."""

    outcome: MergeOutcome
    replayed: bool
    points: int


class EraseOutcome(enum.IntEnum):
    """How an erasure was decided. ``POINTS_HELD``: points are set aside for a purchase, or held back: nothing was done."""

    POINTS_HELD = 1
    ERASED = 2


class SplitOutcome(enum.IntEnum):
    """How a split was decided. ``NOT_PART``: the customer is not merged into the other, nor was the last split from them."""

    NOT_PART = 1
    SPLIT = 2


class SplitResult(msgspec.Struct, frozen=True):
    """Whether a customer is on their own again. ``points`` came back to them. ``replayed``: they had been split off before."""

    outcome: SplitOutcome
    replayed: bool
    points: int


class Standing(msgspec.Struct, frozen=True):
    """Into whom a customer is merged, as decided at this ``generation``. The ``survivor`` of an unmerged customer is the
    customer.
    """

    customer: int
    survivor: int
    generation: int


class Operation(enum.IntEnum):
    """What has an idempotency key, which is stored with these numbers. A redemption can be asked for the first four."""

    AUTHORIZE = 1
    CAPTURE = 2
    VOID = 3
    REFUND = 4
    FUND = 5
    CLAW_BACK = 6
    ADJUST = 7


class Redeem(msgspec.Struct, frozen=True):
    """One step of a redemption.

    AUTHORIZE takes ``customer``, ``points``, ``order_ref`` and ``hold_s`` (seconds), and may ``capture`` at once. ``maximum``
    authorizes all the customer can spend, at most ``POINTS_MAX``, instead of ``points``. The redemption records its ``value``
    in minor units, or else what its points are worth at ``point_value``, and its ``store_id`` and ``terminal_id``.

    CAPTURE, VOID and REFUND take ``redemption``; 0 ``points`` are all there are. A ``final`` capture releases the rest. CAPTURE
    and REFUND may have a ``ref``, ``store_id`` and ``terminal_id`` of their own, which their operation records. A hold that has
    timed out may be captured for ``grace_s`` seconds more, of what the customer has then.

    ``occurred_at`` is when a till says that it authorized or captured. It is kept, and decides nothing.

    ``generation`` is the customer's as the caller knows it; ``None`` accepts any. ``key`` is the caller's idempotency key,
    which only VOID may leave out. ``request_hash`` is 32 bytes that differ whenever the request does.
    """

    book: Book
    operation: Operation
    key: str | None
    request_hash: bytes
    points: int = 0
    customer: int = 0
    generation: int | None = None
    redemption: int = 0
    final: bool = True
    capture: bool = False
    hold_s: int = 0
    order_ref: str = ""
    value: int | None = None
    point_value: PointValue | None = None
    maximum: bool = False
    store_id: str | None = None
    terminal_id: str | None = None
    ref: str | None = None
    grace_s: int = 0
    occurred_at: datetime | None = None


class RedemptionOutcome(enum.IntEnum):
    """How a step of a redemption was decided, in order of precedence.

    ``STALE_CUSTOMER``: to authorize, the customer was merged, split or erased since; of other steps, they were erased.
    All but the first four and ``WORTH_NOTHING`` are kept under the idempotency key. ``OCCURRED_OUT_OF_RANGE``: the step cannot
    have happened then. ``WORTH_NOTHING``: the points are worth less than one minor unit. ``POINTS_GONE``: of a hold that has
    timed out, the customer has no longer what was to be captured.
    """

    IDEMPOTENCY_KEY_REUSED = 1
    NOT_FOUND = 2
    STALE_CUSTOMER = 3
    OCCURRED_OUT_OF_RANGE = 13
    AUTHORIZATION_EXPIRED = 4
    ALREADY_VOIDED = 5
    FULLY_CAPTURED = 6
    CAPTURE_EXCEEDS_AUTHORIZED = 7
    REFUND_EXCEEDS_CAPTURED = 8
    WORTH_NOTHING = 11
    POINTS_GONE = 12
    INSUFFICIENT_BALANCE = 9
    DONE = 10


class SinceTimeOut(enum.IntEnum):
    """What became of a redemption after its hold had timed out. ``CAPTURED``: in part, and more may be."""

    CAPTURED = 1
    CAPTURED_FOR_GOOD = 2
    VOIDED = 3


class RedemptionStatus(enum.StrEnum):
    """The status of a redemption."""

    AUTHORIZED = "authorized"
    PARTIALLY_CAPTURED = "partially_captured"
    CAPTURED = "captured"
    VOIDED = "voided"
    EXPIRED = "expired"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"


class RedemptionLot(msgspec.Struct, frozen=True):
    """The part of a redemption that came from lots of one class and last day."""

    account_class: AccountClass
    expires_on: date | None
    held: int
    captured: int
    refunded: int


class RedemptionOperation(msgspec.Struct, frozen=True):
    """One operation on a redemption. ``verb`` is authorize, capture, void or refund.

    ``ref``, ``store_id`` and ``terminal_id`` are those given with this capture or refund. ``occurred_at`` is when it happened,
    if that is not when it was posted.
    """

    verb: str
    points: int
    posted_at: datetime
    seq: int
    ref: str | None = None
    store_id: str | None = None
    terminal_id: str | None = None
    occurred_at: datetime | None = None


class Redemption(msgspec.Struct, frozen=True):
    """A redemption, as of ``balance_seq``. Points that are held, captured and released add up to ``authorized``.

    Of an erased customer ``order_ref`` is ``None``.
    """

    redemption: int
    customer: int
    status: RedemptionStatus
    order_ref: str | None
    store_id: str | None
    terminal_id: str | None
    value: int | None
    authorized: int
    captured: int
    released: int
    refunded: int
    expires_at: datetime
    balance: int
    balance_seq: int
    operations: tuple[RedemptionOperation, ...]
    lots: tuple[RedemptionLot, ...]


class RedemptionResult(msgspec.Struct, frozen=True):
    """The answer to one step: the redemption after it, or on a refusal the points that the customer could spend (``balance``).

    ``least`` is the smallest number of points that is worth something, for the outcome ``WORTH_NOTHING``.
    """

    outcome: RedemptionOutcome
    replayed: bool
    balance: int = 0
    redemption: Redemption | None = None
    least: int = 0


class ClawBack(msgspec.Struct, frozen=True):
    """Take back points of the grant ``campaign_no`` and ``event_key``: ``points`` of them, or ``None`` for all that were not
    taken back before and have not expired.

    ``reason`` and ``reference`` are kept, and the log commits to them; ``principal`` is whose key asked. ``key`` is the
    caller's idempotency key, ``request_hash`` 32 bytes that differ whenever the request does.
    """

    book: Book
    campaign_no: int
    event_key: bytes
    key: str
    request_hash: bytes
    reason: str
    points: int | None = None
    reference: str | None = None
    principal: int = 0


class ClawBackOutcome(enum.IntEnum):
    """How a claw-back was decided, in order of precedence.

    ``NOT_GRANTED``: the event has no points. ``CHANGED`` never reaches a caller: the points moved while they were looked up.
    ``HELD_BACK_WHOLE``: what is held back can only be rejected, and that as a whole. ``REJECTED`` is what became of it then.
    """

    IDEMPOTENCY_KEY_REUSED = 1
    NOT_FOUND = 2
    NOT_GRANTED = 3
    CHANGED = 4
    HELD_BACK_WHOLE = 5
    MORE_THAN_IS_LEFT = 6
    REJECTED = 7
    CLAWED_BACK = 8


class ClawBackResult(msgspec.Struct, frozen=True):
    """What was taken back.

    ``clawed_back`` was taken now. ``shortfall`` could not be, as it is set aside or spent; ``outstanding`` is what is still to
    be taken of the grant after all claw-backs, once it returns. ``left`` is what could be asked for before. ``seq`` is the
    first transfer's, ``None`` if there was nothing to take; ``correction`` the number of this claw-back in its book.
    ``customer`` has the grant now, and can spend ``balance`` points. All but the outcome are 0 or ``None`` if nothing was
    decided.
    """

    outcome: ClawBackOutcome
    replayed: bool
    clawed_back: int = 0
    shortfall: int = 0
    outstanding: int = 0
    left: int = 0
    correction: int | None = None
    seq: int | None = None
    posted_at: datetime | None = None
    customer: int = 0
    balance: int = 0


class ClawBackQuote(msgspec.Struct, frozen=True):
    """What could be taken back of a grant of ``points`` now: ``left``, of which ``spendable`` would be taken at once.

    ``outcome`` is ``CLAWED_BACK`` or ``REJECTED`` if something can be asked for, or else why not. ``asked`` is what claw-backs
    have asked for before; ``customer`` is whose event it is.
    """

    outcome: ClawBackOutcome
    customer: int
    points: int
    left: int
    spendable: int
    asked: int


class PurchaseReturn(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a purchase is returned: ``amount`` of what was ``bought``, in minor units, which the grant ``campaign_no`` and
    ``event_key`` paid for.

    ``per_points`` for every ``per_minor_units`` were granted; ``None``: a number that is fixed. ``value`` is what points are
    worth; it is given if money is withheld from the refund for points that cannot be taken back. ``reference`` is the caller's
    name for the return, ``request_hash`` 32 bytes that differ whenever the request does.
    """

    book: Book
    campaign_no: int
    event_key: bytes
    reference: str
    request_hash: bytes
    reason: str
    bought: int
    amount: int
    per_points: int | None = None
    per_minor_units: int | None = None
    value: PointValue | None = None
    principal: int = 0


class ReturnOutcome(enum.IntEnum):
    """How a return was decided, in order of precedence.

    ``RETURN_EXISTS``: another request had its reference. ``CHANGED`` never reaches a caller. ``HELD_BACK_WHOLE``: what is held
    back can only be rejected, and that with the last of the purchase. ``REJECTED`` is what became of it then.
    """

    RETURN_EXISTS = 1
    NOT_FOUND = 2
    CHANGED = 3
    NOT_GRANTED = 4
    MORE_THAN_WAS_BOUGHT = 5
    HELD_BACK_WHOLE = 6
    REJECTED = 7
    RETURNED = 8


class ReturnResult(msgspec.Struct, frozen=True):
    """What a return took back. ``returned`` is how much of the purchase was returned with it, or before if it was refused.

    It was about so many ``points``: ``clawed_back`` were taken, ``shortfall`` could not be and are to be once they return, and
    for ``withheld_points`` the customer pays ``withheld_minor``. The rest had expired or was taken back before. All else is as
    of a claw-back.
    """

    outcome: ReturnOutcome
    replayed: bool
    returned: int = 0
    points: int = 0
    clawed_back: int = 0
    shortfall: int = 0
    outstanding: int = 0
    withheld_points: int = 0
    withheld_minor: int = 0
    correction: int | None = None
    seq: int | None = None
    posted_at: datetime | None = None
    customer: int = 0
    balance: int = 0


class ReturnQuote(msgspec.Struct, frozen=True):
    """What a return would do now: as of its result, if money were withheld."""

    outcome: ReturnOutcome
    returned: int
    points: int
    clawed_back: int
    shortfall: int
    withheld_points: int
    withheld_minor: int


class Adjust(msgspec.Struct, frozen=True):
    """Give ``customer`` points out of a campaign's budget, in a lot of ``account_class`` that lasts until ``expires_on``
    (``None`` is for ever); or, with ``points`` below zero, take some that they can spend.

    ``reason`` is a code; ``reference`` and ``note`` are words that an erasure removes. The log commits to all three.
    """

    book: Book
    customer: int
    points: int
    key: str
    request_hash: bytes
    reason: str
    campaign_no: int | None = None
    account_class: AccountClass = AccountClass.ENGAGEMENT
    expires_on: date | None = None
    reference: str | None = None
    note: str | None = None
    principal: int = 0


class AdjustOutcome(enum.IntEnum):
    """How an adjustment was decided, in order of precedence. It is never made in part."""

    IDEMPOTENCY_KEY_REUSED = 1
    CUSTOMER_ERASED = 2
    BUDGET_EXHAUSTED = 3
    INSUFFICIENT_BALANCE = 4
    ADJUSTED = 5


class AdjustResult(msgspec.Struct, frozen=True):
    """Whether points were given or taken. ``customer`` has them, or had them, and can spend ``balance`` now; ``budget_left`` is
    what the budget has that pays, ``None`` if none does. ``correction``, ``seq`` and ``posted_at`` are as of a claw-back.
    """

    outcome: AdjustOutcome
    replayed: bool
    customer: int = 0
    balance: int = 0
    budget_left: int | None = None
    correction: int | None = None
    seq: int | None = None
    posted_at: datetime | None = None


class Fund(msgspec.Struct, frozen=True):
    """Move points from issuance to a campaign's budget."""

    book: Book
    campaign_no: int
    points: int
    key: str
    request_hash: bytes


class FundOutcome(enum.IntEnum):
    """How a funding was decided, in order of precedence."""

    IDEMPOTENCY_KEY_REUSED = 1
    ISSUE_LIMIT_REACHED = 2
    FUNDED = 3


class FundResult(msgspec.Struct, frozen=True):
    """``budget`` is what the campaign has left, ``issued`` what issuance has paid out in all. Both are points."""

    outcome: FundOutcome
    replayed: bool
    budget: int
    issued: int
