"""``make figures``: writes what the last whole run of ``make bench`` measured into the table of docs/performance.md.

A row begins with a figure's name. What it is compared with and what bounds it is written by hand; how much it was, its ratio
and its target come from ``results.json`` and the registry. They are of one run and one day, or nothing is written.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from bench import results
from bench.registry import BENCHMARKS
from bench.results import Result, Wanted, shown

DOCUMENT = Path(__file__).parents[1] / "docs/performance.md"
WANTED: Mapping[str, Wanted | None] = {name: wanted for benchmark in BENCHMARKS for name, wanted in benchmark.wanted.items()}
_DAY = re.compile(r"^\d+ [A-Z][a-z]+ \d{4}, one run", re.MULTILINE)


class NotOneRun(Exception):
    """The results are not those of one whole run."""


def day_of(measured: Mapping[str, Result]) -> date:
    """The day on which all was measured. Raises `NotOneRun`."""
    if missing := WANTED.keys() - measured.keys():
        raise NotOneRun(f"not measured: {', '.join(sorted(missing))}")
    if quick := [name for name in WANTED if measured[name].is_quick]:
        raise NotOneRun(f"measured with QUICK=1: {', '.join(quick)}")
    days = {measured[name].measured_on for name in WANTED}
    if len(days) > 1 or (day := days.pop()) is None:
        raise NotOneRun("measured on several days: run make bench without ONLY")
    return day


def written(text: str, measured: Mapping[str, Result]) -> str:
    """The document with these figures."""
    day = day_of(measured)
    text = _DAY.sub(f"{day.day} {day:%B %Y}, one run", text)
    return "\n".join(_line(line, measured) for line in text.split("\n"))


def name_of(line: str) -> str | None:
    """The figure of a row of the table."""
    found = re.match(r"\| `([a-z0-9_]+)` \|", line)
    return found[1] if found is not None and found[1] in WANTED else None


def _line(line: str, measured: Mapping[str, Result]) -> str:
    name = name_of(line)
    if name is None:
        return line
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    cells[2:5] = cells_of(measured[name], WANTED[name])
    return f"| {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |")


def cells_of(result: Result, wanted: Wanted | None) -> list[str]:
    """How much it was, its ratio, and its target."""
    mark = "" if wanted is None or wanted.met(result.ratio) else " !"
    target = "" if wanted is None else str(wanted)
    return [f"{shown(result.ours)} {result.unit.partition(',')[0]}", f"{result.ratio:.3f}{mark}", target]


def main() -> None:
    """Write the document again."""
    out = Path(os.environ.get("BENCH_OUT", "") or Path(__file__).parent)
    try:
        text = written(DOCUMENT.read_text(), results.read(out / "results.json"))
    except NotOneRun as why:
        sys.exit(f"The figures of docs/performance.md are those of one whole run, and these are not: {why}")
    DOCUMENT.write_text(text)


if __name__ == "__main__":
    main()
