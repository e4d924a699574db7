"""Settlement: what each store and terminal took and gave back, day by day, in points and in the money of the purchases.

Money is what redemptions were made with, not the point value of the day. A step counts on its accounting date, at the store
that was given with a capture or refund, and otherwise at the one that authorized.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import date

import msgspec

from ledger import Movement, RedemptionStep, Verb
from service.redemptions.step_values import Replay, step_values
from service.reports.asked import Asked
from service.reports.report import Check, Report, Row, columns, days_of, tie, transfers_link

NAME = "settlement"
DIMENSIONS = ("day", "month", "store", "terminal")

_COLUMNS = columns(
    redemptions="count",
    authorized="points",
    captured="points",
    released="points",
    refunded="points",
    authorized_value="minor_units",
    captured_value="minor_units",
    refunded_value="minor_units",
    net_value="minor_units",
)
_FIGURES = {
    Verb.AUTHORIZE: "authorized",
    Verb.CAPTURE: "captured",
    Verb.VOID: "released",
    Verb.TIME_OUT: "released",
    Verb.REFUND: "refunded",
}
_VERBS = {figure: [verb for verb, of in _FIGURES.items() if of == figure] for figure in dict.fromkeys(_FIGURES.values())}
_READ_AT_ONCE = 100
"""How many redemptions one statement looks up: for each it reads what its customer has moved since."""
_REMEMBERED = 100_000
"""How many of the newest redemptions are told on from piece to piece of the log: 20 MB."""


class _Settled(msgspec.Struct):
    """What one store's terminal did: points and money by figure, and where its transfers are."""

    points: Counter[str] = msgspec.field(default_factory=Counter[str])
    value: Counter[str] = msgspec.field(default_factory=Counter[str])
    seqs: dict[str, tuple[int, int]] = {}
    redemptions: int = 0

    def add(self, step: RedemptionStep, worth: int | None) -> None:
        figure = _FIGURES[step.verb]
        self.points[figure] += step.points
        self.value[figure] += worth or 0
        self.redemptions += step.verb is Verb.AUTHORIZE
        known = self.seqs.get(figure, (step.seq, 0))
        self.seqs[figure] = min(known[0], step.seq), max(known[1], step.seq)

    def row(self) -> Row:
        value = {f"{figure}_value": self.value[figure] for figure in ("authorized", "captured", "refunded")}
        return {
            "redemptions": self.redemptions,
            **{figure: self.points[figure] for figure in _VERBS},
            **value,
            "net_value": self.value["captured"] - self.value["refunded"],
        }


async def report(asked: Asked) -> Report:
    """The settlement of a period."""
    after, until = await asked.log_of_period()
    found: dict[tuple[str, ...], _Settled] = defaultdict(_Settled)
    total = _Settled()
    begun: dict[int, Replay] = {}
    since = date.min if asked.period.begins_within else asked.period.begin
    async for steps in asked.services.ledger.redemption_steps(
        asked.brand.book, after=after, until=until, since=since, to=asked.period.end
    ):
        worths = await _worths(asked, steps, begun)
        for step in steps:
            names = _names(step)
            found[tuple(names[each] for each in asked.by)].add(step, worths[step.seq])
            total.add(step, worths[step.seq])
    moved = await asked.services.ledger.movements(asked.brand.book, after=after, until=until, with_events=False)
    named = [(dict(zip(asked.by, key, strict=True)), settled) for key, settled in sorted(found.items())]
    return asked.report(
        NAME,
        _COLUMNS,
        since=asked.period.begin,
        seq=until,
        rows=[{**names, **settled.row()} for names, settled in named],
        totals=total.row(),
        checks=tie(_checks(asked, total, moved)),
        links=[_links(asked, settled) for _, settled in named],
    )


async def _worths(asked: Asked, steps: Sequence[RedemptionStep], begun: dict[int, Replay]) -> dict[int, int | None]:
    """What steps are worth, by their first transfer. Redemptions that have ``begun`` with or before them are told on; of all
    others every step is read.
    """
    begun |= {step.redemption: Replay(step.value, step.points) for step in steps if step.verb is Verb.AUTHORIZE}
    worths = {
        step.seq: begun[step.redemption].step(step.verb.name.lower(), step.points) for step in steps if step.redemption in begun
    }
    older = sorted({step.redemption for step in steps if step.redemption not in begun})
    for begin in range(0, len(older), _READ_AT_ONCE):
        redemptions = await asked.services.ledger.redemptions(asked.brand.book, older[begin : begin + _READ_AT_ONCE])
        worths |= {step.seq: worth for redemption in redemptions for step, worth in step_values(redemption)}
    for redemption in list(itertools.islice(begun, max(0, len(begun) - _REMEMBERED))):
        del begun[redemption]
    return worths


def _names(step: RedemptionStep) -> dict[str, str]:
    where = {"store": step.store_id or "", "terminal": step.terminal_id or ""}
    return {"day": step.day.isoformat(), "month": f"{step.day:%Y-%m}", **where}


def _checks(asked: Asked, total: _Settled, moved: Sequence[Movement]) -> list[Check]:
    """All redemptions add up to what the log moved."""
    booked: Counter[str] = Counter()
    for movement in moved:
        if movement.verb in _FIGURES and asked.dated(movement).day in asked.period:
            booked[_FIGURES[movement.verb]] += movement.points
    return [Check(f"points {figure}", total.points[figure], booked[figure]) for figure in _VERBS]


def _links(asked: Asked, settled: _Settled) -> dict[str, str]:
    days = days_of(asked.period)
    return {
        figure: transfers_link(*settled.seqs[figure], verb=",".join(verb.name.lower() for verb in verbs), **days)
        for figure, verbs in _VERBS.items()
        if figure in settled.seqs
    }
