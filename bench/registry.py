"""All benchmarks by name, in the order in which they run, and what is wanted of each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import msgspec

from bench import endurance, engine, growth, http, ingest, reads, redemptions, reports
from bench.results import Measured, Wanted, at_least, at_most
from bench.stage import Bench


class Benchmark(msgspec.Struct, frozen=True):
    """One measurement; some give several figures."""

    run: Callable[[Bench], Awaitable[dict[str, Measured]]]
    wanted: Mapping[str, Wanted | None]
    is_quick: bool = True
    """Whether ``QUICK=1`` measures it without being asked for it by name."""


BENCHMARKS: tuple[Benchmark, ...] = (
    Benchmark(engine.engine_batch, {"engine_batch": at_least(0.75)}),
    Benchmark(engine.engine_batch_log, {"engine_batch_log": None}),
    Benchmark(engine.engine_small, {"engine_small": at_least(0.75)}),
    Benchmark(engine.engine_brands, {"engine_brands": at_least(0.6)}),
    Benchmark(http.http_batch, {"http_batch": at_least(0.8)}),
    Benchmark(partial(http.http_single, connections=64), {"http_single_64": None, "http_single_64_p99": at_most(3.0)}),
    Benchmark(partial(http.http_single, connections=256), {"http_single_256": None, "http_single_256_p99": at_most(3.0)}),
    Benchmark(
        partial(http.two_processes, connections=64), {"two_processes_64": at_least(0.75), "two_processes_64_p99": at_most(2.0)}
    ),
    Benchmark(
        partial(http.two_processes, connections=256),
        {"two_processes_256": at_least(1.0), "two_processes_256_p99": at_most(2.0)},
    ),
    Benchmark(http.http_idle, {"http_idle": at_most(4.0)}),
    Benchmark(http.links_mint, {"links_mint": None}),
    Benchmark(http.link_claim, {"link_claim": None}),
    Benchmark(http.link_redirect, {"link_redirect": None}),
    Benchmark(redemptions.redeem, {"redeem": at_least(0.3)}),
    Benchmark(redemptions.redeem_under_load, {"redeem_under_load": at_most(10.0), "redeem_under_load_longest": at_most(1.0)}),
    Benchmark(ingest.ingest_sendgrid, {"ingest_sendgrid": at_least(0.5), "ingest_sendgrid_p99": at_most(1.0)}),
    Benchmark(ingest.ingest_burst, {"ingest_burst": at_most(1.05), "ingest_burst_api": at_most(1.05)}, is_quick=False),
    Benchmark(endurance.memory, {"memory": at_most(1.0), "memory_growth": at_most(1.02)}),
    Benchmark(endurance.expiry_storm, {"expiry_storm": at_least(0.6), "expiry_storm_p99": at_most(3.0)}),
    Benchmark(partial(reads.export, file_format="csv"), {"export_csv": at_least(0.5), "export_csv_memory": at_most(1.0)}),
    Benchmark(
        partial(reads.export, file_format="parquet"), {"export_parquet": at_least(0.3), "export_parquet_memory": at_most(1.0)}
    ),
    Benchmark(reads.grants_during_export, {"grants_during_export": at_least(0.6), "grants_during_export_p99": at_most(3.0)}),
    Benchmark(endurance.on_disk, {"bytes_per_grant": at_most(1.0), "wal_per_grant": at_most(1.0)}),
    Benchmark(reads.balance_read, {"balance_read": None}),
    Benchmark(reads.statement, {"statement": None}),
    Benchmark(reads.trial_balance_at_cut, {"trial_balance_at_cut": at_least(0.5)}),
    Benchmark(
        reports.roll_forward_month,
        {"roll_forward_month": at_most(1.0), "roll_forward_month_by_campaign": at_most(1.0), "console_pages": at_most(1.0)},
    ),
    # Last, because it leaves the large book larger.
    Benchmark(growth.growth, {"growth": at_least(0.7), "growth_log": None}),
)


def find(names: str) -> list[Benchmark]:
    """The benchmarks that measure ``names``, which have commas between them. Raises ``KeyError`` for a name there is not."""
    wanted = names.split(",")
    known = {name for benchmark in BENCHMARKS for name in benchmark.wanted}
    for name in wanted:
        if name not in known:
            raise KeyError(f"There is no benchmark {name}. There are: {', '.join(sorted(known))}")
    return [benchmark for benchmark in BENCHMARKS if not benchmark.wanted.keys().isdisjoint(wanted)]
