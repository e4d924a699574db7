"""Looking up closes."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from ledger import Book, Close, Ledger
from service.brands.brand import Brand
from service.closes.schemas import CloseResponse
from service.http import periods
from service.http.periods import Period
from service.http.problems import invalid_field, not_found
from service.restatements.queries import newest_versions, version_of_close

if TYPE_CHECKING:
    from service.services import Services


def period_asked_for(name: str) -> Period:
    """The period a body names."""
    period = periods.parse(name)
    if period is None:
        raise invalid_field("/period", "is neither a month, such as 2026-11, nor a day, such as 2026-11-30")
    return period


def period_named(name: str) -> Period:
    """The period a path names."""
    period = periods.parse(name)
    if period is None:
        raise not_found("period")
    return period


async def find_close(ledger: Ledger, book: Book, name: str) -> Close:
    """The close of the period a path names."""
    period = period_named(name)
    close = await ledger.close(book, period.end)
    if close is None or close.begins_on != period.begin:
        raise not_found("close")
    return close


async def show(services: Services, brand: Brand, close: Close, version: int | None = None) -> CloseResponse:
    """A version of a close with its totals; the newest unless another is wanted."""
    of_close = await version_of_close(services.engine, brand.brand_id, close.ends_on, version)
    return CloseResponse.of(close, of_close, await services.ledger.close_trial_balance(brand.book, close))


async def list_closes(services: Services, brand: Brand, *, after: str | None, limit: int) -> list[CloseResponse]:
    """Closes, newest first: those before the period ``after``."""
    last = None if after is None else periods.parse(after)
    if last is None and after is not None:
        raise invalid_field("?after", "is not a period")
    until = date.max if last is None else last.day_before
    ledger = services.ledger
    found = await ledger.closes(brand.book, until=until, limit=limit)
    versions = await newest_versions(services.engine, brand.brand_id, [close.ends_on for close in found])
    return [
        CloseResponse.of(close, versions[close.ends_on], await ledger.close_trial_balance(brand.book, close)) for close in found
    ]
