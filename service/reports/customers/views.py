"""Which reports have a row for each customer, and a page of one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

import msgspec

from service.brands.brand import Brand
from service.http.problems import Problem
from service.reports.asked import Asked
from service.reports.catalog import Kind, ask
from service.reports.customers import responses, reward_cost, rfm
from service.reports.customers.figures import Stretches, figures_of
from service.reports.report import Column, Row

if TYPE_CHECKING:
    from service.services import Services

Rows = tuple[list[Row], int | None]


class CustomerPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a report with rows for each customer."""

    report: str
    """Its name."""
    since: date = msgspec.field(name="from")
    """The first day included, in the brand's time zone."""
    until: date = msgspec.field(name="to")
    """The last day included."""
    currency: str
    """The currency (ISO 4217) whose minor units money is in."""
    seq: int
    """The last transfer of the book that was read."""
    columns: Sequence[Column]
    """The columns, in order."""
    items: Sequence[Row]
    """The rows: values by column, by customer number. Customers without a figure are left out."""
    next: str | None
    """The `after` of the next page; null on the last page. A page may have few rows, or none, and not be the last."""


class _View(msgspec.Struct, frozen=True):
    """A view: its columns, the report whose period it takes, and what reads customers after a number."""

    kind: Kind
    columns: Sequence[Column]
    read: Callable[[Asked, int, int], Awaitable[tuple[Rows, int]]]


async def make_page(
    services: Services,
    brand: Brand,
    name: str,
    *,
    sent_from: str | None,
    sent_to: str | None,
    after: int | None,
    limit: int,
) -> CustomerPage:
    """A page of the report of this name. Raises the problem of asking for one that there is not."""
    view = _VIEWS.get(name)
    if view is None:
        raise Problem("unknown_report", f"There is no report {name!r} by customer. There are: {', '.join(_VIEWS)}.")
    async with services.reports:
        asked = await ask(services, brand, view.kind, (), sent_from, sent_to)
        (rows, last), seq = await view.read(asked, after or 0, limit)
    return CustomerPage(
        report=name,
        since=asked.period.begin,
        until=asked.period.end,
        currency=brand.currency,
        seq=seq,
        columns=view.columns,
        items=rows,
        next=None if last is None else str(last),
    )


async def _rfm(asked: Asked, after: int, limit: int) -> tuple[Rows, int]:
    values = await asked.values()
    _, until = await asked.posted()
    stretches = Stretches.of(asked, values)
    scales = await rfm.scales_of(asked, until, stretches)
    page, last = await _survivors(asked, after, limit)
    found = await figures_of(asked, until, stretches, page)
    return ([rfm.row(figures, asked, values, scales) for figures in found], last), until


async def _reward_cost(asked: Asked, after: int, limit: int) -> tuple[Rows, int]:
    values = await asked.values()
    _, until = await asked.log_of_period()
    page, last = await _survivors(asked, after, limit)
    found = await figures_of(asked, until, Stretches.of(asked, values), page)
    return ([reward_cost.row(figures, asked, values) for figures in found], last), until


async def _survivors(asked: Asked, after: int, limit: int) -> tuple[list[tuple[int, Sequence[int]]], int | None]:
    page = await asked.services.ledger.survivors(asked.brand.book, after=after, limit=limit + 1)
    return page[:limit], page[limit - 1][0] if len(page) > limit else None


async def _responses(asked: Asked, after: int, limit: int) -> tuple[Rows, int]:
    """Rows of at most ``limit`` customers of those that are looked at next."""
    _, until = await asked.posted()
    async for page, last in responses.recipients(asked, after=after):
        some = page[:limit]
        rows = [
            row
            for customer, channels in (await responses.tallies_of(asked, some)).items()
            for row in responses.rows(customer, channels)
        ]
        return (rows, some[-1][0] if len(page) > limit else last), until
    return ([], None), until


_VIEWS: Mapping[str, _View] = {
    rfm.NAME: _View(Kind(rfm.report, cuts=frozenset(("?to",)), of_a_year=True), rfm.COLUMNS, _rfm),
    "reward-cost": _View(Kind(rfm.report), reward_cost.COLUMNS, _reward_cost),
    responses.NAME: _View(Kind(responses.report, cuts=frozenset(("?from", "?to"))), responses.COLUMNS, _responses),
}
