"""The roll-forward: what was owed, what changed it, and what is owed now, in points and in money.

Owed is what customers have in lots, and what is set aside of it for purchases. Points that are held back by policy are not
owed until they mature. Every transfer counts on its accounting date:

    opening + granted + matured + brought in + adjusted + refunded - redeemed - expired - forfeited - clawed back = closing

Money is that by the values of the days, with what a change of value did (``revalued``) and what rounding each figure to
whole minor units leaves (``rounding``).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import TypeAlias

import msgspec

from ledger import Movement, Verb
from service.exports.account_names import class_name
from service.http.periods import Period
from service.http.problems import invalid_field
from service.reports.asked import Asked
from service.reports.attributed import attributed
from service.reports.deferred_revenue import PURCHASE, Deferred, DeferredByDay, deferred_by_day
from service.reports.earned import names_of
from service.reports.reading import ACTED, Reading, owed_change, owed_checks, read
from service.reports.report import Check, Column, Report, Row, days_of, tie, transfers_link
from service.reports.values import Values, rounded

NAME = "roll-forward"
DIMENSIONS = ("class", "campaign", "channel", "origin", ACTED, "month")

_WHOLE = frozenset(("class", ACTED, "month"))
"""What the log alone can tell."""
FOLLOWED = frozenset(DIMENSIONS) - _WHOLE
"""For these points are followed from their grants."""

Change: TypeAlias = str
"""A change of what is owed, named as its column."""

# What adds to what is owed, and what takes from it, in the order of the columns.
_SIGNS: dict[Change, int] = {
    "granted": 1,
    "matured": 1,
    "brought_in": 1,
    "adjusted": 1,
    "refunded": 1,
    "redeemed": -1,
    "expired": -1,
    "forfeited": -1,
    "clawed_back": -1,
}
_CHANGES: dict[Verb, Change] = {
    Verb.GRANT: "granted",
    Verb.MATURE: "matured",
    Verb.OPEN: "brought_in",
    Verb.ADJUST: "adjusted",
    Verb.REFUND: "refunded",
    Verb.CAPTURE: "redeemed",
    Verb.EXPIRE: "expired",
    Verb.FORFEIT: "forfeited",
    Verb.CLAWBACK: "clawed_back",
}
# They move what is owed from one customer to another. If they came to anything but nothing, the report would not tie.
_MOVING = frozenset((Verb.MERGE, Verb.SPLIT))
_ENTERED = ("granted", "matured")
_DEFERRED = ("opening_deferred_value", "allocated_value", "released_value", "closing_deferred_value")
_COLUMNS = (
    *(Column(name, "points") for name in ("opening", *_SIGNS, "closing")),
    *(Column(f"{name}_value", "minor_units") for name in ("opening", *_SIGNS, "revalued", "rounding", "closing")),
    *(Column(name, "minor_units") for name in _DEFERRED),
)


_Moved: TypeAlias = dict[Change, dict[date, int]]


class _Flow(msgspec.Struct):
    """What changed what is owed since it was ``opening``: points by change and day, and the first and last transfer of each."""

    opening: int
    moved: _Moved
    transfers: dict[tuple[Change, date], tuple[int, int]]

    @classmethod
    def of(cls, opening: int, movements: Iterable[Movement]) -> _Flow:
        """What movements changed."""
        flow = cls(opening, {change: defaultdict(int) for change in _SIGNS}, {})
        for movement in movements:
            if movement.verb not in _MOVING and (points := owed_change(movement)):
                flow.add(movement, points)
        return flow

    def add(self, movement: Movement, points: int) -> None:
        """Add a movement, after which so many points more are owed."""
        change = _CHANGES[movement.verb]
        self.moved[change][movement.day] += points * _SIGNS[change]
        if movement.transfers:
            known = self.transfers.get((change, movement.day), (movement.first_seq, 0))
            self.transfers[change, movement.day] = min(known[0], movement.first_seq), max(known[1], movement.last_seq)

    def net(self) -> dict[date, int]:
        """By how much more was owed after each day."""
        net: dict[date, int] = defaultdict(int)
        for change, days in self.moved.items():
            for day, points in days.items():
                net[day] += points * _SIGNS[change]
        return net


async def report(asked: Asked) -> Report:
    """The roll-forward of a period. Raises the problem of dimensions that cannot be told apart together."""
    if ACTED in asked.by and (followed := FOLLOWED.intersection(asked.by)):
        raise invalid_field("?by", f"`{ACTED}` goes with class and month alone, not with {min(followed)}")
    values, campaigns = await asked.values(), await asked.campaigns()
    if _WHOLE.issuperset(asked.by):
        reading = await read(asked, by_day=bool(values))
    else:
        reading = (await attributed(asked, by_day_of_issue="origin" in asked.by)).reading
    deferred = await _deferral(asked, reading, values)
    parts = list(asked.period.months()) if "month" in asked.by else [asked.period]
    rows: list[Row] = []
    links: list[dict[str, str]] = []
    for names, flow in _flows(asked, reading, campaigns):
        for part in parts:
            row = _row(flow, part, values) | _deferred(deferred, part, names)
            if any(row.values()):
                rows.append({**{name: {**names, "month": f"{part.begin:%Y-%m}"}[name] for name in asked.by}, **row})
                links.append(_links(asked, flow, part, names))
    totals = _row(_Flow.of(sum(reading.opening.values()), reading.movements), asked.period, values)
    totals |= _deferred(deferred, asked.period, {})
    checks = tie([*owed_checks(reading), *_sums(rows, totals, by_month="month" in asked.by)])
    return asked.report(
        NAME, _COLUMNS, since=asked.period.begin, seq=reading.seq, rows=rows, totals=totals, checks=checks, links=links
    )


def _flows(asked: Asked, reading: Reading, campaigns: dict[int, str]) -> Iterator[tuple[dict[str, str], _Flow]]:
    """What changed by everything but the month, in order."""
    by = [name for name in asked.by if name != "month"]
    movements: dict[tuple[str, ...], list[Movement]] = defaultdict(list)
    opening: Counter[tuple[str, ...]] = Counter()
    for account_class, points in reading.opening.items():
        opening[tuple({"class": class_name(account_class)}.get(name, "") for name in by)] += points
    for movement in reading.movements:
        names = names_of(movement, campaigns) | {
            "origin": _origin(movement, asked.period),
            ACTED: _acted(movement, asked.period),
        }
        movements[tuple(names[name] or "" for name in by)].append(movement)
    for key in sorted({*movements, *opening}):
        yield dict(zip(by, key, strict=True)), _Flow.of(opening[key], movements[key])


def _origin(movement: Movement, period: Period) -> str:
    """Whether points were owed when the period began, or have been issued since."""
    return "opening" if (movement.issued_on or movement.day) < period.begin else "period"


def _acted(movement: Movement, period: Period) -> str:
    """Whether what was granted in the period was for an act before it. Acts say nothing of other changes."""
    if movement.verb is not Verb.GRANT or movement.day not in period:
        return ""
    return "before" if (movement.occurred_on or movement.day) < period.begin else "period"


def _row(flow: _Flow, period: Period, values: Values) -> Row:
    """What was owed, what changed it and what is owed then, in points and then in money."""
    net = flow.net()
    opening = flow.opening + sum(points for day, points in net.items() if day < period.begin)
    moved = {change: {day: points for day, points in days.items() if day in period} for change, days in flow.moved.items()}
    points = {change: sum(days.values()) for change, days in moved.items()}
    row: Row = {"opening": opening, **points, "closing": opening + _signed(points)}
    if not values:
        return row | {column.name: None for column in _COLUMNS if column.unit == "minor_units"}
    return row | _money(opening, moved, net, period, values)


def _money(opening: int, moved: _Moved, net: Mapping[date, int], period: Period, values: Values) -> Row:
    worth = {change: rounded(values.worth_by_day(days)) for change, days in moved.items()}
    closing = opening + sum(points for day, points in net.items() if day in period)
    opening_value = rounded(values.worth(opening, period.opens_on))
    closing_value = rounded(values.worth(closing, period.end))
    revalued = rounded(values.revalued(opening, net, period))
    return {
        "opening_value": opening_value,
        **{f"{change}_value": money for change, money in worth.items()},
        "revalued_value": revalued,
        "rounding_value": closing_value - opening_value - _signed(worth) - revalued,
        "closing_value": closing_value,
    }


class _Deferral(msgspec.Struct, frozen=True):
    """Deferred revenue by day; and up to the cut that the period begins with, if it does."""

    by_day: DeferredByDay
    up_to_cut: DeferredByDay

    def opening(self, period: Period) -> Deferred:
        """When the period begins."""
        return (self.up_to_cut if period.begins_within else self.by_day).at(period.opens_on)


async def _deferral(asked: Asked, reading: Reading, values: Values) -> _Deferral | None:
    """Deferred revenue, if the brand's points have a value. It is an average, so campaigns, channels and origins have none."""
    if not values or not _WHOLE.issuperset(asked.by):
        return None
    if asked.after is None and ACTED not in asked.by:
        by_day = DeferredByDay(reading.movements, values)
    else:
        by_day = await deferred_by_day(asked, values, reading.trial_balance)
    if asked.after is None:
        return _Deferral(by_day, by_day)
    return _Deferral(by_day, await deferred_by_day(asked, values, reading.trial_balance, until=asked.after))


def _deferred(deferral: _Deferral | None, period: Period, names: Mapping[str, str]) -> Row:
    """What is deferred for points of class purchase, in the row of this class or where classes are not told apart."""
    if deferral is None or names.get("class", PURCHASE) != PURCHASE or names.get(ACTED):
        return dict.fromkeys(_DEFERRED)
    opening, closing = deferral.opening(period), deferral.by_day.at(period.end)
    allocated = closing.allocated - opening.allocated
    released = opening.deferred + allocated - closing.deferred
    return dict(zip(_DEFERRED, (opening.deferred, allocated, released, closing.deferred), strict=True))


def _signed(amounts: Mapping[Change, int]) -> int:
    """What changes come to, those that take away taken away."""
    return sum(amount * _SIGNS[change] for change, amount in amounts.items())


def _links(asked: Asked, flow: _Flow, period: Period, names: dict[str, str]) -> dict[str, str]:
    """Where the transfers of each change are. By campaign and channel only what points came with can be looked for."""
    found: dict[str, str] = {}
    for change in _SIGNS if _WHOLE.issuperset(names) else _ENTERED:
        seqs = [seqs for (of, day), seqs in flow.transfers.items() if of == change and day in period]
        if seqs:
            verbs = ",".join(verb.name.lower() for verb, of in _CHANGES.items() if of == change)
            days = days_of(period)
            known = {name: value for name, value in names.items() if value and name not in {"origin", ACTED}}
            known |= _occurred(asked.period, names.get(ACTED))
            first, last = min(first for first, _ in seqs), max(last for _, last in seqs)
            found[change] = transfers_link(first, last, verb=verbs, **known, **days)
    return found


def _occurred(period: Period, acted: str | None) -> dict[str, str]:
    """The filters of transfers by when an act occurred."""
    match acted:
        case "before":
            return {"occurred_to": period.day_before.isoformat()}
        case "period":
            return {"occurred_from": period.begin.isoformat()}
        case _:
            return {}


def _sums(rows: Sequence[Row], totals: Row, *, by_month: bool) -> list[Check]:
    """The rows add up to the totals. A month opens with what the one before closed with, so these two are not added up."""
    names = [*_SIGNS, *(() if by_month else ("opening", "closing"))]
    return [Check(f"rows of {name}", sum(int(row[name] or 0) for row in rows), int(totals[name] or 0)) for name in names]
