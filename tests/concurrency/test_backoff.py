"""Backoff: longer after each failure, and bounded however many there were."""

from __future__ import annotations

from service.concurrency.backoff import backoff_s


def test_it_doubles_up_to_a_bound() -> None:
    assert [backoff_s(failures, first_s=0.5, max_s=10.0) for failures in range(1, 8)] == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_what_has_failed_for_days_is_tried_again() -> None:
    assert backoff_s(10_000, first_s=1.0, max_s=30.0) == 30.0
