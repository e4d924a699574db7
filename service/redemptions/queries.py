"""Looking for redemptions."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from ledger import Redemption, RedemptionFilter
from service.brands.brand import Brand
from service.customers import actions as customers
from service.customers.schemas import CustomerRef
from service.http.dates import read_date
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
    before: int | None,
    limit: int,
) -> tuple[list[Redemption], int | None]:
    """A page of those that are ``wanted``, of a customer by their id and authorized on a business date, if these are given."""
    if wanted.terminal_id is not None and wanted.store_id is None:
        raise invalid_field("?terminal_id", "is a terminal of a store: give its store_id too")
    if day is not None:
        begins = read_date("?day", day)
        begin, end = [await services.ledger.cut_before_day(brand.book, each) for each in (begins, begins + _DAY)]
        wanted = msgspec.structs.replace(wanted, between=(begin.seq, end.seq + 1))
    if customer is not None:
        known = await customers.find(services, brand, CustomerRef(id=customer), now=True)
        if known is None:
            return [], None
        wanted = msgspec.structs.replace(wanted, customer=known.customer)
    return await services.ledger.find_redemptions(brand.book, wanted, before=before, limit=limit)
