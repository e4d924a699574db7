"""Breakage: what of the points that customers bought is earned, month by month, by the brand's estimate of what is redeemed.

What is allocated to points is their value on the day they were issued, or the first that there was; points that are taken back
give theirs back, at the average of all that are owed. Without an estimate all are
expected to be redeemed, but for those that have expired: when nothing is left, all that was allocated is earned.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from fractions import Fraction

import msgspec

from ledger import AccountClass, Kind, Movement, Verb
from service.estimates.queries import Estimates
from service.exports.account_names import class_name
from service.exports.summary_money import DeferredRevenue
from service.http.periods import Period
from service.reports.asked import Asked
from service.reports.breakage_engine import Recognised, Standing, recognise
from service.reports.deferred_revenue import DeferredByDay
from service.reports.reading import Reading, is_taken_back, owed_change, read
from service.reports.report import Check, Report, Row, columns, tie, transfers_link
from service.reports.values import Values

NAME = "breakage"
DIMENSIONS = ("class", "month")

_COLUMNS = columns(
    estimate="count",
    expected_percent="decimal",
    issued="points",
    redeemed="points",
    expired="points",
    outstanding="points",
    expected="points",
    allocated_value="minor_units",
    recognised_value="minor_units",
    deferred_value="minor_units",
    booked_value="minor_units",
    revenue="minor_units",
    catch_up="minor_units",
)
_WHOLE = 10_000
_A_MONTH = timedelta(days=31)


class _Stock(msgspec.Struct, frozen=True):
    """Points of a class at the end of a period, all since the book began."""

    issued: int
    redeemed: int
    expired: int
    allocated: Fraction
    estimate_no: int | None
    rate: Fraction

    @property
    def expected(self) -> Fraction:
        """How many will have been redeemed: what expired will not."""
        return min(self.issued * self.rate, Fraction(self.issued - self.expired))


async def report(asked: Asked) -> Report:
    """What is earned of each class that points were issued in and that has an estimate, and of purchases' in any case."""
    reading, values, estimates = await read(asked, by_day=True), await asked.values(), await asked.estimates()
    booked = DeferredByDay(reading.movements, values)
    rows: list[Row] = []
    checks: list[Check] = []
    for account_class in AccountClass:
        if account_class is AccountClass.PURCHASE or estimates.of_class(account_class):
            theirs = [movement for movement in reading.movements if movement.account_class is account_class]
            for end, row in _rows(asked, account_class, theirs, values, estimates):
                is_booked = account_class is AccountClass.PURCHASE
                rows.append(row | {"booked_value": booked.at(end).deferred if is_booked else None})
            checks += _checks(reading, account_class, theirs)
    return asked.report(
        NAME,
        _COLUMNS,
        since=asked.period.begin,
        seq=reading.seq,
        rows=rows,
        totals={},
        checks=tie(checks),
        links=[_links(asked, reading.seq, str(row["class"]), str(row["month"])) for row in rows],
    )


def _links(asked: Asked, seq: int, of_class: str, month: str) -> dict[str, str]:
    """All transfers up to the end of the month that a figure is made of; what refunds and claw-backs undo is subtracted."""
    begin = date.fromisoformat(f"{month}-01")
    end = next(iter(Period(begin, begin + _A_MONTH).months())).end
    verbs = {"issued": "grant,mature,open,adjust,clawback", "redeemed": "capture,refund", "expired": "expire,forfeit"}
    return {
        figure: transfers_link(1, seq, verb=verb, to=min(end, asked.period.end), **{"class": of_class})
        for figure, verb in verbs.items()
    }


def _rows(
    asked: Asked, account_class: AccountClass, movements: Sequence[Movement], values: Values, estimates: Estimates
) -> list[tuple[date, Row]]:
    """Every month since the first that points moved is reckoned, and those of the period are shown, with their last days."""
    if not movements:
        return []
    first = min(movement.day for movement in movements).replace(day=1)
    months = list(Period(first, asked.period.end).months())
    ends = [month.end for month in months]
    stocks = list(_stocks(account_class, movements, ends, values, estimates))
    recognised = recognise(Standing(stock.allocated, stock.redeemed, stock.expected) for stock in stocks)
    return [
        (month.end, {"class": class_name(account_class), "month": f"{month.begin:%Y-%m}"} | _row(stock, earned))
        for month, stock, earned in zip(months, stocks, recognised, strict=True)
        if month.end >= asked.period.begin
    ]


def _stocks(
    account_class: AccountClass, movements: Sequence[Movement], ends: Sequence[date], values: Values, estimates: Estimates
) -> Iterator[_Stock]:
    """The stock at the end of each of some days, in order."""
    moved = Counter[str]()
    allocated = Fraction(0)
    taken_back = _taken_back(movements, values)
    waiting = sorted(movements, key=lambda movement: movement.day, reverse=True)
    for end in ends:
        while waiting and waiting[-1].day <= end:
            movement = waiting.pop()
            came = _moved(movement)
            moved.update(came)
            allocated += _allocated(movement, came["issued"], values)
        estimate = estimates.on(account_class, end)
        yield _Stock(
            **{name: moved[name] for name in ("issued", "redeemed", "expired")},
            # The first value that a brand sets is that of all it owes by then; before, points have none.
            allocated=allocated - _up_to(end, taken_back)
            if values.begins_on is not None and values.begins_on <= end
            else Fraction(0),
            estimate_no=None if estimate is None else estimate.estimate_no,
            rate=Fraction(1) if estimate is None else Fraction(estimate.value, _WHOLE),
        )


def _moved(movement: Movement) -> dict[str, int]:
    spent = movement.points * ((movement.credit is Kind.SPENT) - (movement.debit is Kind.SPENT))
    died = movement.points * ((movement.credit is Kind.BREAKAGE) - (movement.debit is Kind.BREAKAGE))
    return {"issued": owed_change(movement) + spent + died, "redeemed": spent, "expired": died}


def _allocated(movement: Movement, came: int, values: Values) -> Fraction:
    """What is allocated to points that came, once they have a value: of what was owed before, by the first there was."""
    first = values.begins_on
    if first is None or (is_taken_back(movement) and movement.day >= first):
        return Fraction(0)
    return values.worth(owed_change(movement), first) if movement.day < first else values.worth(came, movement.day)


def _taken_back(movements: Sequence[Movement], values: Values) -> Mapping[date, Fraction]:
    """What was allocated to points that were taken back, by day: the average of all that are owed, as the summarised journal
    books it.
    """
    first = values.begins_on
    if first is None or not any(map(is_taken_back, movements)):
        return {}
    deferred = DeferredRevenue()
    owed = sum(owed_change(movement) for movement in movements if movement.day < first)
    if owed:
        deferred.come(owed, values.on(first))
    found: dict[date, Fraction] = {}
    later = sorted((movement for movement in movements if movement.day >= first), key=lambda movement: movement.day)
    for day, moved in itertools.groupby(later, key=lambda movement: movement.day):
        left: Counter[bool] = Counter()
        for movement in moved:
            change = owed_change(movement)
            if change > 0 and movement.verb is not Verb.REFUND:
                deferred.come(change, values.on(day))
            else:
                left[is_taken_back(movement)] -= change
        found[day] = left[True] * deferred.average
        deferred.leave(left.total())
        deferred.end_day()
    return found


def _up_to(end: date, money: Mapping[date, Fraction]) -> Fraction:
    return sum((part for day, part in money.items() if day <= end), Fraction(0))


def _row(stock: _Stock, earned: Recognised) -> Row:
    allocated = int(stock.allocated)
    return {
        "estimate": stock.estimate_no,
        "expected_percent": f"{float(stock.rate) * 100:.2f}",
        "issued": stock.issued,
        "redeemed": stock.redeemed,
        "expired": stock.expired,
        "outstanding": stock.issued - stock.redeemed - stock.expired,
        "expected": int(stock.expected),
        "allocated_value": allocated,
        "recognised_value": earned.total,
        "deferred_value": allocated - earned.total,
        "revenue": earned.revenue,
        "catch_up": earned.catch_up,
    }


def _checks(reading: Reading, account_class: AccountClass, movements: Sequence[Movement]) -> list[Check]:
    """What the log says was redeemed and expired is what the accounts of that have."""
    lines = reading.trial_balance.lines
    checks: list[Check] = []
    for kind in (Kind.SPENT, Kind.BREAKAGE):
        moved = sum(each.points * ((each.credit is kind) - (each.debit is kind)) for each in movements)
        booked = sum(
            line.balance for line in lines if line.kind == kind.name.lower() and line.account_class == class_name(account_class)
        )
        checks.append(Check(f"{class_name(account_class)} points {kind.name.lower()}", moved, booked))
    return checks
