"""What the operator's Prometheus reads.

Labels are route templates, methods and statuses: never a path, a brand or a customer.
"""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

REGISTRY = CollectorRegistry()
"""Where other modules register what they measure."""

for _collector in (ProcessCollector, PlatformCollector, GCCollector):
    _collector(registry=REGISTRY)

requests = Counter("rewards_http_requests", "Requests answered.", ["route", "method", "status"], registry=REGISTRY)
duration = Histogram(
    "rewards_http_request_duration_seconds",
    "Time from the first byte of a request to the last of its answer.",
    ["route", "method"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
    registry=REGISTRY,
)
in_flight = Gauge("rewards_http_requests_in_flight", "Requests being answered.", registry=REGISTRY)

refused = Counter(
    "rewards_http_requests_refused",
    "Requests refused for what they would have cost, by the code of the problem; connections that were closed at once.",
    ["reason"],
    registry=REGISTRY,
)
connections = Gauge("rewards_http_connections", "Connections open on the API's port.", registry=REGISTRY)
body_bytes = Gauge("rewards_http_body_bytes_in_flight", "Received of the bodies of requests being answered.", registry=REGISTRY)

waiting = Gauge("rewards_ledger_waiting", "Items in the queue in front of the books.", ["queue"], registry=REGISTRY)

consent_refused = Counter(
    "rewards_consent_refused",
    "Reports, claims and links that were not taken because the customer had refused the channel.",
    ["what"],
    registry=REGISTRY,
)

spool_bytes = Gauge("rewards_spool_bytes", "What waits on this process's own disk to reach the database.", registry=REGISTRY)
spool_appended = Counter("rewards_spool_appended", "Records that were put on the disk.", registry=REGISTRY)
spool_refused = Counter(
    "rewards_spool_refused",
    "Records not put on the disk (the spool is `full`, or the `disk` refuses), or not taken from it (no `seal` of ours).",
    ["why"],
    registry=REGISTRY,
)
spool_damaged_bytes = Counter("rewards_spool_damaged_bytes", "What could not be read again of the spool.", registry=REGISTRY)

disk_free_bytes = Gauge(
    "rewards_disk_free_bytes", "Room on the disk of this directory (`data`, `spool`).", ["directory"], registry=REGISTRY
)
disk_size_bytes = Gauge("rewards_disk_size_bytes", "Size of the disk of this directory.", ["directory"], registry=REGISTRY)

touches_lost = Counter(
    "rewards_touches_lost", "Requests for links of which no note was kept, because too many waited.", registry=REGISTRY
)

late_acts = Counter(
    "rewards_late_acts",
    "What became of acts on links that were kept to be settled later. Lost are those that neither the disk nor memory took.",
    ["outcome"],
    registry=REGISTRY,
)
late_acts_age = Gauge(
    "rewards_late_acts_age_seconds", "How long ago the oldest act happened that is being settled now.", registry=REGISTRY
)

CONTENT_TYPE = CONTENT_TYPE_LATEST


def render() -> bytes:
    """Return all metrics as text."""
    return generate_latest(REGISTRY)
