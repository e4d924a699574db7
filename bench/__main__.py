"""``make bench``: measures, prints a table, writes ``bench/results.json``.

    make bench                     all, some minutes
    make bench QUICK=1             all, rougher and sooner
    make bench ONLY=engine_batch   one

``results.json`` holds ``{name: {ours, reference, ratio, unit}}``. A whole run makes it anew; ``ONLY`` changes its own entry.
``BENCH_DATABASE_URL`` (a superuser's) takes any other server than the embedded one.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec

from bench.engine import engine
from bench.server import Server

RESULTS = Path(__file__).parent / "results.json"


class Result(msgspec.Struct, frozen=True):
    """``ours`` against ``reference``, measured in one run."""

    ours: float
    reference: float
    ratio: float
    unit: str


async def engine_batch(server: Server, quick: bool) -> Result:
    """Posting 1,000 a batch on one connection, everything on, against COPY of the same rows and upserts of the same sums."""
    return _rates(*await engine(server, size=1_000, turns=5 if quick else 20, turn=10, all_sums=True), "grants/s")


async def engine_batch_log(server: Server, quick: bool) -> Result:
    """The same against a reference that writes neither the customers' sums nor the uses of caps."""
    return _rates(*await engine(server, size=1_000, turns=5 if quick else 20, turn=10, all_sums=False), "grants/s")


async def engine_small(server: Server, quick: bool) -> Result:
    """The same with 64 a batch."""
    return _rates(*await engine(server, size=64, turns=5 if quick else 20, turn=100, all_sums=True), "grants/s")


BENCHMARKS: dict[str, Callable[[Server, bool], Coroutine[Any, Any, Result]]] = {
    "engine_batch": engine_batch,
    "engine_batch_log": engine_batch_log,
    "engine_small": engine_small,
}


def _rates(ours: float, reference: float, unit: str) -> Result:
    return Result(round(ours), round(reference), round(ours / reference, 3), unit)


def main() -> None:
    """Run what the environment asks for."""
    only = os.environ.get("ONLY", "")
    quick = os.environ.get("QUICK", "") not in ("", "0")
    if only and only not in BENCHMARKS:
        sys.exit(f"There is no benchmark {only}. There are: {', '.join(BENCHMARKS)}")
    results: dict[str, Result] = {}
    if only and RESULTS.exists():
        results = msgspec.json.decode(RESULTS.read_bytes(), type=dict[str, Result])
    print(f"{'name':<16} {'ours':>10} {'reference':>10} {'ratio':>6}  unit", flush=True)
    with tempfile.TemporaryDirectory(prefix="rewards-bench-") as directory:
        Path(directory).chmod(0o711)  # as root, the server runs as somebody else, who has to get in
        server = Server(Path(directory) / "postgres", os.environ.get("BENCH_DATABASE_URL", ""))
        server.start()
        try:
            for name, benchmark in BENCHMARKS.items():
                if only in ("", name):
                    result = results[name] = asyncio.run(benchmark(server, quick))
                    print(
                        f"{name:<16} {result.ours:>10,} {result.reference:>10,} {result.ratio:>6.3f}  {result.unit}", flush=True
                    )
        finally:
            server.stop()
    RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=2) + b"\n")


if __name__ == "__main__":
    main()
