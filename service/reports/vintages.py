"""Vintages: what became of the points of each month, by their age in months. Actuaries estimate from it what is redeemed.

Points are followed from the grant that brought them (see ``Attributed``). What is left is what is still owed of them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date

import msgspec

from ledger import Kind, Movement
from service.reports.asked import Asked
from service.reports.attributed import Attributed, attributed
from service.reports.earned import names_of
from service.reports.reading import is_taken_back, owed_by_class, owed_change
from service.reports.report import Check, Report, Row, columns, tie

NAME = "vintages"
DIMENSIONS = ("class", "campaign", "channel")

_COLUMNS = columns(
    issued_in="text",
    age_months="count",
    issued="points",
    redeemed="points",
    expired="points",
    redeemed_by_now="points",
    expired_by_now="points",
    left="points",
    taken_back="points",
    taken_back_by_now="points",
)


class _Vintage(msgspec.Struct):
    """The points of one month: how many were issued, and by age what became of them."""

    issued: int = 0
    redeemed: Counter[int] = msgspec.field(default_factory=Counter[int])
    expired: Counter[int] = msgspec.field(default_factory=Counter[int])
    taken_back: Counter[int] = msgspec.field(default_factory=Counter[int])
    owed: Counter[int] = msgspec.field(default_factory=Counter[int])

    def follow(self, movement: Movement, age: int) -> None:
        """Add what became of some of the points at an age."""
        self.redeemed[age] += movement.points * ((movement.credit is Kind.SPENT) - (movement.debit is Kind.SPENT))
        self.expired[age] += movement.points * ((movement.credit is Kind.BREAKAGE) - (movement.debit is Kind.BREAKAGE))
        self.taken_back[age] += movement.points * is_taken_back(movement)
        self.owed[age] += owed_change(movement)


async def report(asked: Asked) -> Report:
    """What became of the points that were issued in the period, by its end."""
    known, campaigns = await attributed(asked, by_day_of_issue=True), await asked.campaigns()
    found: dict[tuple[tuple[str, ...], date], _Vintage] = defaultdict(_Vintage)
    for movement in known.entered:
        if movement.day in asked.period and owed_change(movement):
            found[_key(asked, movement, campaigns, movement.day)].issued += owed_change(movement)
    for movement in known.left:
        issued_on = movement.issued_on or movement.day
        if issued_on in asked.period and movement.day <= asked.period.end:
            month = issued_on.replace(day=1)
            found[_key(asked, movement, campaigns, issued_on)].follow(movement, _age(month, movement.day))
    issued = {key: vintage for key, vintage in found.items() if vintage.issued}
    rows = [row for key, vintage in sorted(issued.items(), key=_order) for row in _rows(asked, *key, vintage)]
    return asked.report(
        NAME,
        _COLUMNS,
        since=asked.period.begin,
        seq=known.seq,
        rows=rows,
        totals={},
        checks=tie([_check(known)]),
        links=[{} for _ in rows],
    )


def _key(asked: Asked, movement: Movement, campaigns: dict[int, str], day: date) -> tuple[tuple[str, ...], date]:
    names = names_of(movement, campaigns)
    return tuple(names[each] or "" for each in asked.by), day.replace(day=1)


def _order(found: tuple[tuple[tuple[str, ...], date], _Vintage]) -> tuple[tuple[str, ...], date]:
    return found[0]


def _age(month: date, day: date) -> int:
    return (day.year - month.year) * 12 + day.month - month.month


def _rows(asked: Asked, names: tuple[str, ...], month: date, vintage: _Vintage) -> list[Row]:
    rows: list[Row] = []
    redeemed = expired = taken_back = 0
    left = vintage.issued
    for age in range(_age(month, asked.period.end) + 1):
        redeemed, expired = redeemed + vintage.redeemed[age], expired + vintage.expired[age]
        taken_back += vintage.taken_back[age]
        left += vintage.owed[age]
        rows.append(
            {
                **dict(zip(asked.by, names, strict=True)),
                "issued_in": f"{month:%Y-%m}",
                "age_months": age,
                "issued": vintage.issued,
                "redeemed": vintage.redeemed[age],
                "expired": vintage.expired[age],
                "redeemed_by_now": redeemed,
                "expired_by_now": expired,
                "left": left,
                "taken_back": vintage.taken_back[age],
                "taken_back_by_now": taken_back,
            }
        )
    return rows


def _check(known: Attributed) -> Check:
    """What was ever issued, less what became of it, is what is owed."""
    left = sum(owed_change(movement) for movement in (*known.entered, *known.left))
    return Check("points left of all months", left, sum(owed_by_class(known.trial_balance).values()))
