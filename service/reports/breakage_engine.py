"""Breakage: when points that customers bought with their purchases become revenue.

Some points are never redeemed. What was allocated to all of them is recognised in proportion to redemptions (IFRS 15 B46, ASC
606-10-55-48):

    recognised = allocated * redeemed / expected to be redeemed

A change of the estimate is caught up with at once, on what was redeemed before: revenue is what is recognised by now less what
was recognised by then. What is recognised is a whole number of minor units, rounded half up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

import msgspec


class Standing(msgspec.Struct, frozen=True):
    """Where points stand at the end of a period, all since their beginning.

    ``allocated`` is the money allocated to the points issued, ``redeemed`` how many were, ``expected`` how many will have been.
    """

    allocated: int | Fraction
    redeemed: int
    expected: int | Fraction


class Recognised(msgspec.Struct, frozen=True):
    """What is recognised by the end of a period, and of that in it. ``catch_up`` is what a new estimate changed of before."""

    total: int
    revenue: int
    catch_up: int


def recognise(periods: Iterable[Standing]) -> Iterator[Recognised]:
    """What each period recognises, one after the other."""
    before = Standing(0, 0, 0)
    total = 0
    for now in periods:
        # What was redeemed before, by the estimate and the allocation of now.
        restated = _recognised(msgspec.structs.replace(now, redeemed=before.redeemed))
        recognised = _recognised(now)
        yield Recognised(recognised, recognised - total, restated - total)
        before, total = now, recognised


def _recognised(standing: Standing) -> int:
    if standing.redeemed >= standing.expected:
        # Nothing more is expected, so all of it is earned.
        return _rounded(Fraction(standing.allocated))
    return _rounded(Fraction(standing.allocated) * standing.redeemed / Fraction(standing.expected))


def _rounded(money: Fraction) -> int:
    return int(money + Fraction(1, 2))
