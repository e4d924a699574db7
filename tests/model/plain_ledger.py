"""A small ledger that is obviously right: one thing at a time, in dictionaries, with time passing for everybody at once.

What is due (timed-out holds, dead lots) happens at the instant it is due: `settle` runs after every change. The real ledger
posts it later, when somebody touches the wallet or the sweeper comes, and must be found to agree nevertheless.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from ledger import (
    AccountClass,
    FundOutcome,
    GrantOrder,
    GrantOutcome,
    Lot,
    RedemptionOutcome,
    RedemptionStatus,
)

NEVER = date.max
GRACE = timedelta(days=30)

Lots = defaultdict[tuple[date, AccountClass], int]
"""Points by last day and class, so that sorting is soonest first."""


def no_lots() -> Lots:
    """Nothing yet."""
    return defaultdict(int)


@dataclass
class Hold:
    """A redemption."""

    customer: int
    deadline: datetime
    held: Lots = field(default_factory=no_lots)
    spent: Lots = field(default_factory=no_lots)
    authorized: int = 0
    captured: int = 0
    refunded: int = 0
    closed: bool = False
    timed_out: bool = False

    @property
    def status(self) -> RedemptionStatus:
        """Where it stands."""
        if self.refunded:
            whole = self.closed and self.refunded == self.captured
            return RedemptionStatus.REFUNDED if whole else RedemptionStatus.PARTIALLY_REFUNDED
        if self.captured:
            return RedemptionStatus.CAPTURED if self.closed else RedemptionStatus.PARTIALLY_CAPTURED
        if not self.closed:
            return RedemptionStatus.AUTHORIZED
        return RedemptionStatus.EXPIRED if self.timed_out else RedemptionStatus.VOIDED

    @property
    def sums(self) -> tuple[int, int, int, int]:
        """Authorized, captured, released, refunded."""
        return self.authorized, self.captured, self.authorized - self.captured if self.closed else 0, self.refunded


def move(source: Lots, points: int, *, latest_first: bool = False) -> list[tuple[tuple[date, AccountClass], int]]:
    """Take points out of lots, in order; return what was taken from which."""
    taken: list[tuple[tuple[date, AccountClass], int]] = []
    for lot in sorted(source, reverse=latest_first):
        part = min(points, source[lot])
        if part:
            source[lot] -= part
            points -= part
            taken.append((lot, part))
    assert points == 0
    return taken


class PlainLedger:
    """One book."""

    def __init__(self, now: datetime, zone: ZoneInfo, issue_limit: int) -> None:
        self.now = now
        self.zone = zone
        self.issue_limit = issue_limit
        self.issued = 0
        self.budgets: defaultdict[int, int] = defaultdict(int)
        self.events: dict[bytes, tuple[GrantOutcome, int]] = {}
        self.cap_use: defaultdict[tuple[int, int, date, int], list[int]] = defaultdict(lambda: [0, 0])
        self.wallets: defaultdict[int, Lots] = defaultdict(no_lots)
        self.holds: list[Hold] = []

    @property
    def today(self) -> date:
        """The day in the book's zone."""
        return self.now.astimezone(self.zone).date()

    def settle(self) -> None:
        """Let happen what is due: holds time out as of their deadline, then lots die."""
        for hold in self.holds:
            if not hold.closed and hold.deadline <= self.now:
                hold.timed_out = True
                self._release(hold, hold.deadline.astimezone(self.zone).date())
        for wallet in self.wallets.values():
            for last_day, account_class in list(wallet):
                if last_day < self.today:
                    del wallet[last_day, account_class]

    def _give_back(self, customer: int, lot: tuple[date, AccountClass], points: int, day: date) -> None:
        last_day, account_class = lot
        self.wallets[customer][last_day if last_day >= day else day + GRACE, account_class] += points

    def _release(self, hold: Hold, day: date) -> None:
        for lot, points in move(hold.held, sum(hold.held.values())):
            self._give_back(hold.customer, lot, points, day)
        hold.closed = True

    # ---- What a customer has

    def lots(self, customer: int) -> tuple[Lot, ...]:
        """Her lots, soonest to expire first."""
        return tuple(
            Lot(account_class, None if last_day == NEVER else last_day, points)
            for (last_day, account_class), points in sorted(self.wallets[customer].items())
            if points
        )

    def spendable(self, customer: int) -> int:
        """The sum of her lots."""
        return sum(self.wallets[customer].values())

    def held(self, customer: int) -> int:
        """What is set aside of hers."""
        return sum(sum(hold.held.values()) for hold in self.holds if hold.customer == customer)

    # ---- What can be done

    def fund(self, campaign_no: int, points: int) -> tuple[FundOutcome, int, int]:
        """Give a campaign points."""
        if self.issued + points > self.issue_limit:
            return FundOutcome.ISSUE_LIMIT_REACHED, self.budgets[campaign_no], self.issued
        self.issued += points
        self.budgets[campaign_no] += points
        return FundOutcome.FUNDED, self.budgets[campaign_no], self.issued

    def grant(self, order: GrantOrder) -> tuple[GrantOutcome, int, bool]:
        """Decide one event."""
        decided = self.events.get(order.key)
        if decided and (decided[0] is not GrantOutcome.WAITING or order.waits):
            return (*decided, True)
        outcome = self._decide(order)
        points = 0
        if outcome is GrantOutcome.GRANTED:
            points = order.points
            self.budgets[order.campaign_no] -= points
            self.wallets[order.customer][order.expires_on or NEVER, order.account_class] += points
            for cap in order.caps:
                use = self.cap_use[order.campaign_no, order.customer, cap.period, cap.cap]
                use[0] += 1
                use[1] += points
        self.events[order.key] = outcome, points
        return outcome, points, False

    def _decide(self, order: GrantOrder) -> GrantOutcome:
        if order.waits:
            return GrantOutcome.WAITING
        for cap in order.caps:
            grants, points = self.cap_use[order.campaign_no, order.customer, cap.period, cap.cap]
            if cap.max_grants is not None and grants + 1 > cap.max_grants:
                return GrantOutcome.CAP_REACHED
            if cap.max_points is not None and points + order.points > cap.max_points:
                return GrantOutcome.CAP_REACHED
        if order.points > self.budgets[order.campaign_no]:
            return GrantOutcome.BUDGET_EXHAUSTED
        return GrantOutcome.GRANTED

    def authorize(self, customer: int, points: int, hold_s: int, *, capture: bool) -> RedemptionOutcome:
        """Set points aside, soonest to expire first."""
        if points > self.spendable(customer):
            return RedemptionOutcome.INSUFFICIENT_BALANCE
        hold = Hold(customer, self.now + timedelta(seconds=hold_s), authorized=points)
        for lot, part in move(self.wallets[customer], points):
            hold.held[lot] += part
        self.holds.append(hold)
        if capture:
            self.capture(hold, 0, final=True)
        self.settle()
        return RedemptionOutcome.DONE

    def capture(self, hold: Hold, points: int, *, final: bool) -> RedemptionOutcome:
        """Spend what is held, soonest to expire first."""
        if hold.closed:
            if hold.timed_out:
                return RedemptionOutcome.AUTHORIZATION_EXPIRED
            return RedemptionOutcome.FULLY_CAPTURED if hold.captured else RedemptionOutcome.ALREADY_VOIDED
        held = sum(hold.held.values())
        points = points or held
        if points > held:
            return RedemptionOutcome.CAPTURE_EXCEEDS_AUTHORIZED
        for lot, part in move(hold.held, points):
            hold.spent[lot] += part
        hold.captured += points
        if final or points == held:
            self._release(hold, self.today)
        return RedemptionOutcome.DONE

    def void(self, hold: Hold) -> tuple[RedemptionOutcome, bool]:
        """Give back what is held; the flag says that it had been done."""
        if hold.closed:
            return (RedemptionOutcome.FULLY_CAPTURED, False) if hold.captured else (RedemptionOutcome.DONE, True)
        self._release(hold, self.today)
        return RedemptionOutcome.DONE, False

    def refund(self, hold: Hold, points: int) -> RedemptionOutcome:
        """Give back what was spent, latest to expire first."""
        spent = hold.captured - hold.refunded
        points = points or spent
        if not spent or points > spent:
            return RedemptionOutcome.REFUND_EXCEEDS_CAPTURED
        for lot, part in move(hold.spent, points, latest_first=True):
            self._give_back(hold.customer, lot, part, self.today)
        hold.refunded += points
        return RedemptionOutcome.DONE
