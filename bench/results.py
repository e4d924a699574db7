"""What a benchmark says: ours, the reference, their ratio, and whether that is what was asked for."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import msgspec


class Cost(msgspec.Struct, frozen=True):
    """What one item takes of a processor, in microseconds."""

    code_us: float
    postgres_us: float

    @classmethod
    def of(cls, items: float, *, code_ms: float, postgres_ms: float) -> Cost:
        """All that was taken, over all items."""
        return cls(code_ms * 1_000 / items, postgres_ms * 1_000 / items)


class Ratio(msgspec.Struct, frozen=True):
    """A geometric mean of ratios and its 95% interval, which is everything if there is at most one ratio."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, ratios: Sequence[float]) -> Ratio:
        """The mean of some ratios."""
        logarithms = [math.log(ratio) for ratio in ratios]
        if len(logarithms) < 2:
            return cls(ratios[0] if ratios else 0.0, 0.0, math.inf)
        mean = statistics.fmean(logarithms)
        half = student_t(len(logarithms) - 1) * statistics.stdev(logarithms) / math.sqrt(len(logarithms))
        return cls(math.exp(mean), math.exp(mean - half), math.exp(mean + half))

    def __str__(self) -> str:
        if not self.mean:
            return "-"
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]" if self.low else f"{self.mean:.3f}"


_FEW = (12.706, 4.303, 3.182, 2.776)
"""For one to four degrees of freedom, where the expansion is too low."""


def student_t(freedom: int) -> float:
    """The two-sided 95% quantile of Student's distribution, by its expansion in 1/freedom (Abramowitz and Stegun, 26.7.5)."""
    if freedom <= len(_FEW):
        return _FEW[freedom - 1]
    z = 1.959964
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


class Result(msgspec.Struct, frozen=True, omit_defaults=True):
    """``ours`` against ``reference``, measured in one run: a line of ``results.json``."""

    ours: float
    reference: float
    ratio: float
    unit: str
    code_us: float | None = None
    """What one item takes of a processor in our code, in microseconds, where it was counted."""
    postgres_us: float | None = None
    """The same in PostgreSQL."""
    low: float | None = None
    """Where the ratio's 95% interval begins, if it is a mean over pairs of turns."""
    high: float | None = None
    measured_on: date | None = None
    is_quick: bool = False


class Wanted(msgspec.Struct, frozen=True):
    """What a ratio has to be, at least or at most."""

    bound: float
    at_most: bool = False

    def met(self, ratio: float) -> bool:
        """Say whether ``ratio`` is good enough."""
        return ratio <= self.bound if self.at_most else ratio >= self.bound

    def __str__(self) -> str:
        return f"{'≤' if self.at_most else '≥'} {self.bound:g}"


def at_least(bound: float) -> Wanted:
    """More is better."""
    return Wanted(bound)


def at_most(bound: float) -> Wanted:
    """Less is better."""
    return Wanted(bound, at_most=True)


class Measured(msgspec.Struct, frozen=True):
    """One figure and how it came about: ``turns`` are (ours, reference) of each turn, ``notes`` are printed below the line."""

    ours: float
    reference: float
    unit: str
    turns: tuple[tuple[float, float], ...] = ()
    notes: tuple[str, ...] = ()
    cost: Cost | None = None
    over_pairs: Ratio | None = None
    """The ratio, where each turn of ours has one of the reference's beside it; else it is that of the figures."""

    @property
    def result(self) -> Result:
        """The figure alone, rounded to what it can mean."""
        result = Result(_rounded(self.ours), _rounded(self.reference), round(self._ratio, 3), self.unit)
        if self.cost is not None:
            code_us, postgres_us = _rounded(self.cost.code_us), _rounded(self.cost.postgres_us)
            result = msgspec.structs.replace(result, code_us=code_us, postgres_us=postgres_us)
        if self.over_pairs is not None:
            low, high = round(self.over_pairs.low, 3), round(self.over_pairs.high, 3)
            result = msgspec.structs.replace(result, low=low, high=high)
        return result

    @property
    def _ratio(self) -> float:
        if self.over_pairs is not None:
            return self.over_pairs.mean
        return self.ours / self.reference if self.reference else math.inf


class Turn(msgspec.Struct, frozen=True):
    """Work done and time taken by both sides, one after the other."""

    ours: int
    ours_s: float
    reference: int
    reference_s: float


def rates(turns: list[Turn], unit: str, *notes: str, cost: Cost | None = None) -> Measured:
    """All work over all time, for each side."""
    return Measured(
        ours=sum(turn.ours for turn in turns) / sum(turn.ours_s for turn in turns),
        reference=sum(turn.reference for turn in turns) / sum(turn.reference_s for turn in turns),
        unit=unit,
        turns=tuple((turn.ours / turn.ours_s, turn.reference / turn.reference_s) for turn in turns),
        notes=notes,
        cost=cost,
    )


HEADINGS = (
    f"{'':<26} {'':>12} {'':>12} {'':>7}  {'':<8} {'processor µs an item':>21}\n"
    f"{'name':<26} {'ours':>12} {'reference':>12} {'ratio':>7}  {'wanted':<8} {'code':>10} {'PostgreSQL':>10} unit"
)


def line(name: str, result: Result, wanted: Wanted | None) -> str:
    """A line of the printed table; a ratio that is not what was wanted has a mark."""
    mark = " " if wanted is None or wanted.met(result.ratio) else "!"
    code, postgres = (_shown_if_any(each) for each in (result.code_us, result.postgres_us))
    return (
        f"{name:<26} {shown(result.ours):>12} {shown(result.reference):>12} {result.ratio:>7.3f}{mark} "
        f"{'' if wanted is None else str(wanted):<8} {code:>10} {postgres:>10} {result.unit}"
    )


def read(path: Path) -> dict[str, Result]:
    """What was measured before; nothing if there is no file."""
    return msgspec.json.decode(path.read_bytes(), type=dict[str, Result]) if path.exists() else {}


def write(path: Path, results: Mapping[str, Result]) -> None:
    """Write the file whole."""
    aside = path.with_name(f".{path.name}.partial")
    aside.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=2) + b"\n")
    aside.replace(path)


def _rounded(figure: float) -> float:
    return round(figure) if figure >= 1_000 else float(f"{figure:.4g}")


def _shown_if_any(figure: float | None) -> str:
    return "" if figure is None else shown(figure)


def shown(figure: float) -> str:
    """A figure for people."""
    return f"{figure:,.0f}" if figure >= 1_000 else f"{figure:,.4g}"
