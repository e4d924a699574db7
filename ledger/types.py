"""The ledger's values: what goes in, what comes out, each frozen.

    Book          the tenant's book, and what every posting needs to know of it
    GrantOrder    in: pay this customer for this event        GrantResult       out
    GrantTerms    what many orders have in common
    Redeem        in: authorize, capture, void or refund      RedemptionResult  out
    Fund          in: give a campaign points to grant         FundResult        out

Points are whole numbers, 1 to ``POINTS_MAX``. Times are aware datetimes in UTC. A refusal is a result, never an
exception: outcomes are listed in order of precedence, so what is wrong in two ways is refused for the first.
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
    """What kind of promise a lot is to the accountants."""

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
    """What a transfer does; the numbers are in the log for ever."""

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


class Book(msgspec.Struct, frozen=True):
    """A brand's book. ``brand_id`` is checked by every function against the book's head."""

    brand_id: int
    book_id: int


class CapUse(msgspec.Struct, frozen=True, gc=False):
    """One cap that a grant counts against.

    ``period`` is the first day of the period in the brand's zone; ``None`` is the 24 hours around the event, on either side, so
    that a report that comes late never passes the cap. ``shared`` counts all customers of the campaign together, and takes a
    ``period``. A limit of ``None`` does not limit.
    """

    cap: int
    period: date | None
    max_grants: int | None = None
    max_points: int | None = None
    shared: bool = False


class Bearing(msgspec.Struct, frozen=True):
    """What an act says of other acts of the customer on the same message: a strong one proves that a person is there.

    Keys are the customer's own, then those under ids that were merged into hers. A strong act (grade A or B) leaves a proof
    under the first of ``proof_keys`` and pays what waits: for each of ``may_wait`` (the keys of one other event) the one that
    does, unless another of them is decided, or was under one of its ``past_keys``, which are as an order's. An act that waits
    is paid at once where there is a proof under one of ``proof_keys``, of grade ``needs`` or better.
    """

    proof_keys: tuple[bytes, ...]
    may_wait: tuple[tuple[bytes, ...], ...] = ()
    past_keys: tuple[tuple[tuple[int, bytes], ...], ...] = ()
    needs: Grade = Grade.B


class EventDetails(msgspec.Struct, frozen=True, gc=False):
    """What was reported. Kept beside the log, so that it can be erased; the log holds its salted hash."""

    action: str
    channel: str
    message_id: str
    qualifier: str
    source: str
    principal: int
    campaign_version: int
    rule: int
    metadata: str | None = None


class GrantTerms(msgspec.Struct, frozen=True, gc=False):
    """What is the same for all grants that a rule pays alike: of one action on one channel, of one grade, on one day.

    ``action`` to ``rule`` are kept as details of each event. ``waits`` says that the evidence is too weak to be paid now: the
    event is recorded and a stronger report of the same key decides it, or a strong act on the same message (an order's
    ``bearing``). ``expires_on`` is the last day the points can be spent, in the brand's zone; ``None`` is never. ``held_back``
    sets the points aside until they mature or are rejected, or until an order's ``due_at``. ``again`` decides anew what was
    refused for a cap or the budget. ``points`` of 0 pay nothing and record nothing but the proof.
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
    """Pay ``customer`` for one event, once, on ``terms``: orders that share one are prepared together.

    ``former_keys`` are the same event's keys under the ids that were merged into the customer. ``past_keys`` are those under
    each number that she was one with once, with that number: they count where they were decided meanwhile. ``generation`` is
    that of her group as it is known: who knows another is told ``MOVED``.
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
    bearing: Bearing | None = None

    @property
    def book(self) -> Book:
        """The book that it is posted to."""
        return self.terms.book

    def on(self, **changed: Any) -> GrantOrder:
        """The same on terms that differ in these."""
        return msgspec.structs.replace(self, terms=msgspec.structs.replace(self.terms, **changed))


class GrantOutcome(enum.IntEnum):
    """How a grant was decided, in order of precedence.

    ``MOVED``: the customer was merged or split since she was looked up; nothing is recorded: look her up again. ``NOTED``:
    there was nothing to pay, at most a proof was left. ``WAITING``: recorded, and better evidence pays it. ``NOT_FUNDED``: its
    campaign was never given any points; nothing is recorded, so it can be paid when it was. ``CAP_REACHED`` and
    ``BUDGET_EXHAUSTED`` are final unless somebody asks to decide ``again``. ``HELD_BACK`` becomes ``GRANTED`` or ``REJECTED``.
    """

    MOVED = 5
    NOTED = 8
    WAITING = 4
    CAP_REACHED = 2
    NOT_FUNDED = 9
    BUDGET_EXHAUSTED = 3
    HELD_BACK = 6
    REJECTED = 7
    GRANTED = 1


class GrantResult(msgspec.Struct, frozen=True, gc=False):
    """The decision on one event.

    ``points`` are what was paid, or is held back (0 otherwise). ``balance`` is what the customer can spend after the whole
    batch, as of ``balance_seq``. ``seq`` is the transfer's, or the head's when it was refused or began to wait. ``key`` is the
    one that the event is recorded under: the order's, or one of its ``former_keys`` or ``past_keys``.
    """

    outcome: GrantOutcome
    points: int
    seq: int
    replayed: bool
    balance: int
    balance_seq: int
    key: bytes


class SettleOutcome(enum.IntEnum):
    """What became of points that were held back, in order of precedence."""

    NOT_FOUND = 1
    NOT_HELD_BACK = 2
    SETTLED = 3


class CapRoom(msgspec.Struct, frozen=True):
    """What one cap of an order would still let through, of grants and of points; ``None`` where it has no such limit."""

    grants_left: int | None
    points_left: int | None


class GrantQuote(msgspec.Struct, frozen=True):
    """What would be decided on an order if it came now, as of the book's transfer ``seq``.

    ``outcome``, ``points`` and ``replayed`` are what the ``GrantResult`` would say. ``caps`` says of each of the order's caps,
    in their order, what it leaves before the order; so do ``budget_left``, which is ``None`` for an unlimited budget, and
    ``balance``, what the customer can spend.
    """

    outcome: GrantOutcome
    points: int
    replayed: bool
    caps: tuple[CapRoom, ...]
    budget_left: int | None
    balance: int
    seq: int


class Settlement(msgspec.Struct, frozen=True):
    """Whether an event's points were settled, now or (``replayed``) in the same way before; the event is read anew."""

    outcome: SettleOutcome
    replayed: bool


class MergeOutcome(enum.IntEnum):
    """What became of a merge, in order of precedence.

    ``MOVED``: one of the two was merged elsewhere before; ``TOO_MANY``: together they would have more than eight ids.
    """

    MOVED = 1
    TOO_MANY = 2
    MERGED = 3


class MergeResult(msgspec.Struct, frozen=True):
    """Whether two customers are one now. ``points`` were moved to the survivor; ``replayed``: they had been merged before."""

    outcome: MergeOutcome
    replayed: bool
    points: int


class SplitOutcome(enum.IntEnum):
    """What became of a split. ``NOT_PART``: the customer is not part of the other, and was not at last either."""

    NOT_PART = 1
    SPLIT = 2


class SplitResult(msgspec.Struct, frozen=True):
    """Whether a customer is one of her own again. ``points`` went with her; ``replayed``: she had been split off before."""

    outcome: SplitOutcome
    replayed: bool
    points: int


class Standing(msgspec.Struct, frozen=True):
    """Of whom a customer is part, by a decision of this ``generation``; ``survivor`` is herself, if of nobody."""

    customer: int
    survivor: int
    generation: int


class Operation(enum.IntEnum):
    """What can be asked of a redemption; the numbers are kept with idempotency keys."""

    AUTHORIZE = 1
    CAPTURE = 2
    VOID = 3
    REFUND = 4
    FUND = 5


class Redeem(msgspec.Struct, frozen=True):
    """One step of a redemption.

    AUTHORIZE takes ``customer``, ``points``, ``order_ref``, ``hold_s``, and may ``capture`` at once. CAPTURE, VOID and REFUND
    take ``redemption``; ``points`` of 0 means all that is there. ``final`` releases what a capture leaves.
    ``maximum`` authorizes all that there is to spend, at most ``POINTS_MAX``, instead of ``points``. The redemption keeps
    ``value``, in minor units, or else what the points it takes are worth at ``point_value``, and where it was (``store_id``,
    ``terminal_id``). CAPTURE and REFUND may say the same of themselves, and a ``ref`` of their own; their operation keeps it.
    ``generation`` is that of the customer's group as it is known; ``None`` is any.
    ``key`` is the caller's idempotency key (required but for VOID); ``request_hash`` is 32 bytes that differ when the
    request does.
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


class RedemptionOutcome(enum.IntEnum):
    """How a step of a redemption was decided, in order of precedence.

    The first three and ``WORTH_NOTHING`` are not kept under the idempotency key, the others are. ``WORTH_NOTHING``: so few
    points would be taken that they are not worth a minor unit.
    """

    IDEMPOTENCY_KEY_REUSED = 1
    NOT_FOUND = 2
    MOVED = 3
    AUTHORIZATION_EXPIRED = 4
    ALREADY_VOIDED = 5
    FULLY_CAPTURED = 6
    CAPTURE_EXCEEDS_AUTHORIZED = 7
    REFUND_EXCEEDS_CAPTURED = 8
    WORTH_NOTHING = 11
    INSUFFICIENT_BALANCE = 9
    DONE = 10


class RedemptionStatus(enum.StrEnum):
    """Where a redemption stands."""

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
    """One thing that happened to a redemption. ``verb`` is one of authorize, capture, void and refund.

    ``ref``, ``store_id`` and ``terminal_id`` are what was said about this capture or refund.
    """

    verb: str
    points: int
    posted_at: datetime
    seq: int
    ref: str | None = None
    store_id: str | None = None
    terminal_id: str | None = None


class Redemption(msgspec.Struct, frozen=True):
    """A redemption, as of ``balance_seq``. Points that are held, captured and released add up to ``authorized``."""

    redemption: int
    customer: int
    status: RedemptionStatus
    order_ref: str
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
    """The answer to one step: the redemption after it; on a refusal what there was to spend (``balance``).

    ``least`` are the fewest points that would have been worth something, where the points were ``WORTH_NOTHING``.
    """

    outcome: RedemptionOutcome
    replayed: bool
    balance: int = 0
    redemption: Redemption | None = None
    least: int = 0


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
    """``budget`` is what the campaign has left, ``issued`` all that issuance has paid out so far."""

    outcome: FundOutcome
    replayed: bool
    budget: int
    issued: int
