"""The days that a period names."""

from __future__ import annotations

from datetime import date

import pytest

from service.http.periods import Period
from service.http.problems import Problem
from service.reports.periods import read_period

FIRST, TODAY = date(2030, 1, 15), date(2030, 3, 10)

PERIODS = [
    (None, None, "2030-03-01", "2030-03-10"),
    (None, "2030-01-20", "2030-01-15", "2030-01-20"),
    ("2030-01", "2030-01", "2030-01-15", "2030-01-31"),
    ("2030-02", "2030-02", "2030-02-01", "2030-02-28"),
    ("2030-02", "2030-03", "2030-02-01", "2030-03-10"),
    ("2030-02-10", None, "2030-02-10", "2030-03-10"),
]
REFUSED = [
    ("2029-12", None, "?from"),
    (None, "2029-12", "?to"),
    (None, "2030-04", "?to"),
    (None, "9999-12", "?to"),
    ("2030-13", None, "?from"),
    ("0000-01", None, "?from"),
    ("2030-03", "2030-02", "?from"),
]


@pytest.mark.parametrize(("sent_from", "sent_to", "begin", "end"), PERIODS)
def test_a_period_is_days_or_months_of_the_book(sent_from: str | None, sent_to: str | None, begin: str, end: str) -> None:
    period = read_period(sent_from, sent_to, first=FIRST, today=TODAY)
    assert period == Period(date.fromisoformat(begin), date.fromisoformat(end))


@pytest.mark.parametrize(("sent_from", "sent_to", "pointer"), REFUSED)
def test_a_period_that_is_none_is_refused(sent_from: str | None, sent_to: str | None, pointer: str) -> None:
    with pytest.raises(Problem) as refused:
        read_period(sent_from, sent_to, first=FIRST, today=TODAY)
    assert [error.pointer for error in refused.value.errors] == [pointer]


def test_months_are_parts_of_a_period() -> None:
    months = list(Period(date(2030, 1, 15), date(2030, 3, 10)).months())
    assert [(str(month.begin), str(month.end)) for month in months] == [
        ("2030-01-15", "2030-01-31"),
        ("2030-02-01", "2030-02-28"),
        ("2030-03-01", "2030-03-10"),
    ]
