"""How far it is to the next reward."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from service.brands.brand import Goal


class NextGoal(msgspec.Struct, frozen=True):
    """The nearest reward that a balance does not reach, and how many points it is short of."""

    name: str
    points: int
    missing: int


class Progress(msgspec.Struct, frozen=True):
    """``reached`` are the rewards that a balance pays for, dearest first. ``next`` is null when it pays for all there are."""

    reached: Sequence[Goal]
    next: NextGoal | None


def progress(balance: int, goals: Sequence[Goal]) -> Progress:
    """How far ``balance`` is on the way to ``goals``; of two that cost the same the one that was named first comes first."""
    reached = [goal for goal in sorted(goals, key=lambda goal: -goal.points) if goal.points <= balance]
    ahead = [goal for goal in goals if goal.points > balance]
    nearest = min(ahead, key=lambda goal: goal.points, default=None)
    return Progress(
        reached=reached,
        next=None if nearest is None else NextGoal(nearest.name, nearest.points, nearest.points - balance),
    )
