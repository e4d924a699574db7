"""What every report is made of: columns, rows with links to their transfers, totals, and checks that tie it to the books.

A report that does not tie is never shown: its checks go through ``tie``, which raises for the first that fails.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from fractions import Fraction
from typing import Literal, TypeAlias
from urllib.parse import urlencode

import msgspec

from service.http.periods import Period
from service.http.problems import Problem

Cell: TypeAlias = str | int | None
Row: TypeAlias = dict[str, Cell]
Unit: TypeAlias = Literal["text", "date", "count", "points", "minor_units", "decimal", "share"]


class Column(msgspec.Struct, frozen=True):
    """A column of a report."""

    name: str
    """The column's name: a row's values are found under it."""
    unit: Unit
    """What its values are: `text`, `date`, `count`, `points`, `minor_units` of the brand's currency, `decimal`, which is
    minor units with decimals, as text, or `share`, which is a share of one with decimals, as text.
    """


class Check(msgspec.Struct, frozen=True):
    """A figure of the report and the same figure as the books have it. They are equal, or there is no report."""

    name: str
    """What is compared."""
    reported: int
    """The figure as the report has it."""
    booked: int
    """The same figure, from elsewhere in the books."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A report on the books."""

    report: str
    """Its name."""
    since: date | None = msgspec.field(name="from")
    """The first accounting date included, in the brand's time zone; null if the report is of one day."""
    until: date = msgspec.field(name="to")
    """The last accounting date included."""
    by: Sequence[str]
    """What it is broken down by."""
    version: int | None
    """The version of the close that it ends with: 1, or more after restatements. Null if it does not end with a close."""
    currency: str
    """The currency (ISO 4217) whose minor units money is in."""
    after: int | None
    """The transfer after which it begins, if `from` is a cut; otherwise null."""
    seq: int
    """The last transfer of the book that was read: that of the cut, if `to` is one."""
    columns: Sequence[Column]
    """The columns, in order."""
    rows: Sequence[Row]
    """The rows: values by column. Null where a value does not apply, such as money of a brand without a point value."""
    totals: Row
    """What the rows add up to. Money is rounded for the total as a whole, so it may differ from the sum of the rows."""
    checks: Sequence[Check]
    """What ties the report to the books."""
    links: Sequence[Mapping[str, str]]
    """For each row, the transfers behind its figures: paths by column."""


def columns(**units: Unit) -> tuple[Column, ...]:
    """Columns by name, in order."""
    return tuple(Column(name, unit) for name, unit in units.items())


def tie(checks: Sequence[Check]) -> Sequence[Check]:
    """The checks, if all of them hold. Raises the problem of the first that does not."""
    for check in checks:
        if check.reported != check.booked:
            raise Problem(
                "report_does_not_tie",
                f"{check.name}: the report has {check.reported:,}, the books have {check.booked:,}.",
            )
    return checks


def decimal(amount: Fraction) -> str:
    """An amount with four decimals, rounded down."""
    whole, rest = divmod(int(amount * 10_000), 10_000)
    return f"{whole}.{rest:04}"


def days_of(period: Period) -> dict[str, date]:
    """Filters of transfers by the days of a period. What comes after the cut that it begins with may have fallen due before."""
    return {"to": period.end} if period.begins_within else {"from": period.begin, "to": period.end}


def transfers_link(first_seq: int, last_seq: int, **filters: Cell | date) -> str:
    """The path of the transfers from one to another by ``seq``, of these those that ``filters`` name."""
    named = {name: str(value) for name, value in filters.items() if value is not None}
    return "/v1/ledger/transfers?" + urlencode({"after": first_seq - 1, "cut": last_seq, **named})
