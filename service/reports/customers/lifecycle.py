"""Lifecycle: what was paid to win customers, to keep them, and to win them back, beside what a new customer costs elsewhere.

A customer's first paid act is **new**. An act after `LAPSED_AFTER` without one is **reactivated**: it won them back. All others
are of **active** customers.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from fractions import Fraction

import msgspec

from ledger import StageEarned
from service.exports.account_names import class_name
from service.reports.asked import Asked
from service.reports.earned import earned_points
from service.reports.report import Check, Report, Row, columns, decimal, tie
from service.reports.values import Values, rounded

NAME = "lifecycle"
DIMENSIONS = ("stage", "campaign", "class", "month")
LAPSED_AFTER = timedelta(days=90)

_COLUMNS = columns(
    acts="count",
    points="points",
    value="minor_units",
    value_per_act="decimal",
    acquisition_value="minor_units",
    saved_value="minor_units",
)
_WON = frozenset(("new", "reactivated"))


class _Stage(msgspec.Struct):
    """What acts earned, and how many of them won a customer."""

    acts: int = 0
    won: int = 0
    points: dict[date, int] = msgspec.field(default_factory=lambda: defaultdict[date, int](int))
    points_of_won: dict[date, int] = msgspec.field(default_factory=lambda: defaultdict[date, int](int))

    def add(self, earned: StageEarned) -> None:
        """Add what was earned."""
        self.acts += earned.acts
        self.points[earned.day] += earned.points
        if earned.stage in _WON:
            self.won += earned.acts
            self.points_of_won[earned.day] += earned.points


async def report(asked: Asked) -> Report:
    """What was paid in the period, by where the customers were."""
    ledger, book, period = asked.services.ledger, asked.brand.book, asked.period
    after, until = await asked.log_of_period()
    values, campaigns = await asked.values(), await asked.campaigns()
    cost = (await asked.estimates()).on(None, period.end)
    found: dict[tuple[str, ...], _Stage] = defaultdict(_Stage)
    total = _Stage()
    for earned in await ledger.lifecycle(
        book, after=after, until=until, since=period.begin, to=period.end, lapsed_after=LAPSED_AFTER
    ):
        names = _names(earned, campaigns)
        found[tuple(names[each] for each in asked.by)].add(earned)
        total.add(earned)
    paid = await earned_points(asked, after, until)
    unit_cost = None if cost is None else cost.value
    return asked.report(
        NAME,
        _COLUMNS,
        since=period.begin,
        seq=until,
        rows=[
            {**dict(zip(asked.by, key, strict=True)), **_row(stage, values, unit_cost)} for key, stage in sorted(found.items())
        ],
        totals=_row(total, values, unit_cost),
        checks=tie([Check("points earned", sum(total.points.values()), paid)]),
        links=[{} for _ in found],
    )


def _names(earned: StageEarned, campaigns: dict[int, str]) -> dict[str, str]:
    number = earned.campaign_no
    return {
        "stage": earned.stage,
        "campaign": "" if number is None else campaigns.get(number, str(number)),
        "class": class_name(earned.account_class),
        "month": f"{earned.day:%Y-%m}",
    }


def _row(stage: _Stage, values: Values, unit_cost: int | None) -> Row:
    worth = values.worth_by_day(stage.points)
    won_for = rounded(values.worth_by_day(stage.points_of_won))
    elsewhere = None if unit_cost is None else unit_cost * stage.won
    return {
        "acts": stage.acts,
        "points": sum(stage.points.values()),
        "value": rounded(worth) if values else None,
        "value_per_act": decimal(Fraction(worth, stage.acts)) if values and stage.acts else None,
        "acquisition_value": elsewhere,
        "saved_value": elsewhere - won_for if values and elsewhere is not None else None,
    }
