"""Deferred revenue of class purchase, day by day, as the summarised journal books it: what sales were divided into for the
points that are owed. A later point value does not change it, so it is not what these points are worth.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from fractions import Fraction

import msgspec

from ledger import AccountClass, Cut, Movement, TrialBalance, Verb
from service.exports.account_names import class_name
from service.exports.summary_money import DeferredRevenue
from service.reports.asked import Asked
from service.reports.reading import is_taken_back, movements_by_day, owed_change
from service.reports.values import Values

PURCHASE = class_name(AccountClass.PURCHASE)
_MOVING = frozenset((Verb.MERGE, Verb.SPLIT))


class Deferred(msgspec.Struct, frozen=True):
    """At the end of a day: ``points`` that are owed, what is ``deferred`` for them, and what was ever ``allocated``, in whole
    minor units. Points that were taken back give back what was allocated to them, at the average of that day.
    """

    points: int = 0
    deferred: int = 0
    allocated: int = 0


class DeferredByDay:
    """What is deferred at the end of each day."""

    def __init__(self, movements: Iterable[Movement], values: Values) -> None:
        came: dict[date, int] = defaultdict(int)
        left: dict[date, int] = defaultdict(int)
        taken_back: dict[date, int] = defaultdict(int)
        for movement in movements:
            if movement.account_class is AccountClass.PURCHASE and movement.verb not in _MOVING:
                points = owed_change(movement)
                is_new = points > 0 and movement.verb is not Verb.REFUND
                came[movement.day] += points * is_new
                left[movement.day] -= points * (not is_new)
                taken_back[movement.day] -= points * is_taken_back(movement)
        first = values.begins_on
        self._days = sorted({*came, *left, *(() if first is None else (first,))})
        self._states: list[Deferred] = []
        kept, owed, allocated = DeferredRevenue(), 0, Fraction(0)
        for day in self._days:
            if first is None or day < first:
                owed += came[day] - left[day]
                self._states.append(Deferred(owed))
                continue
            # The first value that a brand sets is that of all it owes by then.
            new = came[day] + (owed if day == first else 0)
            if new:
                kept.come(new, values.on(day))
                allocated += values.worth(new, day)
            allocated -= taken_back[day] * kept.average
            kept.leave(left[day])
            kept.end_day()
            self._states.append(Deferred(kept.points, int(kept.money), int(allocated)))

    def at(self, day: date) -> Deferred:
        """At the end of a day."""
        place = bisect_right(self._days, day)
        return self._states[place - 1] if place else Deferred()


async def deferred_by_day(
    asked: Asked, values: Values, trial_balance: TrialBalance, *, until: Cut | None = None
) -> DeferredByDay:
    """What is deferred of a brand's sales, up to the end of the report or up to a cut. Without points of class purchase nothing
    is read.
    """
    if not any(line.account_class == PURCHASE for line in trial_balance.lines):
        return DeferredByDay((), values)
    return DeferredByDay(await movements_by_day(asked, until=None if until is None else until.seq), values)
