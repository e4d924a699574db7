"""How far it is to the next reward."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from service.brands.brand import Goal


class NextGoal(msgspec.Struct, frozen=True):
    """The nearest reward the balance does not reach yet."""

    name: str
    """The reward."""
    points: int
    """What it costs, in points."""
    missing: int
    """How many points are missing."""


class Progress(msgspec.Struct, frozen=True):
    """Which rewards the balance reaches, and the next one."""

    reached: Sequence[Goal]
    """Rewards the balance pays for, most expensive first."""
    next: NextGoal | None
    """The nearest reward the balance does not reach; null if it reaches all."""


def progress(balance: int, goals: Sequence[Goal]) -> Progress:
    """How far ``balance`` is on the way to ``goals``; of two that cost the same the one that was named first comes first."""
    reached = [goal for goal in sorted(goals, key=lambda goal: -goal.points) if goal.points <= balance]
    ahead = [goal for goal in goals if goal.points > balance]
    nearest = min(ahead, key=lambda goal: goal.points, default=None)
    return Progress(
        reached=reached,
        next=None if nearest is None else NextGoal(nearest.name, nearest.points, nearest.points - balance),
    )
