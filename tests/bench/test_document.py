"""The table of docs/performance.md: a row for each figure, and what a whole run measured, of one day."""

from __future__ import annotations

from datetime import date

import msgspec
import pytest

from bench.document import DOCUMENT, WANTED, NotOneRun, name_of, written
from bench.results import Result

DAY = date(2026, 12, 31)
RUN = {name: Result(1_234.0, 1_000.0, 1.234, "grants/s, of the limit", measured_on=DAY) for name in WANTED}


def rows(text: str) -> dict[str, list[str]]:
    lines = [(name, line) for line in text.splitlines() if (name := name_of(line)) is not None]
    assert len(lines) == len(dict(lines)), "a figure has two rows"
    return {name: [cell.strip() for cell in line.strip("|").split("|")] for name, line in lines}


def test_each_figure_has_a_row_with_its_target() -> None:
    told = rows(DOCUMENT.read_text())
    assert list(told) == list(WANTED)
    for name, wanted in WANTED.items():
        assert told[name][4] == ("" if wanted is None else str(wanted)), name


def test_a_whole_run_is_written_into_the_table_and_nothing_else_changes() -> None:
    before = DOCUMENT.read_text()
    after = written(before, RUN)
    assert "\n31 December 2026, one run" in after
    old, new = rows(before), rows(after)
    for name, wanted in WANTED.items():
        mark = "" if wanted is None or wanted.met(1.234) else " !"
        assert new[name] == [*old[name][:2], "1,234 grants/s", f"1.234{mark}", *old[name][4:]]
    assert written(after, RUN) == after
    others = [[line for line in text.splitlines() if name_of(line) is None] for text in (before, after)]
    assert sum(a != b for a, b in zip(*others, strict=True)) <= 1  # the day


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"redeem": msgspec.structs.replace(RUN["redeem"], measured_on=date(2026, 12, 30))}, "several days"),
        ({"redeem": msgspec.structs.replace(RUN["redeem"], is_quick=True)}, "QUICK=1: redeem"),
    ],
)
def test_what_is_not_one_whole_run_is_refused(changed: dict[str, Result], why: str) -> None:
    with pytest.raises(NotOneRun, match=why):
        written(DOCUMENT.read_text(), RUN | changed)
    with pytest.raises(NotOneRun, match="not measured: redeem"):
        written(DOCUMENT.read_text(), {name: each for name, each in RUN.items() if name != "redeem"})
