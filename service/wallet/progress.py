"""How far it is to the next reward."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from service.brands.brand import Goal


class NextGoal(msgspec.Struct, frozen=True):
    """The nearest reward that a balance does not reach, and how many points it is short of."""

    name: str
    """What the customer gets."""
    points: int
    """What it costs, in points."""
    missing: int
    """How many points the balance is short of it."""


class Progress(msgspec.Struct, frozen=True):
    """``reached`` are the rewards that a balance pays for, dearest first. ``next`` is null when it pays for all there are."""

    reached: Sequence[Goal]
    """The rewards that the balance pays for, dearest first."""
    next: NextGoal | None
    """The nearest reward that it does not reach; null when it pays for all."""


def progress(balance: int, goals: Sequence[Goal]) -> Progress:
    """How far ``balance`` is on the way to ``goals``; of two that cost the same the one that was named first comes first."""
    reached = [goal for goal in sorted(goals, key=lambda goal: -goal.points) if goal.points <= balance]
    ahead = [goal for goal in goals if goal.points > balance]
    nearest = min(ahead, key=lambda goal: goal.points, default=None)
    return Progress(
        reached=reached,
        next=None if nearest is None else NextGoal(nearest.name, nearest.points, nearest.points - balance),
    )
