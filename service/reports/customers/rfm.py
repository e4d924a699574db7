"""RFM: how recently and how often customers act, and what it earns them, with scores from 1 to 5 in each.

A customer's score is one more than how many fifths of all customers are worse, rounded down: customers who are equal have the
same score. Recency is by the day of the last verified act, frequency by verified acts in the period, and monetary value by the
points earned in it. Customers are all who ever did or had anything.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, TypeAlias

import msgspec

from service.reports.asked import Asked
from service.reports.customers.figures import Figures, Stretches, all_figures
from service.reports.earned import earned_points
from service.reports.report import Check, Report, Row, columns, tie
from service.reports.values import Values, rounded

NAME = "rfm"
DIMENSIONS = ("recency", "frequency", "monetary")

_SUMS = columns(
    customers="count",
    verified_acts="count",
    redemptions="count",
    earned="points",
    redeemed="points",
    earned_value="minor_units",
    redeemed_value="minor_units",
)
COLUMNS = columns(
    customer="text",
    recency="count",
    frequency="count",
    monetary="count",
    last_act_on="date",
    days_since_act="count",
    last_redemption_on="date",
    days_since_redemption="count",
    verified_acts="count",
    redemptions="count",
    earned="points",
    redeemed="points",
    earned_value="minor_units",
    redeemed_value="minor_units",
)
_FIFTHS = 5
_SCALES_KEPT = 16

Scale: TypeAlias = Sequence[int]
"""The least values of the scores 2, 3, 4 and 5."""


class Scales:
    """Scales that were reckoned, by what they are of: pages of one list are scored alike without reading all again."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Any, ...], Mapping[str, Scale]] = OrderedDict()

    def get(self, of: tuple[Any, ...]) -> Mapping[str, Scale] | None:
        """What was kept, if it still is."""
        return self._kept.get(of)

    def keep(self, of: tuple[Any, ...], scales: Mapping[str, Scale]) -> None:
        """Keep scales, and forget the oldest."""
        self._kept[of] = scales
        if len(self._kept) > _SCALES_KEPT:
            self._kept.popitem(last=False)


class _Segment(msgspec.Struct):
    customers: int = 0
    acts: int = 0
    redemptions: int = 0
    points: dict[str, dict[date, int]] = msgspec.field(
        default_factory=lambda: defaultdict[str, dict[date, int]](lambda: defaultdict[date, int](int))
    )

    def add(self, figures: Figures, asked: Asked) -> None:
        self.customers += 1
        self.acts += figures.acts
        self.redemptions += len(figures.redemptions)
        for change, days in figures.points.items():
            for day, points in days.items():
                if day in asked.period:
                    self.points[change][day] += points


def scale_of(counts: Mapping[int, int]) -> Scale:
    """The scale of values, of which ``counts`` says how many customers have each."""
    total, worse = sum(counts.values()), 0
    scale: list[int] = []
    for value in sorted(counts):
        scale += [value] * (_FIFTHS * worse // total - len(scale))
        worse += counts[value]
    return scale


def score(value: int, scale: Scale) -> int:
    """The score of a value."""
    return 1 + bisect_right(scale, value)


async def report(asked: Asked) -> Report:
    """How many customers have which scores, and what they did in the period."""
    values = await asked.values()
    after, until = await asked.posted()
    stretches = Stretches.of(asked, values)
    scales = await scales_of(asked, until, stretches)
    found: dict[tuple[int, ...], _Segment] = defaultdict(_Segment)
    total = _Segment()
    async for some in all_figures(asked, until, stretches):
        for figures in some:
            scores: dict[str, int] = dict(zip(DIMENSIONS, _scores(figures, asked, scales), strict=True))
            found[tuple(scores[each] for each in asked.by)].add(figures, asked)
            total.add(figures, asked)
    earned = sum(total.points["granted"].values())
    return asked.report(
        NAME,
        _SUMS,
        since=asked.period.begin,
        seq=until,
        rows=[{**dict(zip(asked.by, key, strict=True)), **_sums(found[key], values)} for key in sorted(found)],
        totals=_sums(total, values),
        checks=tie([Check("points earned", earned, await earned_points(asked, after, until))]),
        links=[{} for _ in found],
    )


async def scales_of(asked: Asked, until: int, stretches: Stretches) -> Mapping[str, Scale]:
    """The scales of all customers, read once for a period and a place in the log."""
    of = (asked.brand.book, asked.period, until)
    known = asked.services.rfm_scales.get(of)
    if known is None:
        counts: list[Counter[int]] = [Counter() for _ in DIMENSIONS]
        async for some in all_figures(asked, until, stretches):
            for figures in some:
                for counted, value in zip(counts, _values(figures, asked), strict=True):
                    counted[value] += 1
        known = {name: scale_of(counted) for name, counted in zip(DIMENSIONS, counts, strict=True)}
        asked.services.rfm_scales.keep(of, known)
    return known


def _values(figures: Figures, asked: Asked) -> tuple[int, int, int]:
    """By what a customer is scored: more is better, and no act at all is worst."""
    acted = 0 if figures.acted_on is None else figures.acted_on.toordinal()
    return acted, figures.acts, _in_period(figures, "granted", asked)


def _scores(figures: Figures, asked: Asked, scales: Mapping[str, Scale]) -> list[int]:
    return [score(value, scales[name]) for name, value in zip(DIMENSIONS, _values(figures, asked), strict=True)]


def _in_period(figures: Figures, change: str, asked: Asked) -> int:
    return sum(points for day, points in figures.points[change].items() if day in asked.period)


def row(figures: Figures, asked: Asked, values: Values, scales: Mapping[str, Scale]) -> Row:
    """A customer's row."""
    one = _Segment()
    one.add(figures, asked)
    end = asked.period.end
    return {
        "customer": f"cus_{figures.customer}",
        **dict(zip(DIMENSIONS, _scores(figures, asked, scales), strict=True)),
        "last_act_on": _text(figures.acted_on),
        "days_since_act": _days(figures.acted_on, end),
        "last_redemption_on": _text(figures.redeemed_on),
        "days_since_redemption": _days(figures.redeemed_on, end),
        **{name: value for name, value in _sums(one, values).items() if name != "customers"},
    }


def _text(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _days(day: date | None, end: date) -> int | None:
    return None if day is None else (end - day).days


def _sums(segment: _Segment, values: Values) -> Row:
    """Redeemed is less what refunds gave back."""
    points = {change: sum(segment.points[change].values()) for change in ("granted", "redeemed", "refunded")}
    worth = {change: values.worth_by_day(segment.points[change]) for change in points}
    return {
        "customers": segment.customers,
        "verified_acts": segment.acts,
        "redemptions": segment.redemptions,
        "earned": points["granted"],
        "redeemed": points["redeemed"] - points["refunded"],
        "earned_value": rounded(worth["granted"]) if values else None,
        "redeemed_value": rounded(worth["redeemed"] - worth["refunded"]) if values else None,
    }
