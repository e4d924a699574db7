"""Lists of adjustments."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from ledger import Adjustment
from service.brands.brand import Brand
from service.customers import actions as customers
from service.customers.schemas import CustomerRef
from service.http.filters import read_days
from service.http.problems import invalid_field

if TYPE_CHECKING:
    from service.services import Services

_DAY = timedelta(days=1)
_END = 2**62


async def list_adjustments(
    services: Services,
    brand: Brand,
    *,
    customer: str | None,
    reason: str | None,
    days: tuple[str | None, str | None],
    before: int | None,
    limit: int,
) -> list[Adjustment]:
    """The newest that are wanted, with numbers below ``before``: of a customer or for a reason, and made on the days from one
    to another, if these are given.
    """
    if customer is not None and reason is not None:
        raise invalid_field("?reason", "cannot be combined with customer")
    first, last = await _numbers(services, brand, days)
    of: Sequence[int] = ()
    if customer is not None:
        known = await customers.find(services, brand, CustomerRef(id=customer), now=True)
        if known is None:
            return []
        of = (known.customer, *known.former)
    until = min(last + 1, before or _END)
    found = await services.ledger.adjustments(brand.book, customers=of, reason=reason, before=until, limit=limit)
    return [each for each in found if each.number >= first]


async def _numbers(services: Services, brand: Brand, days: tuple[str | None, str | None]) -> tuple[int, int]:
    """The numbers that corrections of these days have."""
    since, until = read_days(*days)
    if since is None and until is None:
        return 0, _END - 1
    ledger, book = services.ledger, brand.book
    after = 0 if since is None else (await ledger.cut_before_day(book, since)).seq
    through = _END if until is None else (await ledger.cut_before_day(book, until + _DAY)).seq
    first, last = await ledger.correction_numbers(book, after=after, until=through)
    return (_END if first is None else first), (0 if last is None else last)
