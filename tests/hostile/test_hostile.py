"""Whatever is sent, by whomever, the service stays up and its books stay right.

Each route gets everything that is made for it. Of odd headers, queries, keys and methods, which are the same for all, it gets
one in five, and each of them goes to one route in five: GET and POST, pages and API. `make hostile` sends all of them to all.
"""

from __future__ import annotations

import pytest

from tests.conftest import reachable_directory
from tests.hostile.run import run

REQUESTS_MIN = 5_000


@pytest.mark.slow
def test_whatever_is_sent_the_service_stays_up_and_its_books_stay_right() -> None:
    with reachable_directory() as directory:
        report = run(directory, every=5)
    assert report.requests >= REQUESTS_MIN, report.summary()
    assert report.wrong() == [], report.summary()
