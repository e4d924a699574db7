"""The expiry schedule: what is owed at the end of a day, by the last day of the points. It sums to what is owed.

Points that are set aside for a purchase are listed by their last day too, though they do not expire while they are held.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from urllib.parse import urlencode

from ledger import AsOf, Cut, TrialBalance, TrialBalanceLine
from service.exports.account_names import NEVER
from service.exports.totals import utc
from service.reports.asked import Asked
from service.reports.reading import OWED_KINDS, owed_change, read
from service.reports.report import Check, Report, Row, columns, tie
from service.reports.values import Values, rounded

NAME = "expiry-schedule"
DIMENSIONS = ("class", "band", "month", "day")

_COLUMNS = columns(spendable="points", held="points", points="points", value="minor_units")
_BANDS = {30: "up to 30 days", 90: "31 to 90 days", 180: "91 to 180 days", 365: "181 to 365 days"}
"""By the most days that points in it have left."""
_BEYOND = "more than 365 days"


async def report(asked: Asked) -> Report:
    """What is owed at the end of the period's last day."""
    day, values = asked.period.end, await asked.values()
    then = await asked.end()
    lines = (await _trial_balance(asked, then)).lines
    found: dict[tuple[tuple[str, str], ...], dict[str, int]] = defaultdict(lambda: dict.fromkeys(OWED_KINDS, 0))
    for line in lines:
        if line.kind in OWED_KINDS and line.balance:
            names = _names(line, day)
            found[tuple(names[each] for each in asked.by)][line.kind] += line.balance
    named = [(dict(zip(asked.by, (text for _, text in key), strict=True)), owed) for key, owed in sorted(found.items())]
    total = {kind: sum(owed[kind] for _, owed in named) for kind in OWED_KINDS}
    instant = {"as_of": utc(then.at)} if isinstance(then, AsOf) else {"cut": then.seq}
    balances = "/v1/ledger/balances?" + urlencode(instant)
    return asked.report(
        NAME,
        _COLUMNS,
        seq=then.cut.seq if isinstance(then, AsOf) else then.seq,
        rows=[names | _row(owed, values, day) for names, owed in named],
        totals=_row(total, values, day),
        checks=tie([await _check(asked, sum(total.values()))]),
        links=[{"points": balances} for _ in named],
    )


async def _trial_balance(asked: Asked, then: AsOf | Cut) -> TrialBalance:
    """What the accounts had then: as its close has stored it, or else as they are now less all that was posted since."""
    ledger, book, closed = asked.services.ledger, asked.brand.book, await asked.closed()
    return await (ledger.trial_balance(book, then) if closed is None else ledger.close_trial_balance(book, closed))


def _names(line: TrialBalanceLine, day: date) -> dict[str, tuple[str, str]]:
    """What a line can be broken down by: what it is sorted by, and its name."""
    last = line.expires_on
    exact, month = (NEVER, NEVER) if last is None else (last.isoformat(), f"{last:%Y-%m}")
    place, band = _band(last, day)
    account_class = line.account_class or ""
    return {
        "class": (account_class, account_class),
        "band": (str(place), band),
        "month": (month, month),
        "day": (exact, exact),
    }


def _band(last: date | None, day: date) -> tuple[int, str]:
    if last is None:
        return len(_BANDS) + 1, NEVER
    left = (last - day).days
    return next(((place, band) for place, (most, band) in enumerate(_BANDS.items()) if left <= most), (len(_BANDS), _BEYOND))


def _row(owed: dict[str, int], values: Values, day: date) -> Row:
    points = sum(owed.values())
    return {
        "spendable": owed["lot"],
        "held": owed["held"],
        "points": points,
        "value": rounded(values.worth(points, day)) if values else None,
    }


async def _check(asked: Asked, points: int) -> Check:
    """What the accounts have is what the log adds up to."""
    reading = await read(asked)
    moved = sum(owed_change(each) for each in reading.movements if each.day <= asked.period.end)
    return Check("points owed", points, sum(reading.opening.values()) + moved)
