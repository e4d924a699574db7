"""What a customer's rewards cost, in the period and ever, so that a customer's worth can be reckoned net of it."""

from __future__ import annotations

from datetime import date

from service.reports.asked import Asked
from service.reports.customers.figures import CHANGES, Figures
from service.reports.report import Column, Row
from service.reports.values import Values, rounded

_FIGURES = (*CHANGES, "cost")
COLUMNS = (
    Column("customer", "text"),
    *(Column(f"{prefix}{name}", "points") for prefix in ("", "lifetime_") for name in _FIGURES),
    *(Column(f"{prefix}{name}_value", "minor_units") for prefix in ("", "lifetime_") for name in _FIGURES),
)


def row(figures: Figures, asked: Asked, values: Values) -> Row:
    """A customer's row: what it cost is what they redeemed, less what refunds gave back."""
    points: Row = {}
    money: Row = {}
    for prefix, in_period in (("", True), ("lifetime_", False)):
        moved = {change: _days(figures, change, asked, in_period=in_period) for change in CHANGES}
        sums = {change: sum(days.values()) for change, days in moved.items()}
        worth = {change: values.worth_by_day(days) for change, days in moved.items()}
        sums["cost"], worth["cost"] = sums["redeemed"] - sums["refunded"], worth["redeemed"] - worth["refunded"]
        points |= {f"{prefix}{name}": sums[name] for name in _FIGURES}
        money |= {f"{prefix}{name}_value": rounded(worth[name]) if values else None for name in _FIGURES}
    return {"customer": f"cus_{figures.customer}", **points, **money}


def _days(figures: Figures, change: str, asked: Asked, *, in_period: bool) -> dict[date, int]:
    return {day: points for day, points in figures.points[change].items() if not in_period or day in asked.period}
