"""How far it is to the next reward."""

from __future__ import annotations

import msgspec
import pytest

from service.brands.brand import Goal
from service.brands.goals import progress

COFFEE, CAKE, BREAKFAST = Goal("Coffee", 500), Goal("Cake", 500), Goal("Breakfast", 2_000)
GOALS = (BREAKFAST, COFFEE, CAKE)


@pytest.mark.parametrize(
    ("balance", "reached", "ahead"),
    [
        (0, [], {"name": "Coffee", "points": 500, "missing": 500}),
        (499, [], {"name": "Coffee", "points": 500, "missing": 1}),
        (500, [COFFEE, CAKE], {"name": "Breakfast", "points": 2_000, "missing": 1_500}),
        (2_000, [BREAKFAST, COFFEE, CAKE], None),
    ],
)
def test_progress(balance: int, reached: list[Goal], ahead: object) -> None:
    told = progress(balance, GOALS)
    assert list(told.reached) == reached
    assert msgspec.to_builtins(told.next) == ahead


def test_a_brand_without_goals_has_no_next() -> None:
    assert msgspec.to_builtins(progress(1_000, ())) == {"reached": [], "next": None}
