"""When an event counts: the one time that decides campaign dates, caps and how long the points last."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from ledger import month_end

LATENESS_MAX = timedelta(hours=72)
"""How late any report may come and still count when it happened; a later one counts as this late. A key may have less."""
AHEAD_MAX = timedelta(minutes=5)
"""How far a reporter's clock may be ahead of ours."""
AGE_MAX = timedelta(days=400)
"""How old an event may be; an older one is a mistake of the reporter's."""
_NO_AGE = timedelta()


def window_at(occurred_at: datetime, received_at: datetime, lateness: timedelta = LATENESS_MAX) -> datetime | None:
    """The time that counts, or ``None`` for an event from the future or from long ago.

    A reporter cannot choose it: it lies between the reporter's ``lateness`` before the report and the report.
    """
    age = received_at - occurred_at
    if not -AHEAD_MAX <= age <= AGE_MAX:
        return None
    return received_at - max(_NO_AGE, min(age, lateness, LATENESS_MAX))


def last_day(earned_on: date, months: int | None) -> date | None:
    """The last day on which points can be spent that were earned on ``earned_on``; ``None`` is for ever."""
    return None if months is None else month_end(earned_on, months)
