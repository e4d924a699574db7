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

processes = Gauge("rewards_processes", "API processes that answer.", registry=REGISTRY)
processes.set(1)
process_restarts = Counter(
    "rewards_process_restarts", "API processes of one `rewards serve` that ended and were started again.", registry=REGISTRY
)

requests = Counter("rewards_http_requests", "Requests answered.", ["route", "method", "status"], registry=REGISTRY)
duration = Histogram(
    "rewards_http_request_duration_seconds",
    "Time from the first byte of a request to the last byte of its response.",
    ["route", "method"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
    registry=REGISTRY,
)
in_flight = Gauge("rewards_http_requests_in_flight", "Requests in flight.", registry=REGISTRY)

refused = Counter(
    "rewards_http_requests_refused",
    "Requests refused by limits or load shedding, by problem code; `connection` for connections closed at once.",
    ["reason"],
    registry=REGISTRY,
)
connections = Gauge("rewards_http_connections", "Connections open on the API's port.", registry=REGISTRY)
body_bytes = Gauge(
    "rewards_http_body_bytes_in_flight", "Bytes received of the bodies of requests in flight.", registry=REGISTRY
)

waiting = Gauge("rewards_ledger_waiting", "Items waiting to be posted.", ["queue"], registry=REGISTRY)

consent_refused = Counter(
    "rewards_consent_refused",
    "Reports, claims and links refused because the customer has refused the channel.",
    ["what"],
    registry=REGISTRY,
)

provider_requests = Counter(
    "rewards_provider_requests",
    "Requests of messaging providers, by what the check of their signature said.",
    ["provider", "verdict"],
    registry=REGISTRY,
)

app_receipts = Counter(
    "rewards_app_receipts",
    "Receipts of app devices, by what became of them: an outcome, replayed, or the code of a problem.",
    ["outcome"],
    registry=REGISTRY,
)

sources = Gauge("rewards_sources", "Sources of messaging providers, by how they stand.", ["state"], registry=REGISTRY)
envelopes_waiting = Gauge(
    "rewards_envelopes_waiting", "Requests of messaging providers that are kept and not decided yet.", registry=REGISTRY
)

spool_bytes = Gauge("rewards_spool_bytes", "Bytes in the spool, waiting for the database.", registry=REGISTRY)
spool_appended = Counter("rewards_spool_appended", "Records written to the spool.", registry=REGISTRY)
spool_refused = Counter(
    "rewards_spool_refused",
    "Records not written (spool `full`, `disk` error), or not accepted (no valid `seal`).",
    ["why"],
    registry=REGISTRY,
)
spool_damaged_bytes = Counter(
    "rewards_spool_damaged_bytes", "Bytes of the spool that could not be read again.", registry=REGISTRY
)

disk_free_bytes = Gauge(
    "rewards_disk_free_bytes", "Free space on the disk of this directory (`data`, `spool`).", ["directory"], registry=REGISTRY
)
disk_size_bytes = Gauge("rewards_disk_size_bytes", "Size of the disk of this directory.", ["directory"], registry=REGISTRY)

clicks_lost = Counter(
    "rewards_clicks_lost", "Requests for links missing from the click log, because too many were waiting.", registry=REGISTRY
)

deferred_claims = Counter(
    "rewards_deferred_claims",
    "Deferred claims settled, by outcome; `dead_letter` are dead letters, `lost` found no space on disk or in memory.",
    ["outcome"],
    registry=REGISTRY,
)
deferred_claims_age = Gauge(
    "rewards_deferred_claims_age_seconds", "Age of the oldest deferred claim being settled.", registry=REGISTRY
)

CONTENT_TYPE = CONTENT_TYPE_LATEST


def render() -> bytes:
    """Return all metrics as text."""
    return generate_latest(REGISTRY)
