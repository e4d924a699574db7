"""The metrics of several processes as those of one: what is added up, what is not, and what stays of a process that ended."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from service.observability import metrics
from service.observability.added_metrics import TAKEN, AddedMetrics

RESTARTS = "rewards_process_restarts_total"


def said(
    *, started_at: float, requests: int, in_flight: int = 0, age: float = 0.0, free: int = 1, duration: float = 0.1
) -> str:
    """What a process that started then says of itself."""
    registry = CollectorRegistry()
    Gauge("process_start_time_seconds", "", registry=registry).set(started_at)
    Counter("rewards_http_requests", "Requests answered.", ["status"], registry=registry).labels("200").inc(requests)
    Histogram("rewards_duration", "", buckets=(0.05, 0.5), registry=registry).observe(duration)
    Gauge("rewards_http_requests_in_flight", "", registry=registry).set(in_flight)
    Gauge("rewards_deferred_claims_age_seconds", "", registry=registry).set(age)
    Gauge("rewards_disk_free_bytes", "", ["directory"], registry=registry).labels("data").set(free)
    return generate_latest(registry).decode()


def values(added: AddedMetrics) -> dict[str, float]:
    text = added.render().decode()
    return {
        f"{sample.name}{dict(sample.labels) or ''}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_counters_and_histograms_add_up_and_gauges_are_what_they_mean() -> None:
    added = AddedMetrics(2)
    one = said(started_at=100, requests=3, in_flight=2, age=1.5, free=10, duration=0.01)
    two = said(started_at=90, requests=4, in_flight=5, age=7.0, free=11, duration=0.1)
    added.see([one, two])
    seen = values(added)
    assert seen["rewards_http_requests_total{'status': '200'}"] == 7
    assert [seen[f"rewards_duration_bucket{{'le': '{bound}'}}"] for bound in ("0.05", "0.5", "+Inf")] == [1, 2, 2]
    assert (seen["rewards_duration_count"], seen["rewards_duration_sum"]) == (2, 0.11)
    assert seen["rewards_http_requests_in_flight"] == 7
    assert seen["rewards_deferred_claims_age_seconds"] == 7.0
    assert seen["rewards_disk_free_bytes{'directory': 'data'}"] == 10
    assert seen["process_start_time_seconds"] == 90
    assert seen[RESTARTS] == 0


def test_no_sum_falls_when_a_process_ends() -> None:
    added = AddedMetrics(2)
    added.see([said(started_at=100, requests=30, in_flight=2), said(started_at=90, requests=4, in_flight=1)])
    added.see([None, said(started_at=90, requests=5, in_flight=1)])
    silent = values(added)
    assert silent["rewards_http_requests_total{'status': '200'}"] == 35
    assert silent["rewards_http_requests_in_flight"] == 1
    added.see([said(started_at=200, requests=1), said(started_at=90, requests=5)])
    again = values(added)
    assert again["rewards_http_requests_total{'status': '200'}"] == 36
    assert again["rewards_duration_count"] == 3
    assert again[RESTARTS] == 1
    added.see([said(started_at=200, requests=2), said(started_at=90, requests=5)])
    assert values(added)["rewards_http_requests_total{'status': '200'}"] == 37


def test_who_takes_over_begins_every_sum_again() -> None:
    added = AddedMetrics(2, since=150)

    def seen(*texts: str | None) -> tuple[float, float, float]:
        added.see(texts)
        now = values(added)
        counted = now["rewards_http_requests_total{'status': '200'}"], now["rewards_duration_count"]
        return *counted, now["rewards_http_requests_in_flight"]

    second = said(started_at=90, requests=4, in_flight=1)
    assert seen(said(started_at=100, requests=30, in_flight=2), second) == (0, 0, 3)
    assert seen(said(started_at=100, requests=31, in_flight=2), None) == (1, 0, 2)
    # One that started since is counted whole, and what was counted of the one before it stays.
    assert seen(said(started_at=200, requests=5), second) == (6, 1, 1)
    assert seen(said(started_at=200, requests=6), said(started_at=90, requests=5)) == (8, 1, 0)


def test_one_that_was_silent_when_another_took_over_begins_again_when_it_answers() -> None:
    added = AddedMetrics(2, since=150)
    for texts, counted in (([30, None], 0), ([31, 40], 1), ([31, 42], 3)):
        added.see([None if requests is None else said(started_at=100, requests=requests) for requests in texts])
        assert values(added)["rewards_http_requests_total{'status': '200'}"] == counted


def test_one_process_alone_is_said_as_it_says_itself() -> None:
    added = AddedMetrics(1)
    alone = metrics.render().decode()
    added.see([alone])
    families = {family.name: family.documentation for family in text_string_to_metric_families(alone)}
    shown = {family.name: family.documentation for family in text_string_to_metric_families(added.render().decode())}
    assert shown == families
    assert values(added)["rewards_processes"] == 1
    assert set(TAKEN) <= families.keys()
