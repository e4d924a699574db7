"""``make bench``: measures, prints a table, writes ``results.json`` and a picture of each figure beside it.

    make bench                     all, within 40 minutes
    make bench QUICK=1             all, rougher, in less than three
    make bench ONLY=engine_batch   one, or several with commas between them

``results.json`` holds ``{name: {ours, reference, ratio, unit, measured_on}}``, and where they were counted ``code_us`` and
``postgres_us``: what an item takes of a processor. ``low`` and ``high`` are the 95% interval of a ratio over pairs of turns. A
whole run replaces it; ``ONLY`` changes its own entries. ``make figures`` writes a whole run's into docs/performance.md.
``BENCH_OUT`` is another directory for results and pictures. ``BENCH_DATABASE_URL`` (a superuser's) takes any other server than
the embedded one; it keeps its own settings, so what needs others measures something else there.

Everything it starts ends with it, also on Ctrl-C; all its data are in one temporary directory, which is removed.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import uvloop

from bench import pictures, results
from bench.registry import BENCHMARKS, Benchmark, find
from bench.results import Result
from bench.scratch import temporary_directory
from bench.server import Server
from bench.stage import Bench
from service.observability import interpreter


async def run(bench: Bench, chosen: list[Benchmark], out: Path, known: dict[str, Result]) -> int:
    """Run benchmarks, one after the other; return how many could not be measured."""
    _stop_on_signals()
    out.mkdir(parents=True, exist_ok=True)
    (out / "pictures").mkdir(exist_ok=True)
    print(f"{interpreter.described()}\n{results.HEADINGS}", flush=True)
    failed, began, today = 0, time.monotonic(), datetime.now(UTC).date()
    for benchmark in chosen:
        started = time.monotonic()
        try:
            await bench.settings()
            measured = await benchmark.run(bench)
        except Exception:
            failed += 1
            print(f"{' '.join(benchmark.wanted)}: not measured\n{traceback.format_exc()}", flush=True)
            continue
        for name, wanted in benchmark.wanted.items():
            figure = measured[name]
            known[name] = msgspec.structs.replace(figure.result, measured_on=today, is_quick=bench.quick)
            print(results.line(name, known[name], wanted), flush=True)
            for note in figure.notes:
                print(f"    {note}", flush=True)
            (out / "pictures" / f"{name}.svg").write_text(pictures.draw(name, figure, wanted))
        results.write(out / "results.json", known)
        print(f"    {time.monotonic() - started:.0f} s", flush=True)
    print(
        f"{len(chosen) - failed} of {len(chosen)} were measured, in {(time.monotonic() - began) / 60:.1f} minutes", flush=True
    )
    return failed


def _stop_on_signals() -> None:
    """Let the first Ctrl-C, or a polite end, cancel what runs; what cleans up then is not disturbed by a second."""
    task = asyncio.current_task()
    assert task is not None
    asked: list[bool] = []

    def stop() -> None:
        if not asked:
            asked.append(True)
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)


def main() -> None:
    """Run what the environment asks for."""
    only = os.environ.get("ONLY", "")
    quick = os.environ.get("QUICK", "") not in ("", "0")
    out = Path(os.environ.get("BENCH_OUT", "") or Path(__file__).parent)
    try:
        chosen = find(only) if only else [each for each in BENCHMARKS if each.is_quick or not quick]
    except KeyError as unknown:
        sys.exit(unknown.args[0])
    known = results.read(out / "results.json") if only else {}
    # An overload has more connections than most systems allow a process at first.
    _, allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, allowed))
    with temporary_directory("rewards-bench-") as directory:
        server = Server(directory / "postgres", os.environ.get("BENCH_DATABASE_URL", ""))
        try:
            server.start()
            bench = Bench(server, directory, quick=quick)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                failed = runner.run(run(bench, chosen, out, known))
        except (KeyboardInterrupt, asyncio.CancelledError):
            sys.exit(130)
        finally:
            server.stop()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
