"""One tree against another: what is measured of each, what is made of it, and that both sides understand each other."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench import versus
from bench.registry import BENCHMARKS
from bench.results import Ratio, student_t
from bench.side import Turn
from bench.traffic import poisson
from bench.versus import AMOUNTS, OPEN, Compared, Tree, lend_bench, mark, tail_mark, times_table

ROOT = Path(versus.__file__).parents[1]


def git(root: Path, *arguments: str) -> None:
    subprocess.run(["git", "-c", "user.name=A", "-c", "user.email=a@shop.example", *arguments], cwd=root, check=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of two commits: the first has no side yet. What it has now is not committed."""
    root = tmp_path / "project"
    (root / "bench").mkdir(parents=True)
    git(root, "init", "-q")
    for name, text in {"service.py": "before", ".gitignore": "*.log\n", "old.py": "old", "bench/side.py": "first side"}.items():
        (root / name).write_text(text)
    git(root, "add", "service.py", ".gitignore", "old.py")
    git(root, "commit", "-q", "-m", "One")
    git(root, "tag", "one")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "Two")
    (root / "bench/side.py").write_text("second side")
    git(root, "commit", "-q", "-a", "-m", "Three")
    (root / "service.py").write_text("now")
    (root / "new.py").write_text("new")
    (root / "a.log").write_text("not for others")
    (root / "old.py").unlink()
    return root


def files(root: Path) -> dict[str, str]:
    return {str(file.relative_to(root)): file.read_text() for file in root.rglob("*") if file.is_file()}


def test_a_ref_is_unpacked_as_it_was_and_gets_the_first_side_if_it_has_none(project: Path, tmp_path: Path) -> None:
    versus.unpack_ref("one", tmp_path / "one", project)
    before = {"service.py": "before", ".gitignore": "*.log\n", "old.py": "old"}
    assert files(tmp_path / "one") == before | {"bench/side.py": "first side"}
    versus.unpack_ref("HEAD", tmp_path / "head", project)
    assert files(tmp_path / "head") == before | {"bench/side.py": "second side"}
    with pytest.raises(SystemExit, match="nowhere"):
        versus.unpack_ref("nowhere", tmp_path / "nowhere", project)


def test_this_tree_is_unpacked_with_what_is_not_committed(project: Path, tmp_path: Path) -> None:
    versus.unpack_working_tree(tmp_path / "now", project)
    assert files(tmp_path / "now") == {
        "service.py": "now",
        ".gitignore": "*.log\n",
        "new.py": "new",
        "bench/side.py": "second side",
    }


def test_a_ratio_is_a_geometric_mean_with_its_interval() -> None:
    ratio = Ratio.of([0.5, 2.0, 0.5, 2.0])
    half = 3.182 * statistics_of_logarithms(4)
    assert (ratio.mean, ratio.low, ratio.high) == pytest.approx((1.0, math.exp(-half), math.exp(half)))
    alone = Ratio.of([0.5])
    assert (alone.low, alone.high, str(alone)) == (0.0, math.inf, "0.500")


def statistics_of_logarithms(count: int) -> float:
    """The standard error of as many logarithms of a half and of two."""
    return math.log(2) * math.sqrt(count / (count - 1)) / math.sqrt(count)


@pytest.mark.parametrize(
    ("freedom", "quantile"), [(1, 12.706), (4, 2.776), (5, 2.571), (8, 2.306), (30, 2.042), (1_000, 1.962)]
)
def test_the_interval_is_wider_the_fewer_turns_there_were(freedom: int, quantile: float) -> None:
    assert student_t(freedom) == pytest.approx(quantile, rel=0.01)


@pytest.mark.parametrize(
    ("ratios", "expected"),
    [([0.90, 0.91, 0.90, 0.91], "!"), ([0.90, 1.10, 0.90, 1.10], "?"), ([1.00, 1.01, 1.00, 1.01], " "), ([0.5], "?")],
)
def test_slower_for_certain_is_marked_apart_from_maybe_slower(ratios: list[float], expected: str) -> None:
    assert mark(Ratio.of(ratios)) == expected


def test_each_cost_is_compared_an_item_and_more_than_one_is_better() -> None:
    before = Turn(work=100, seconds=2.0, process_s=1.0, postgres_s=0.0, memory_mb=100)
    now = Turn(work=200, seconds=2.0, process_s=4.0, postgres_s=1.0, memory_mb=120)
    compared = Compared([(before, now)] * 3)
    assert (compared.rate(0), compared.rate(1)) == (50, 100)
    assert compared.speed.mean == pytest.approx(2.0)
    assert compared.ratio(lambda turn: turn.process_s).mean == pytest.approx(0.5)
    line = versus.table({"redeem": compared}).splitlines()[1]
    assert line.split()[:3] == ["redeem", "50", "100"]
    # Nobody counted what PostgreSQL took.
    assert line.split()[3:] == ["2.000", "[2.000,", "2.000]", "0.500", "[0.500,", "0.500]", "-", "3"]


def test_times_are_compared_as_now_against_before() -> None:
    before = Turn(work=1, seconds=1.0, process_s=0.0, postgres_s=0.0, memory_mb=0.0, p50_ms=2.0, p99_ms=10.0)
    now = Turn(work=1, seconds=1.0, process_s=0.0, postgres_s=0.0, memory_mb=0.0, p50_ms=1.0, p99_ms=12.0)
    compared = Compared([(before, now)] * 3)
    (_, line) = times_table(
        {"http_idle": compared, "engine_batch": Compared([(_nobody_waits(), _nobody_waits())])}
    ).splitlines()
    assert line.split() == [
        "http_idle",
        "2.00",
        "1.00",
        "0.500",
        "[0.500,",
        "0.500]",
        "10.00",
        "12.00",
        "!",
        "1.200",
        "[1.200,",
        "1.200]",
    ]
    # It answers as many, and yet it is slower.
    assert (mark(compared.speed), compared.is_slower) == (" ", True)


def test_without_times_there_is_no_table_of_them() -> None:
    assert times_table({"engine_batch": Compared([(_nobody_waits(), _nobody_waits())])}) == ""


def _nobody_waits() -> Turn:
    return Turn(work=1, seconds=1.0, process_s=1.0, postgres_s=1.0, memory_mb=0.0)


@pytest.mark.parametrize(("ratios", "expected"), [([1.2, 1.21, 1.2], "!"), ([0.9, 1.2, 1.0], "?"), ([1.0, 1.01, 1.0], " ")])
def test_a_p99_must_not_be_higher(ratios: list[float], expected: str) -> None:
    assert tail_mark(Ratio.of(ratios)) == expected


def test_a_tree_is_lent_a_bench_that_it_can_run(tmp_path: Path) -> None:
    for tree, text in {"before": "OWN = True", "now": "OURS = True", "new": "import nothing_of_that_name"}.items():
        (tmp_path / tree / "bench").mkdir(parents=True)
        (tmp_path / tree / "bench/side.py").write_text(text)
    lend_bench(tmp_path / "new", tmp_path / "before", Path(sys.executable))
    assert files(tmp_path / "before") == {"bench/side.py": "OWN = True"}
    lend_bench(tmp_path / "now", tmp_path / "before", Path(sys.executable))
    assert (tmp_path / "before/bench/side.py").read_text() == "OURS = True"


def test_what_is_measured_in_turns_is_a_benchmark() -> None:
    assert set(AMOUNTS) - set(OPEN) <= {name for benchmark in BENCHMARKS for name in benchmark.wanted}


@pytest.mark.slow
def test_a_tree_is_compared_with_itself(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tmp_path.chmod(0o711)
    tree = Tree(ROOT, Path(sys.executable))
    names = ["engine_small", "http_open_poisson", "of_tomorrow"]
    compared = versus.compare((tree, tree), tmp_path, names, quick=True, minutes=0, share=0.25)
    assert {name: len(each.pairs) for name, each in compared.items()} == {"engine_small": 2, "http_open_poisson": 2}
    for each in compared.values():
        for turn in (turn for pair in each.pairs for turn in pair):
            assert min(turn.work, turn.seconds, turn.postgres_s) > 0
    said = capfd.readouterr().out
    assert "not in both trees: of_tomorrow" in said
    assert "block 1 of 1" in said
    # Data are gone, and so are the servers that had them open.
    assert sorted(file.suffix for file in tmp_path.iterdir()) == [".log", ".log"]
    comes_at_a_share_of_what_was_answered_before(compared["http_open_poisson"], said, share=0.25)


def comes_at_a_share_of_what_was_answered_before(open_load: Compared, said: str, *, share: float) -> None:
    (capacity,) = (int(each.replace(",", "")) for each in re.findall(r"http_single_64 answers ([\d,]+) a second", said))
    for turn, (before, now) in enumerate(open_load.pairs, start=1):
        assert before.work == now.work  # both were sent the same
        # Exactly what arrives at that rate, of which the capacity is known to a whole number.
        fewest, most = (_arrivals((capacity + rounded) * share, turn) for rounded in (-0.5, 0.5))
        assert 0 < fewest <= before.work <= most
        assert 0 < now.p50_ms <= now.p99_ms


def _arrivals(rate: float, turn: int) -> int:
    return sum(1 for _ in poisson(rate, AMOUNTS["http_open_poisson"][True], turn))


def test_a_block_that_breaks_off_is_told_and_the_next_goes_on(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "tree"
    (broken / "bench").mkdir(parents=True)
    (broken / "bench/side.py").write_text("import sys; sys.stdin.readline(); sys.exit('no such table')")
    tree = Tree(broken, Path(sys.executable))
    assert versus.compare((tree, tree), tmp_path, ["redeem"], quick=False, minutes=16) == {}
    said = capfd.readouterr().out
    assert said.count("data_before broke off:\nno such table") == 2
    assert "block 2 of 2" in said
