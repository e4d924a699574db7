"""Whatever is sent, by whomever, the service stays up and its books stay right."""

from __future__ import annotations

import pytest

from tests.conftest import reachable_directory
from tests.hostile.run import run

REQUESTS_MIN = 5_000


@pytest.mark.slow
def test_whatever_is_sent_the_service_stays_up_and_its_books_stay_right() -> None:
    with reachable_directory() as directory:
        report = run(directory)
    assert report.requests >= REQUESTS_MIN, report.summary()
    assert report.wrong() == [], report.summary()
