"""What points are worth in money: the only place that rounds.

    points to money   down to a whole minor unit, so that a purchase is never paid with more than the points are worth
    money to points   up to a whole point, so that the points are never worth less than the purchase

``redeem_v2`` computes the first for what it takes, and refuses to take what is worth nothing; both are whole-number arithmetic
and agree.
"""

from __future__ import annotations

import msgspec

TERM_MAX = 1_000_000_000
"""The most points, or minor units, that a point value may be written with: no product of ours leaves 64 bits."""


class PointValue(msgspec.Struct, frozen=True):
    """``points`` are worth ``minor_units`` (cents, pence, yen): 100 points and 50 make half a cent a point, exactly."""

    points: int
    minor_units: int

    def worth(self, points: int) -> int:
        """What ``points`` pay, in minor units, rounded down."""
        return points * self.minor_units // self.points

    @property
    def least(self) -> int:
        """The fewest points that are worth anything."""
        return self.points_for(1)

    def points_for(self, value: int) -> int:
        """The fewest points that are worth ``value`` minor units."""
        return -(-value * self.points // self.minor_units)
