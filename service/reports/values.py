"""What points are worth on which day.

The value of a day is the last one that was set by its end. Points that move on a day are worth what they are worth on that day,
and whatever is owed when the value changes is revalued on the day of the change.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import date
from fractions import Fraction

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import PointValue
from service.brands.brand import Brand
from service.brands.tables import brand_point_value as point_values
from service.http.periods import ONE_DAY, Period
from service.restatements.overlay import values_by_day
from service.restatements.queries import list_restatements

_NOTHING = Fraction(0)


class Values:
    """The values of a brand's points: minor units a point, by the first day of each. Before the first they had none."""

    def __init__(self, changes: Sequence[tuple[date, Fraction]]) -> None:
        by_day = dict(changes)
        self._days = sorted(by_day)
        self._values = [by_day[day] for day in self._days]

    def __bool__(self) -> bool:
        return bool(self._days)

    @property
    def days(self) -> Sequence[date]:
        """The days on which points got another value, in order."""
        return self._days

    @property
    def begins_on(self) -> date | None:
        """The day of the first value."""
        return self._days[0] if self._days else None

    def on(self, day: date) -> Fraction:
        """Minor units a point at the end of ``day``."""
        place = bisect_right(self._days, day)
        return self._values[place - 1] if place else _NOTHING

    def stretches(self, period: Period) -> Sequence[date]:
        """Where stretches of days begin that are of one month and in which points are worth the same; and at last where what is
        after the period begins.
        """
        months = {month.begin for month in period.months()}
        return sorted({*months, *(day for day in self._days if day in period), period.end + ONE_DAY})

    def worth(self, points: int, day: date) -> Fraction:
        """What ``points`` are worth at the end of ``day``, exactly."""
        return points * self.on(day)

    def worth_by_day(self, points: Mapping[date, int]) -> Fraction:
        """What ``points`` by day are worth, each by the value of its day."""
        return sum((self.worth(moved, day) for day, moved in points.items()), start=_NOTHING)

    def revalued(self, owed: int, moved: Mapping[date, int], period: Period) -> Fraction:
        """What changes of value in the period did to what was owed: ``owed`` at its beginning, and then ``moved`` by day."""
        change = _NOTHING
        for day in self._days:
            if period.opens_on < day <= period.end:
                before = owed + sum(points for at, points in moved.items() if period.begin <= at < day)
                change += before * (self.on(day) - self.on(day - ONE_DAY))
        return change


def rounded(money: Fraction) -> int:
    """Whole minor units, rounded towards nothing: down, as what points pay is, for a loss as for a gain."""
    return int(money)


async def values_of(engine: AsyncEngine, brand: Brand, restated: int, *, until: date) -> Values:
    """The values that the brand's points had up to a day, with the restatements up to number ``restated``."""
    found = select(point_values.c.valid_from, point_values.c.points, point_values.c.minor_units).where(
        point_values.c.brand_id == brand.brand_id
    )
    async with engine.connect() as connection:
        rows = await connection.execute(found.order_by(point_values.c.version))
        made = {brand.calendar.day(row.valid_from): PointValue(row.points, row.minor_units) for row in rows}
    days = values_by_day(made, await list_restatements(engine, brand.brand_id, up_to=restated))
    return Values([(day, Fraction(value.minor_units, value.points)) for day, value in days.items() if day <= until])
