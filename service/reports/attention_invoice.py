"""The attention invoice: what customers' acts on messages cost, and what machines were not paid.

An act is **verified** if its evidence is of grade A or B. What all acts cost is divided by the verified ones alone: an act
that may have been a machine's buys no attention.
"""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction

import msgspec

from ledger import Movement, MovementsBy
from service.evidence.report import machine_counts
from service.reports.asked import Asked
from service.reports.earned import EARNING, Earned, names_of
from service.reports.reading import owed_checks, read
from service.reports.report import Report, Row, columns, decimal, tie, transfers_link
from service.reports.values import Values, rounded

NAME = "attention-invoice"
DIMENSIONS = ("campaign", "channel", "action", "grade", "month")

_COLUMNS = columns(
    acts="count",
    verified_acts="count",
    points="points",
    value="minor_units",
    cost_per_verified_act="decimal",
    machine_requests="count",
    machine_points_not_paid="points",
    machine_value_not_paid="minor_units",
)
_VERIFIED = frozenset("AB")
_MACHINE = "X"


class _Attention(msgspec.Struct):
    """What was paid for, and what came from machines and was not."""

    earned: Earned = msgspec.field(default_factory=Earned)
    verified: int = 0
    requests: int = 0
    not_paid: int = 0

    def add(self, movement: Movement) -> None:
        """Add acts that were paid."""
        self.earned.add(movement)
        if movement.grade in _VERIFIED:
            self.verified += movement.transfers

    def add_machines(self, requests: int, not_paid: int) -> None:
        """Add requests of machines."""
        self.requests += requests
        self.not_paid += not_paid


async def report(asked: Asked) -> Report:
    """The invoice for a period."""
    reading = await read(asked, by=MovementsBy(campaign=True, channel=True, act=True))
    values, campaigns = await asked.values(), await asked.campaigns()
    found: dict[tuple[str, ...], _Attention] = defaultdict(_Attention)
    total = _Attention()
    for movement in reading.movements:
        if movement.verb in EARNING and movement.day in asked.period:
            names = names_of(movement, campaigns)
            found[tuple(names[each] or "" for each in asked.by)].add(movement)
            total.add(movement)
    machines = await machine_counts(asked.services.pool, asked.brand.brand_id, asked.period.begin, asked.period.end)
    for campaign_no, counts in machines.items():
        names = {"campaign": campaigns.get(campaign_no, str(campaign_no)), "grade": _MACHINE}
        found[tuple(names.get(each, "") for each in asked.by)].add_machines(*counts)
        total.add_machines(*counts)
    named = [(dict(zip(asked.by, key, strict=True)), attention) for key, attention in sorted(found.items())]
    return asked.report(
        NAME,
        _COLUMNS,
        since=asked.period.begin,
        seq=reading.seq,
        rows=[names | _row(attention, values, asked) for names, attention in named],
        totals=_row(total, values, asked),
        checks=tie(owed_checks(reading)),
        links=[_links(names, attention, asked) for names, attention in named],
    )


def _row(attention: _Attention, values: Values, asked: Asked) -> Row:
    worth = values.worth_by_day(attention.earned.points)
    return {
        "acts": attention.earned.acts,
        "verified_acts": attention.verified,
        "points": attention.earned.total,
        "value": rounded(worth) if values else None,
        "cost_per_verified_act": decimal(Fraction(worth, attention.verified)) if values and attention.verified else None,
        "machine_requests": attention.requests,
        "machine_points_not_paid": attention.not_paid,
        "machine_value_not_paid": rounded(values.worth(attention.not_paid, asked.period.end)) if values else None,
    }


def _links(names: dict[str, str], attention: _Attention, asked: Asked) -> dict[str, str]:
    if not attention.earned.acts:
        return {}
    known = {name: value for name, value in names.items() if name in {"campaign", "channel", "action", "grade"}}
    days = {"from": asked.period.begin, "to": asked.period.end}
    earned = attention.earned
    return {"points": transfers_link(earned.first_seq, earned.last_seq, verb="grant,mature", **known, **days)}
