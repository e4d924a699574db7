"""Looking for redemptions."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import msgspec

from ledger import Redemption, RedemptionFilter
from service.brands.brand import Brand
from service.customers import actions as customers
from service.customers.schemas import CustomerRef
from service.http.filters import read_date, read_days
from service.http.problems import invalid_field

if TYPE_CHECKING:
    from service.services import Services

_DAY = timedelta(days=1)


async def find_redemptions(
    services: Services,
    brand: Brand,
    wanted: RedemptionFilter,
    *,
    customer: str | None,
    day: str | None,
    days: tuple[str | None, str | None],
    before: int | None,
    limit: int,
) -> tuple[list[Redemption], int | None]:
    """A page of those that are ``wanted``, of a customer by their id and authorized on a business date, or on the days from one
    to another, if these are given.
    """
    if wanted.terminal_id is not None and wanted.store_id is None:
        raise invalid_field("?terminal_id", "is a terminal of a store: give its store_id too")
    since, until = _days(day, days)
    begin, end = wanted.between
    if since is not None:
        begin = (await services.ledger.cut_before_day(brand.book, since)).seq
    if until is not None:
        end = (await services.ledger.cut_before_day(brand.book, until + _DAY)).seq + 1
    wanted = msgspec.structs.replace(wanted, between=(begin, end))
    if customer is not None:
        known = await customers.find(services, brand, CustomerRef(id=customer), now=True)
        if known is None:
            return [], None
        wanted = msgspec.structs.replace(wanted, customer=known.customer)
    return await services.ledger.find_redemptions(brand.book, wanted, before=before, limit=limit)


def _days(day: str | None, days: tuple[str | None, str | None]) -> tuple[date | None, date | None]:
    if day is None:
        return read_days(*days)
    if days != (None, None):
        raise invalid_field("?day", "send either a day, or the days `from` and `to`")
    asked = read_date("?day", day)
    return asked, asked
