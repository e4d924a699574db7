"""What the demo's shop takes points for. Its cheapest good costs less than the demo's link pays."""

from __future__ import annotations

import msgspec

from ledger import PointValue

POINT_VALUE = PointValue(points=10, minor_units=100)
"""Ten points pay one euro."""


class Good(msgspec.Struct, frozen=True):
    """Something to be had for points; ``drawing`` is the path of its picture, 120 by 120."""

    name: str
    points: int
    drawing: str

    @property
    def price(self) -> str:
        """What it costs in money."""
        return f"€{POINT_VALUE.worth(self.points) / 100:.2f}"


GOODS = (
    Good(
        "Espresso",
        22,
        "M30 46h50v24a22 22 0 0 1-22 22h-6a22 22 0 0 1-22-22Z M80 52h6a11 11 0 0 1 0 22h-7"
        " M45 24c-4 5 4 8 0 13 M59 24c-4 5 4 8 0 13",
    ),
    Good("House blend, 500 g", 115, "M40 28h40l6 14v52H34V42Z M34 42h52M48 62h24M48 74h24"),
    Good("Slow carafe", 390, "M44 24h32M50 24v30L32 90a5 5 0 0 0 5 7h46a5 5 0 0 0 5-7L70 54V24M41 74h38"),
)
