"""Corrections: what was taken back, given and taken in a period, a line for each reason, and for each correction of many.

A correction counts on the day that it was posted. What shortfalls returned later is in a row without a reason: it was asked for
before, and came back with a void, a time-out or a refund.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ledger import CorrectionsMade, Movement, Verb
from service.corrections.jobs.queries import JobSum, sums_of_jobs
from service.reports.asked import Asked
from service.reports.reading import owed_change
from service.reports.report import Check, Report, Row, columns, tie

NAME = "corrections"
DIMENSIONS = ("correction", "reason")

_COLUMNS = columns(corrections="count", taken_back="points", given="points", taken="points")


class Of(NamedTuple):
    """Whose figures: a correction of many, or single ones, for a reason."""

    correction: str
    reason: str


Figures = dict[Of, Counter[str]]


async def report(asked: Asked) -> Report:
    """What was corrected in a period."""
    after, until = await asked.posted()
    services, brand = asked.services, asked.brand
    made = await services.ledger.corrections_made(brand.book, after=after, until=until)
    of_jobs = await sums_of_jobs(services.engine, brand.brand_id, after=after, until=until)
    moved = await services.ledger.movements(brand.book, after=after, until=until, with_events=False)
    figures = _figures(made, of_jobs)
    clawed_back = sum(each.points for each in made if each.verb is Verb.CLAWBACK)
    returned = sum(each.points for each in moved if each.verb is Verb.CLAWBACK) - clawed_back
    if returned:
        figures[Of("", "")] = Counter(taken_back=returned)
    rows, totals = _rows(asked, figures), Counter[str]()
    for counted in figures.values():
        totals.update(counted)
    return asked.report(
        NAME,
        _COLUMNS,
        since=asked.period.begin,
        seq=until,
        rows=rows,
        totals=_row(totals),
        checks=tie(_checks(made, totals, moved)),
        links=[{} for _ in rows],
    )


def _figures(made: Iterable[CorrectionsMade], of_jobs: Iterable[JobSum]) -> Figures:
    """What jobs did, and for each reason what else there is."""
    figures: Figures = defaultdict(Counter[str])
    for each in made:
        figures[Of("", each.reason)].update({_column(each): each.points, "corrections": each.corrections})
    for job in of_jobs:
        column = "taken_back" if job.kind == "clawback" else "given" if job.gives else "taken"
        figures[Of(job.id, job.reason)].update({column: job.points, "corrections": job.lines})
        figures[Of("", job.reason)].subtract({column: job.points, "corrections": job.lines})
    return {of: counted for of, counted in figures.items() if any(counted.values())}


def _column(made: CorrectionsMade) -> str:
    if made.verb is not Verb.ADJUST:
        return "taken_back"
    return "given" if made.is_credit else "taken"


def _rows(asked: Asked, figures: Figures) -> list[Row]:
    summed: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter[str])
    for of, counted in figures.items():
        names: Mapping[str, str] = of._asdict()
        summed[tuple(names[each] for each in asked.by)].update(counted)
    return [{**dict(zip(asked.by, key, strict=True)), **_row(summed[key])} for key in sorted(summed)]


def _row(counted: Counter[str]) -> Row:
    return {column.name: counted[column.name] for column in _COLUMNS}


def _checks(made: Iterable[CorrectionsMade], totals: Counter[str], moved: Iterable[Movement]) -> list[Check]:
    """What corrections say they moved is what the log moved. What was held back and is rejected was owed to nobody."""
    rejected = sum(each.points for each in made if each.verb is Verb.REJECT)
    booked: Counter[Verb] = Counter()
    for movement in moved:
        booked[movement.verb] += movement.points if movement.verb is Verb.CLAWBACK else owed_change(movement)
    return [
        Check("points taken back", totals["taken_back"] - rejected, booked[Verb.CLAWBACK]),
        Check("points adjusted", totals["given"] - totals["taken"], booked[Verb.ADJUST]),
    ]
