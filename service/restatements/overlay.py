"""What restatements change: each value or code takes the place of what applied from its day on, until a later day has another.

Nothing here reads or writes. Of two for one day the later restatement counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date

from ledger import PointValue
from service.exports.account_codes import AccountCodes, account_codes
from service.restatements.queries import Restatement


def values_by_day(made: Mapping[date, PointValue], restated: Iterable[Restatement]) -> dict[date, PointValue]:
    """Values by the day on which each begins, in order."""
    over = {value.starts_on: value.value for each in restated for value in each.point_values}
    return dict(sorted({**made, **over}.items()))


def codes_with(ordered: AccountCodes, restated: Iterable[Restatement]) -> AccountCodes:
    """The codes that came with an export, and over them those of restatements."""
    over = [code for each in restated for code in each.account_codes]
    if not over:
        return ordered
    by_day = {(code.account, code.valid_from or date.min): code for code in (*ordered.listed(), *over)}
    return account_codes(list(by_day.values()))
