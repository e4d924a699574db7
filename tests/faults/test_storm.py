"""A short storm of faults; `make faults` is the long one.

Eight faults are one of each kind. Between two of them, and during each, clients do two hundred operations: that is some calls
of each sort by each client, so that every fault meets batches, single reports and redemptions that are under way.
"""

from __future__ import annotations

import pytest

from tests.faults.storm import Heard, Report, storm


@pytest.mark.slow
def test_a_short_storm_loses_and_doubles_nothing() -> None:
    report = storm(operations=1_500, faults=8, ahead=200)
    assert report.wrong == [], report
    assert (report.faults.total(), report.operations >= 1_500) == (8, True)
    assert report.copies > 0


def test_what_is_wrong_is_said() -> None:
    report = Report(wrong=["customer-1 has 3 and is owed 6"])
    assert "WRONG: customer-1 has 3 and is owed 6" in str(report)
    assert Heard().answers == set()
