"""What the plain ledger knows of lots and of one redemption."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from ledger import AccountClass, RedemptionStatus

NEVER = date.max
GRACE = timedelta(days=30)

Lot = tuple[date, AccountClass]
LotKey = tuple[date, AccountClass, int]
Budget = tuple[int, bool]
"""A campaign, and whether it is its unlimited one."""
Lots = defaultdict[LotKey, int]
"""Points by last day, class and grant, so that sorting is soonest first, and of a lot what was granted first."""


def lot_of(key: LotKey) -> Lot:
    """The lot that points are in, whichever grant they are of."""
    return key[:2]


def no_lots() -> Lots:
    """Nothing yet."""
    return defaultdict(int)


@dataclass
class Hold:
    """A redemption, of the customer who began it."""

    customer: int
    deadline: datetime
    held: Lots = field(default_factory=no_lots)
    spent: Lots = field(default_factory=no_lots)
    authorized: int = 0
    captured: int = 0
    refunded: int = 0
    closed: bool = False
    timed_out: bool = False
    noticed: bool = False
    """Whether somebody has touched the wallet since it timed out: then the budgets have what was taken back of it."""
    taken_back: list[tuple[Budget, int]] = field(default_factory=list["tuple[Budget, int]"])
    ended_by_capture: bool = False
    captured_late: int = 0
    voided_late: bool = False

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


def move(source: Lots, points: int, *, latest_first: bool = False) -> list[tuple[LotKey, int]]:
    """Take points out of lots, in order; return what was taken from which."""
    taken: list[tuple[LotKey, int]] = []
    for lot in sorted(source, reverse=latest_first):
        part = min(points, source[lot])
        if part:
            source[lot] -= part
            points -= part
            taken.append((lot, part))
    assert points == 0
    return taken
