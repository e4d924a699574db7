"""``make bench VERSUS=<git ref>``: is this tree as fast as that one? Both take turns on one machine.

    make bench VERSUS=main                          all that can be measured in turns, in 25 minutes
    make bench VERSUS=main ONLY=redeem MINUTES=10   one, or several with commas between them
    make bench VERSUS=main QUICK=1                  whether it runs; its figures mean nothing

Both trees are put into neighbouring temporary directories, this one with what is not committed, and installed there from their
own locks. Each is measured by a process of its own (``bench.side``) with a PostgreSQL of its own: blocks of rounds, in each
block fresh databases and processes, in each round one turn of every benchmark on both sides. Who begins changes from round to
round; the first round of a block warms up. Both are asked by this tree's ``bench``, if the other one can run it.

A ratio is the geometric mean over the pairs of turns, with its 95% interval; more than 1 is better than before. Beside it, the
same of the processor time that an item takes of the code measured and of PostgreSQL: other programs disturb that less. Below,
how long answers took, now against before: less than 1 is better. `!` marks what is slower for certain (the interval ends below
0.97; a p99's begins above 1.05), and makes this exit with an error. `?` marks what may be slower: give it more MINUTES.

An open load (``http_open_...``) comes at its rate, whatever is answered: SHARE (0.7) of what ``http_single_64`` of the tree of
before answers in a second. Each time counts from when the request was due.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import msgspec

from bench import side
from bench.results import Ratio, shown
from bench.scratch import temporary_directory
from service.observability import interpreter

_ROOT = Path(__file__).parents[1]
_SIDE = "bench/side.py"
NOT_WORSE = 0.97
P99_NOT_WORSE = 1.05
MINUTES = 25.0
SHARE = 0.7
"""Of its capacity that an open load asks for."""
OPEN = ("http_open_poisson", "http_open_bursts")
_CAPACITY = "http_single_64"
_CAPACITY_TURNS = 3
_BLOCK_MINUTES = 8.0
_STOP_TIMEOUT_S = 60.0

AMOUNTS: Mapping[str, tuple[float, float]] = {
    "engine_batch": (15, 2),
    "engine_small": (120, 10),
    "engine_brands": (6, 1),
    "http_batch": (2.0, 0.3),
    "http_single_64": (1.5, 0.3),
    "http_single_256": (1.5, 0.3),
    "http_idle": (1.0, 0.3),
    "http_open_poisson": (3.0, 0.5),
    "http_open_bursts": (3.0, 0.5),
    "links_mint": (5_000, 200),
    "link_claim": (3_000, 200),
    "link_redirect": (4_000, 200),
    "redeem": (1.5, 0.3),
    "redeem_under_load": (2.0, 0.3),
    "ingest_sendgrid": (48, 12),
    "balance_read": (1.0, 0.3),
    "statement": (1.0, 0.3),
    "trial_balance_at_cut": (1, 1),
}
"""How large a turn is, and how large a QUICK one: in seconds, batches, grants of each brand, links, requests, or times."""

_T = TypeVar("_T", bound=msgspec.Struct)


class Tree(msgspec.Struct, frozen=True):
    """A tree and the Python that it is installed in."""

    path: Path
    python: Path


def mark(ratio: Ratio) -> str:
    """``!`` if a speed is too low for certain, ``?`` if it may be."""
    return "!" if ratio.high < NOT_WORSE else "?" if ratio.low < NOT_WORSE else " "


def tail_mark(ratio: Ratio) -> str:
    """The same of a p99's, which must not be too high."""
    return "!" if ratio.low > P99_NOT_WORSE else "?" if ratio.high > P99_NOT_WORSE else " "


class Compared(msgspec.Struct):
    """A benchmark's pairs of turns: before, now."""

    pairs: list[tuple[side.Turn, side.Turn]] = msgspec.field(default_factory=list[tuple[side.Turn, side.Turn]])

    def rate(self, which: int) -> float:
        """All work over all time of one side."""
        return sum(pair[which].work for pair in self.pairs) / sum(pair[which].seconds for pair in self.pairs)

    def ratio(self, cost: Callable[[side.Turn], float]) -> Ratio:
        """How much less of something an item costs now."""
        costs = [tuple(cost(turn) / turn.work for turn in pair) for pair in self.pairs]
        # The kernel counts processor time in hundredths of a second: what took none of it says nothing.
        return Ratio.of([before / now for before, now in costs if before > 0 and now > 0])

    @property
    def speed(self) -> Ratio:
        """How much faster it is."""
        return self.ratio(lambda turn: turn.seconds)

    def waited(self, percentile: Callable[[side.Turn], float]) -> Ratio:
        """How much longer an answer took; nothing if it was not measured."""
        times = [tuple(percentile(turn) for turn in pair) for pair in self.pairs]
        return Ratio.of([now / before for before, now in times if before > 0 and now > 0])

    def typical(self, percentile: Callable[[side.Turn], float]) -> tuple[float, float]:
        """A typical turn's time: before, now."""
        before, now = (statistics.median(percentile(pair[which]) for pair in self.pairs) for which in (0, 1))
        return before, now

    @property
    def tail(self) -> Ratio:
        """How much longer the slowest in a hundred took."""
        return self.waited(_p99)

    @property
    def is_slower(self) -> bool:
        """For certain."""
        return "!" in (mark(self.speed), tail_mark(self.tail))


def _p50(turn: side.Turn) -> float:
    return turn.p50_ms


def _p99(turn: side.Turn) -> float:
    return turn.p99_ms


def table(compared: Mapping[str, Compared]) -> str:
    """What was measured, a line a benchmark."""
    lines = [
        f"{'a second':<21}{'before':>9}{'now':>9}    {'ratio [95%]':<22} "
        f"{'by processor time: code':<24}{'PostgreSQL':<24}{'pairs':>5}"
    ]
    for name, each in compared.items():
        process, postgres = each.ratio(lambda turn: turn.process_s), each.ratio(lambda turn: turn.postgres_s)
        lines.append(
            f"{name:<21}{shown(each.rate(0)):>9}{shown(each.rate(1)):>9}  {mark(each.speed)} {each.speed!s:<22} "
            f"{process!s:<24}{postgres!s:<24}{len(each.pairs):>5}"
        )
    return "\n".join(lines)


def times_table(compared: Mapping[str, Compared]) -> str:
    """How long answers took, a line for each benchmark that waits for some; a typical turn's, and the ratio over all pairs."""
    lines = [
        f"{'ms an answer':<21}{'p50':>9}{'now':>9}    {'now / before [95%]':<22} {'p99':>9}{'now':>9}    {'now / before [95%]'}"
    ]
    for name, each in compared.items():
        if not each.tail.mean:
            continue
        p50, p99 = (each.typical(percentile) for percentile in (_p50, _p99))
        lines.append(
            f"{name:<21}{p50[0]:>9.2f}{p50[1]:>9.2f}    {each.waited(_p50)!s:<22} "
            f"{p99[0]:>9.2f}{p99[1]:>9.2f}  {tail_mark(each.tail)} {each.tail!s}"
        )
    return "\n".join(lines) if lines[1:] else ""


class BrokeOff(Exception):
    """One side ended before it was asked to."""


class _Side:
    """A process that measures one tree."""

    def __init__(self, tree: Tree, directory: Path) -> None:
        self._log = directory.with_suffix(".log")
        with self._log.open("ab") as log:
            self._process: subprocess.Popen[bytes] = subprocess.Popen(
                [tree.python, "-m", "bench.side", directory],
                cwd=tree.path,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                process_group=0,  # Ctrl-C is ours to handle
            )

    def say(self, what: msgspec.Struct) -> None:
        """Ask for something."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(msgspec.json.encode(what) + b"\n")
            self._process.stdin.flush()

    def hear(self, what: type[_T]) -> _T:
        """Wait for the answer."""
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        if not said:
            raise BrokeOff(f"{self._log.stem} broke off:\n{self._log.read_text(errors='replace')[-4_000:]}")
        return msgspec.json.decode(said, type=what)

    def end(self) -> None:
        """Have it end, and everything it started with it."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def compare(
    trees: tuple[Tree, Tree],
    directory: Path,
    benchmarks: Sequence[str],
    *,
    quick: bool,
    minutes: float,
    share: float = SHARE,
) -> dict[str, Compared]:
    """Measure both trees, the one of before first, with all data in ``directory``. A QUICK comparison is of two rounds.

    A block of which one side breaks off ends there; its turns so far count, and so do those of the other blocks.
    """
    compared: dict[str, Compared] = {}
    began = time.monotonic()
    blocks = 1 if quick else max(1, round(minutes / _BLOCK_MINUTES))
    for block in range(1, blocks + 1):
        until = 0.0 if quick else began + minutes * 60 * block / blocks
        try:
            with _sides(trees, directory) as both:
                turns = _set_up(both, benchmarks, quick=quick, share=share)
                compared |= {turn.benchmark: Compared() for turn in turns if turn.benchmark not in compared}
                _take_turns(both, turns, compared, rounds_min=2 if quick else 1, until=until)
        except BrokeOff as broke_off:
            print(broke_off, flush=True)
        if measured := {name: each for name, each in compared.items() if each.pairs}:
            print("\n\n".join(filter(None, (table(measured), times_table(measured), _memory(measured)))), flush=True)
        print(f"block {block} of {blocks}, {time.monotonic() - began:.0f} s\n", flush=True)
    return compared


def _take_turns(
    both: tuple[_Side, _Side],
    turns: Sequence[side.Request],
    compared: Mapping[str, Compared],
    *,
    rounds_min: int,
    until: float,
) -> None:
    """Take turns until there is no time for another round; the first round does not count."""
    for number in itertools.count():
        started = time.monotonic()
        for turn in turns:
            pair = _pair(both, turn, number)
            if number:
                compared[turn.benchmark].pairs.append(pair)
        now = time.monotonic()
        if number >= rounds_min and now + (now - started) > until:
            break


def _memory(compared: Mapping[str, Compared]) -> str:
    before, now = zip(*((each.memory_mb for each in pair) for one in compared.values() for pair in one.pairs), strict=True)
    return f"the most memory of the API process, MB: before {max(before):.0f}, now {max(now):.0f}"


@contextlib.contextmanager
def _sides(trees: tuple[Tree, Tree], directory: Path) -> Generator[tuple[_Side, _Side]]:
    places = [directory / "data_before", directory / "data_of_now"]
    both = (_Side(trees[0], places[0]), _Side(trees[1], places[1]))
    try:
        yield both
    finally:
        for each, place in zip(both, places, strict=True):
            each.end()
            shutil.rmtree(place, ignore_errors=True)


def _set_up(both: tuple[_Side, _Side], benchmarks: Sequence[str], *, quick: bool, share: float) -> list[side.Request]:
    """Have both fill their databases, at once; return the turns of what both know."""
    is_open = not set(OPEN).isdisjoint(benchmarks)
    for each in both:
        each.say(side.Setup([*benchmarks, *([_CAPACITY] if is_open and _CAPACITY not in benchmarks else [])], quick))
    known = [each.hear(side.Ready).benchmarks for each in both]
    if missing := [name for name in benchmarks if not all(name in each for each in known)]:
        print(f"not in both trees: {', '.join(missing)}", flush=True)
    there = [name for name in benchmarks if name not in missing]
    rate = 0.0 if set(OPEN).isdisjoint(there) else share * _capacity(both[0], quick=quick)
    return [side.Request(name, AMOUNTS[name][quick], rate if name in OPEN else 0.0) for name in there]


def _capacity(before: _Side, *, quick: bool) -> float:
    """Grants a second that the tree of before answers when it is asked as fast as it answers; the first turn warms up."""
    rates: list[float] = []
    for _ in range(_CAPACITY_TURNS + 1):
        before.say(side.Request(_CAPACITY, AMOUNTS[_CAPACITY][quick]))
        turn = before.hear(side.Turn)
        rates.append(turn.work / turn.seconds)
    print(f"before, {_CAPACITY} answers {statistics.median(rates[1:]):,.0f} a second", flush=True)
    return statistics.median(rates[1:])


def _pair(both: tuple[_Side, _Side], request: side.Request, number: int) -> tuple[side.Turn, side.Turn]:
    turns: dict[int, side.Turn] = {}
    for which in (0, 1) if number % 2 else (1, 0):
        both[which].say(request)
        turns[which] = both[which].hear(side.Turn)
    return turns[0], turns[1]


def unpack_ref(ref: str, into: Path, root: Path = _ROOT) -> None:
    """Write the tree of a git ref; one from before there were sides gets the first version of ``bench/side.py``."""
    into.mkdir()
    # Debian's Python 3.11 cannot filter what it extracts, and a later one warns of what is not filtered.
    subprocess.run(["tar", "-x", "-C", into], input=_git(root, "archive", "--format=tar", ref), check=True)
    if not (into / _SIDE).exists():
        first = _git(root, "log", "--diff-filter=A", "--format=%H", "--", _SIDE).decode().split()
        # Before it is committed, this is the first version.
        text = _git(root, "show", f"{first[-1]}:{_SIDE}") if first else (root / _SIDE).read_bytes()
        (into / _SIDE).parent.mkdir(exist_ok=True)
        (into / _SIDE).write_bytes(text)


def unpack_working_tree(into: Path, root: Path = _ROOT) -> None:
    """Write this tree as it is, with what is not committed and without what git ignores."""
    for name in _git(root, "ls-files", "--cached", "--others", "--exclude-standard", "-z").decode().split("\0"):
        if name and (root / name).is_file():
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, into / name)


def _git(root: Path, *arguments: str) -> bytes:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr.decode())
    return done.stdout


def lend_bench(of: Path, to: Path, python: Path) -> None:
    """Have the other tree measured by this tree's ``bench``, if it has all that this imports."""
    own = to / "bench_of_its_own"
    (to / "bench").rename(own)
    shutil.copytree(of / "bench", to / "bench")
    done = subprocess.run([python, "-c", "import bench.side"], cwd=to, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"measured by its own bench, because ours does not run there: {done.stderr.splitlines()[-1]}", flush=True)
        shutil.rmtree(to / "bench")
        own.rename(to / "bench")


def install(trees: Sequence[Path]) -> None:
    """Install each tree from its own locks, by its own Makefile, all at once."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "VIRTUAL_ENV"))}
    python = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    command: list[Any] = ["make", f"PYTHON={python}", ".venv/installed"]
    running = [subprocess.Popen(command, cwd=tree, env=environ, stdout=subprocess.DEVNULL) for tree in trees]
    try:
        if sum(each.wait() for each in running):
            raise SystemExit("A tree could not be installed.")
    finally:
        for each in running:
            each.terminate()


class _Asked(msgspec.Struct, frozen=True):
    """What the environment asks for."""

    names: list[str]
    quick: bool
    minutes: float
    share: float


def _asked_for() -> _Asked:
    only = os.environ.get("ONLY", "")
    names = only.split(",") if only else list(AMOUNTS)
    if unknown := [name for name in names if name not in AMOUNTS]:
        raise SystemExit(f"{', '.join(unknown)} cannot be measured in turns. What can: {', '.join(AMOUNTS)}")
    quick = os.environ.get("QUICK", "") not in ("", "0")
    return _Asked(names, quick, float(os.environ.get("MINUTES", "") or MINUTES), float(os.environ.get("SHARE", "") or SHARE))


def main() -> None:
    """Compare this tree with the ref that the environment names."""
    asked = _asked_for()
    signal.signal(signal.SIGTERM, _interrupt)
    print(interpreter.described(), flush=True)
    with temporary_directory("rewards-versus-") as directory:
        # Names of one length: a path's is in what is measured.
        paths = (directory / "tree_before", directory / "tree_of_now")
        unpack_ref(os.environ["VERSUS"], paths[0])
        unpack_working_tree(paths[1])
        install(paths)
        trees = (Tree(paths[0], paths[0] / ".venv/bin/python"), Tree(paths[1], paths[1] / ".venv/bin/python"))
        lend_bench(paths[1], paths[0], trees[0].python)
        compared = compare(trees, directory, asked.names, quick=asked.quick, minutes=asked.minutes, share=asked.share)
    not_measured = [name for name, each in compared.items() if not each.pairs]
    if not_measured or not compared:
        raise SystemExit(f"not measured: {', '.join(not_measured or asked.names)}")
    slower = [name for name, each in compared.items() if each.is_slower]
    if slower and not asked.quick:
        raise SystemExit(f"slower than before: {', '.join(slower)}")


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
