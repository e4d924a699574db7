"""What the summarised journal's points are in money, to the minor unit.

    engagement, third party   what is owed is worth what it would pay today: each entry moves the difference, and so does each
                              change of the point value (IAS 37.59)
    purchase                  what is owed is what sales were divided into when points were granted (IFRS 15.88): it comes at
                              its price, the value of its day, and leaves at the average of all that is there

So the sum of the entries is always what is owed, rounded down, and points that are all gone leave no money behind.
"""

from __future__ import annotations

from fractions import Fraction
from math import floor

from ledger import AccountClass, PointValue

_NOTHING = Fraction(0)
_PARTS = 10**6
"""Deferred revenue is exact within a day, and to so many parts of a minor unit from one day to the next."""


class DeferredRevenue:
    """What sales were divided into for the points of class purchase that are owed.

    Of each day, first come all that came, then leave all that left: so it does not matter how finely its entries are told.
    What comes back after it left comes at the ``average`` at which it left.
    """

    def __init__(self) -> None:
        self.points = 0
        self.money = _NOTHING
        self.average = _NOTHING

    def come(self, points: int, price: Fraction) -> None:
        """Points were issued, of whose sales ``price`` each is deferred."""
        self.points += points
        self.money += points * price
        self.average = self.money / self.points

    def leave(self, points: int) -> None:
        """Points were used or expired; fewer than none came back."""
        self.points -= points
        self.money -= points * self.average

    def end_day(self) -> None:
        """All of a day was told."""
        if self.points == 0:
            self.money = _NOTHING
        else:
            self.money = Fraction(floor(self.money * _PARTS), _PARTS)
            self.average = self.money / self.points


class Owed:
    """What is owed in one accounting class, in points and in minor units; ``money`` is ``None`` while points have no value.

    ``came`` are all points that ever came, and ``brought_in`` those of them that were opening balances.
    """

    def __init__(self, account_class: AccountClass) -> None:
        self.points = 0
        self.money: int | None = None
        self.came = 0
        self.brought_in = 0
        self._value: PointValue | None = None
        self._deferred = DeferredRevenue() if account_class is AccountClass.PURCHASE else None

    def revalue(self, value: PointValue) -> int:
        """Points are worth ``value`` from now on. Return by how much more is owed. The first one is that of all there are."""
        before, self._value = self.money, value
        if self._deferred is None:
            self.money = value.worth(self.points)
        elif before is None:
            if self.points:
                self._deferred.come(self.points, _price(value))
            self.money = floor(self._deferred.money)
        return (self.money or 0) - (before or 0)

    def move(self, points: int, *, returned: bool = False, brought_in: bool = False) -> int | None:
        """More points are owed, or fewer. Return by how much more money. ``returned`` ones were owed before."""
        if points > 0 and not returned:
            self.came += points
            self.brought_in += points * brought_in
        self.points += points
        before, value = self.money, self._value
        if before is None or value is None:
            return None
        if self._deferred is None:
            self.money = value.worth(self.points)
        else:
            if points > 0 and not returned:
                self._deferred.come(points, _price(value))
            else:
                self._deferred.leave(-points)
            self.money = floor(self._deferred.money)
        return self.money - before

    def end_day(self) -> None:
        """All of a day was moved. What came has to be moved before what left."""
        if self._deferred is not None and self._value is not None:
            self._deferred.end_day()


def _price(value: PointValue) -> Fraction:
    return Fraction(value.minor_units, value.points)
