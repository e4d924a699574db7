"""What customers earned, and what a movement can be broken down by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date

import msgspec

from ledger import Kind, Movement, Verb
from service.exports.account_names import class_name
from service.reports.asked import Asked
from service.reports.report import Check

EARNING = frozenset((Verb.GRANT, Verb.MATURE))
_PAID_BY_BUDGET = frozenset((Verb.GRANT, Verb.HOLD_BACK))


class Earned(msgspec.Struct):
    """What acts of one kind earned: how many they were, points by day, and the first and the last transfer."""

    acts: int = 0
    points: dict[date, int] = msgspec.field(default_factory=lambda: defaultdict[date, int](int))
    first_seq: int = 2**63
    last_seq: int = 0

    def add(self, movement: Movement) -> None:
        """Add what was earned by acts of the same kind."""
        self.acts += movement.transfers
        self.points[movement.day] += movement.points
        self.first_seq = min(self.first_seq, movement.first_seq)
        self.last_seq = max(self.last_seq, movement.last_seq)

    @property
    def total(self) -> int:
        """All points."""
        return sum(self.points.values())


def names_of(movement: Movement, campaigns: dict[int, str]) -> dict[str, str | None]:
    """What a movement can be broken down by."""
    number = movement.campaign_no
    return {
        "class": class_name(movement.account_class),
        "campaign": None if number is None else campaigns.get(number, str(number)),
        "channel": movement.channel,
        "action": movement.action,
        "grade": movement.grade,
        "month": f"{movement.day:%Y-%m}",
    }


async def budgets_check(asked: Asked, movements: Sequence[Movement]) -> Check:
    """What the log says campaigns paid is what their budgets were debited with."""
    paid = sum(movement.points for movement in movements if movement.verb in _PAID_BY_BUDGET)
    budgets = {Kind.BUDGET.name.lower(), Kind.UNLIMITED_BUDGET.name.lower()}
    lines = (await asked.trial_balance()).lines
    return Check("points paid out of budgets by now", paid, sum(line.debits for line in lines if line.kind in budgets))
