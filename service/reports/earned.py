"""What customers earned, and what a movement can be broken down by."""

from __future__ import annotations

from collections import defaultdict
from datetime import date

import msgspec

from ledger import Movement, Verb
from service.exports.account_names import class_name
from service.reports.asked import Asked

EARNING = frozenset((Verb.GRANT, Verb.MATURE))


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


async def earned_points(asked: Asked, after: int, until: int) -> int:
    """What was earned in the period, by the log alone."""
    moved = await asked.services.ledger.movements(asked.brand.book, after=after, until=until, with_events=False)
    return sum(movement.points for movement in moved if movement.verb in EARNING and movement.day in asked.period)
