"""What the summarised journal's points are in money, to the minor unit.

    engagement, third party   what is owed is worth what it would pay today: each entry moves the difference, and so does each
                              change of the point value (IAS 37.59)
    purchase                  what is owed is what sales were divided into when points were granted (IFRS 15.88): it comes at
                              the value of its day, and leaves in proportion to the points that leave

So the sum of the entries is always what is owed, without a remainder, and points that are all gone leave no money behind.
"""

from __future__ import annotations

from ledger import AccountClass, PointValue


class Owed:
    """What is owed in one accounting class, in points and in minor units; ``money`` is ``None`` while points have no value."""

    def __init__(self, account_class: AccountClass) -> None:
        self.points = 0
        self.money: int | None = None
        self._keeps_price = account_class is AccountClass.PURCHASE
        self._value: PointValue | None = None
        self._remainder = 0
        """What was left of minor units when points came at the value: numerators over the value's points."""

    def revalue(self, value: PointValue) -> int:
        """Points are worth ``value`` from now on. Return by how much more is owed."""
        self._value, self._remainder = value, 0
        before = self.money
        if before is None or not self._keeps_price:
            self.money = value.worth(self.points)
        return (self.money or 0) - (before or 0)

    def move(self, points: int, *, returned: bool = False) -> int | None:
        """More points are owed, or fewer. Return by how much more money. ``returned`` ones were owed before."""
        before = self.money
        if self._value is not None and before is not None:
            self.money = before + self._change(self._value, before, points, returned=returned)
        self.points += points
        return None if self.money is None or before is None else self.money - before

    def _change(self, value: PointValue, money: int, points: int, *, returned: bool) -> int:
        if not self._keeps_price:
            return value.worth(self.points + points) - money
        if self.points == 0 or (points > 0 and not returned):
            change, self._remainder = divmod(points * value.minor_units + self._remainder, value.points)
            return change
        return points * money // self.points if points > 0 else -(-points * money // self.points)
