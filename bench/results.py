"""What a benchmark says: ours, the reference, their ratio, and whether that is what was asked for."""

from __future__ import annotations

from collections.abc import Mapping
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

    @property
    def result(self) -> Result:
        """The figure alone, rounded to what it can mean."""
        ratio = self.ours / self.reference if self.reference else float("inf")
        costs = () if self.cost is None else (_rounded(self.cost.code_us), _rounded(self.cost.postgres_us))
        return Result(_rounded(self.ours), _rounded(self.reference), round(ratio, 3), self.unit, *costs)


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
