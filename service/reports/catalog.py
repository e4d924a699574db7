"""Which reports there are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

import msgspec

from service.brands.brand import Brand
from service.http.problems import Problem, invalid_field
from service.reports import roll_forward
from service.reports.asked import Asked
from service.reports.periods import Period, read_period
from service.reports.report import Report

if TYPE_CHECKING:
    from service.services import Services


class _Kind(msgspec.Struct, frozen=True):
    """A report: what makes it, what it can be broken down by, and what it is broken down by unless told otherwise."""

    make: Callable[[Asked], Awaitable[Report]]
    dimensions: tuple[str, ...]
    default: tuple[str, ...] = ()


_KINDS: Mapping[str, _Kind] = {
    "roll-forward": _Kind(roll_forward.report, roll_forward.DIMENSIONS, ("class",)),
}


async def make_report(
    services: Services, brand: Brand, name: str, *, sent_from: str | None, sent_to: str | None, by: str | None
) -> Report:
    """The report of this name. Raises the problem of asking for one that there is not."""
    kind = _KINDS.get(name)
    if kind is None:
        raise Problem("unknown_report", f"There is no report {name!r}. There are: {', '.join(_KINDS)}.")
    dimensions = _dimensions(kind, by)
    cut = await services.ledger.head(brand.book)
    period = await _period(services, brand, sent_from, sent_to)
    return await kind.make(Asked(services, brand, cut, period, dimensions))


def _dimensions(kind: _Kind, by: str | None) -> tuple[str, ...]:
    if by is None:
        return kind.default
    names = [name for name in by.split(",") if name]
    if wrong := [name for name in names if name not in kind.dimensions]:
        known = ", ".join(kind.dimensions) or "nothing"
        raise invalid_field("?by", f"this report cannot be broken down by {wrong[0][:64]!r}, only by: {known}")
    return tuple(name for name in kind.dimensions if name in names)


async def _period(services: Services, brand: Brand, sent_from: str | None, sent_to: str | None) -> Period:
    today = brand.calendar.day(await services.clocks.now(brand))
    began = await services.ledger.transfers(brand.book, after=0, cut=1, limit=1)
    first = min(today, began[0].accounting_date) if began else today
    return read_period(sent_from, sent_to, first=first, today=today)
