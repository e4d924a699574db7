"""What customers earned in a period, by what earned it: the roll-forward by campaign and channel.

What was spent and what died is not broken down: which grant a point came from is not in the log.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date

import msgspec

from ledger import Kind, Movement, Verb
from service.exports.account_names import class_name
from service.reports.asked import Asked
from service.reports.report import Check, Column, Report, Row, tie, transfers_link
from service.reports.values import Values, rounded

EARNING = frozenset((Verb.GRANT, Verb.MATURE))
_PAID_BY_BUDGET = frozenset((Verb.GRANT, Verb.HOLD_BACK))
_CHANGES = {"granted": Verb.GRANT, "matured": Verb.MATURE}
_COLUMNS = (
    *(Column(change, "points") for change in _CHANGES),
    *(Column(f"{change}_value", "minor_units") for change in _CHANGES),
)


class Earned(msgspec.Struct):
    """What acts of one kind earned: how many they were, points by day, and the first and the last transfer."""

    acts: int = 0
    points: dict[date, int] = msgspec.field(default_factory=lambda: defaultdict[date, int](int))
    first_seq: int = 2**63
    last_seq: int = 0

    def add(self, movement: Movement) -> None:
        """Add what was earned by acts of the same kind."""
        self.acts += movement.transfers
        self.points[movement.day] += movement.points
        self.first_seq = min(self.first_seq, movement.first_seq)
        self.last_seq = max(self.last_seq, movement.last_seq)

    @property
    def total(self) -> int:
        """All points."""
        return sum(self.points.values())


def names_of(movement: Movement, campaigns: dict[int, str]) -> dict[str, str | None]:
    """What a movement can be broken down by."""
    number = movement.campaign_no
    return {
        "class": class_name(movement.account_class),
        "campaign": None if number is None else campaigns.get(number, str(number)),
        "channel": movement.channel,
        "action": movement.action,
        "grade": movement.grade,
        "month": f"{movement.day:%Y-%m}",
    }


async def report(name: str, asked: Asked) -> Report:
    """What was earned in the period."""
    movements, values, campaigns = await asked.movements(), await asked.values(), await asked.campaigns()
    found: dict[tuple[str, ...], dict[Verb, Earned]] = defaultdict(lambda: defaultdict(Earned))
    total: dict[Verb, Earned] = defaultdict(Earned)
    for movement in movements:
        if movement.verb in EARNING and movement.day in asked.period:
            names = names_of(movement, campaigns)
            found[tuple(names[each] or "" for each in asked.by)][movement.verb].add(movement)
            total[movement.verb].add(movement)
    named = [(dict(zip(asked.by, key, strict=True)), earned) for key, earned in sorted(found.items())]
    return asked.report(
        name,
        _COLUMNS,
        since=asked.period.begin,
        rows=[names | _row(earned, values) for names, earned in named],
        totals=_row(total, values),
        checks=tie([await budgets_check(asked, movements)]),
        links=[_links(names, earned, asked) for names, earned in named],
    )


def _row(earned: dict[Verb, Earned], values: Values) -> Row:
    row: Row = {change: earned[verb].total for change, verb in _CHANGES.items()}
    for change, verb in _CHANGES.items():
        row[f"{change}_value"] = rounded(values.worth_by_day(earned[verb].points)) if values else None
    return row


def _links(names: dict[str, str], earned: dict[Verb, Earned], asked: Asked) -> dict[str, str]:
    known = {name: value for name, value in names.items() if name in {"class", "campaign", "channel"}}
    days = {"from": asked.period.begin, "to": asked.period.end}
    return {
        change: transfers_link(acts.first_seq, acts.last_seq, verb=verb.name.lower(), **known, **days)
        for change, verb in _CHANGES.items()
        if (acts := earned[verb]).acts
    }


async def budgets_check(asked: Asked, movements: Sequence[Movement]) -> Check:
    """What the log says campaigns paid is what their budgets were debited with."""
    paid = sum(movement.points for movement in movements if movement.verb in _PAID_BY_BUDGET)
    budgets = {Kind.BUDGET.name.lower(), Kind.UNLIMITED_BUDGET.name.lower()}
    lines = (await asked.trial_balance()).lines
    return Check("points paid out of budgets by now", paid, sum(line.debits for line in lines if line.kind in budgets))
