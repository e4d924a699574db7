"""Hours: when customers act, by day of the week and hour in the brand's time zone. Acts of machines tell nothing of that, so
only those count that have evidence of grade A or B.
"""

from __future__ import annotations

from collections import Counter

from ledger import ActHour, Verb
from service.reports.asked import Asked
from service.reports.report import Check, Report, columns, tie

NAME = "hours"
DIMENSIONS = ("channel", "weekday", "hour")

_COLUMNS = columns(verified_acts="count")
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_ACTS = frozenset((Verb.GRANT, Verb.HOLD_BACK))


async def report(asked: Asked) -> Report:
    """At which hours customers acted in a period."""
    ledger, book = asked.services.ledger, asked.brand.book
    after, until = await asked.posted()
    hours = await ledger.act_hours(book, after=after, until=until)
    moved = await ledger.movements(book, after=after, until=until, with_events=False)
    found: Counter[tuple[str | int, ...]] = Counter()
    for hour in hours:
        if hour.verified:
            names = _names(hour)
            found[tuple(names[each] for each in asked.by)] += hour.acts
    keys = sorted(found)
    acts = sum(movement.transfers for movement in moved if movement.verb in _ACTS)
    return asked.report(
        NAME,
        _COLUMNS,
        since=asked.period.begin,
        seq=until,
        rows=[{**dict(zip(asked.by, map(_text, key), strict=True)), "verified_acts": found[key]} for key in keys],
        totals={"verified_acts": sum(found.values())},
        checks=tie([Check("acts read", sum(hour.acts for hour in hours), acts)]),
        links=[{} for _ in keys],
    )


def _names(hour: ActHour) -> dict[str, str | int]:
    """What an hour can be broken down by. Days of the week are in their order."""
    return {"channel": hour.channel, "weekday": hour.weekday, "hour": f"{hour.hour:02}"}


def _text(name: str | int) -> str:
    return _WEEKDAYS[name - 1] if isinstance(name, int) else name
