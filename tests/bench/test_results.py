"""What the benchmarks say: the file, the table, the pictures, and that none of them is missing."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import msgspec
import pytest

from bench import pictures, results
from bench.registry import BENCHMARKS, find
from bench.results import Cost, Measured, Ratio, Result, Turn, at_least, at_most, rates

ASKED_FOR = {
    "engine_batch",
    "engine_small",
    "engine_brands",
    "http_batch",
    "http_single_64",
    "http_single_256",
    "http_single_64_p99",
    "http_single_256_p99",
    "http_idle",
    "link_claim",
    "link_redirect",
    "redeem",
    "redeem_under_load",
    "balance_read",
    "statement",
    "trial_balance_at_cut",
    "bytes_per_grant",
    "wal_per_grant",
    "growth",
    "grants_during_export",
    "expiry_storm",
    "export_csv",
    "export_parquet",
    "memory",
}


def test_the_file_has_four_fields_a_name_and_reads_back(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    assert results.read(file) == {}
    written = {"engine_batch": Measured(15_000.4, 20_000.0, "grants/s", notes=("a note",)).result}
    results.write(file, written)

    decoded = msgspec.json.decode(file.read_bytes())
    assert decoded == {"engine_batch": {"ours": 15_000, "reference": 20_000, "ratio": 0.75, "unit": "grants/s"}}
    assert results.read(file) == written
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_what_an_item_takes_of_processors_is_beside_its_rate(tmp_path: Path) -> None:
    cost = Cost.of(1_000, code_ms=250, postgres_ms=123.4)
    measured = rates([Turn(1_000, 1.0, 1_000, 0.5)], "grants/s", cost=cost)
    assert (measured.result.code_us, measured.result.postgres_us) == (250.0, 123.4)
    assert results.line("http_batch", measured.result, None).split()[-3:] == ["250", "123.4", "grants/s"]
    results.write(tmp_path / "results.json", {"http_batch": measured.result})
    assert results.read(tmp_path / "results.json") == {"http_batch": measured.result}


def test_a_ratio_over_pairs_of_turns_has_its_interval_in_the_file(tmp_path: Path) -> None:
    measured = Measured(50.0, 200.0, "grants/s", over_pairs=Ratio.of([0.2, 0.3, 0.2, 0.3]))
    result = measured.result
    assert result.ratio == pytest.approx(0.245, abs=0.001)
    assert result.low is not None
    assert result.high is not None
    assert 0.15 < result.low < 0.2 < 0.3 < result.high < 0.4
    results.write(tmp_path / "results.json", {"growth": result})
    assert results.read(tmp_path / "results.json") == {"growth": result}


def test_a_rate_is_all_work_over_all_time() -> None:
    measured = rates([Turn(100, 1.0, 300, 1.0), Turn(100, 3.0, 300, 2.0)], "grants/s")
    assert (measured.ours, measured.reference) == (50.0, 200.0)
    assert measured.turns == ((100.0, 300.0), (100 / 3, 150.0))
    assert measured.result.ratio == 0.25


@pytest.mark.parametrize(
    ("wanted", "ratio", "met"),
    [(at_least(0.75), 0.75, True), (at_least(0.75), 0.749, False), (at_most(2), 2.0, True), (at_most(2), 2.01, False)],
)
def test_what_is_wanted_is_a_bound_on_either_side(wanted: results.Wanted, ratio: float, met: bool) -> None:
    assert wanted.met(ratio) is met
    line = results.line("name", Result(1.0, 1.0, ratio, "grants/s"), wanted)
    assert ("!" in line) is not met


def test_a_picture_has_both_bars_a_dot_for_each_turn_and_the_bound() -> None:
    measured = Measured(50.0, 200.0, "grants/s & more", turns=((40.0, 190.0), (60.0, 210.0)))
    root = ElementTree.fromstring(pictures.draw("a <name>", measured, at_least(0.6)))
    kinds = [element.tag.rpartition("}")[2] for element in root]
    assert kinds.count("rect") == 3
    assert kinds.count("circle") == 4
    assert kinds.count("line") == 1
    bars = [float(bar.attrib["width"]) for bar in root if "y" in bar.attrib and bar.tag.endswith("rect")]
    assert bars[0] == pytest.approx(bars[1] / 4, abs=0.1)
    ElementTree.fromstring(pictures.draw("nothing", Measured(0.0, 0.0, "rows/s"), None))


def test_every_figure_is_measured_by_one_benchmark() -> None:
    names = [name for benchmark in BENCHMARKS for name in benchmark.wanted]
    assert len(names) == len(set(names))
    assert set(names) >= ASKED_FOR


def test_benchmarks_are_found_by_any_of_their_names() -> None:
    (single,) = find("http_single_64_p99")
    assert "http_single_64" in single.wanted
    assert len(find("redeem,http_single_64,http_single_64_p99")) == 2
    with pytest.raises(KeyError, match="There is no benchmark bogus"):
        find("redeem,bogus")
