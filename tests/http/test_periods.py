"""Periods by name."""

from __future__ import annotations

from datetime import date

import pytest

from service.http.periods import Period, parse

PERIODS = {
    "2026-11": Period(date(2026, 11, 1), date(2026, 11, 30)),
    "2028-02": Period(date(2028, 2, 1), date(2028, 2, 29)),
    "2026-12": Period(date(2026, 12, 1), date(2026, 12, 31)),
    "2026-11-30": Period(date(2026, 11, 30), date(2026, 11, 30)),
    "2028-02-29": Period(date(2028, 2, 29), date(2028, 2, 29)),
}
NONE = ["", "2026", "2026-13", "2026-00", "2026-1", "2027-02-29", "2026-11-31", "2026-11-1", "2026-11\n", "٢٠٢٦-11", "1999-12"]


@pytest.mark.parametrize(("name", "period"), PERIODS.items())
def test_a_name_says_the_days_and_the_days_say_the_name(name: str, period: Period) -> None:
    assert parse(name) == period
    assert period.name == name


@pytest.mark.parametrize("name", [*NONE, "9999-12", "2026-11-30T00", "-2026-11"])
def test_what_names_no_period_is_none(name: str) -> None:
    assert parse(name) is None
