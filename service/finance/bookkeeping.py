"""How a brand's journals are kept: read from its settings as they were at a cut, so that a journal made again is the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import Cut, PointValue
from service.brands.brand import Brand
from service.brands.tables import brand_point_value as point_values
from service.campaigns.queries import first_names
from service.exports.account_codes import NO_CODES, AccountCodes
from service.exports.bookkeeping import Bookkeeping, ValueFrom, ValueVersion
from service.restatements.overlay import codes_with, values_by_day
from service.restatements.queries import Restatement, list_restatements


async def read_bookkeeping(
    engine: AsyncEngine,
    brand: Brand,
    cut: Cut,
    *,
    sub_accounts: bool = False,
    codes: AccountCodes = NO_CODES,
    restated: int = 0,
) -> Bookkeeping:
    """What the journals of ``brand``'s book at ``cut`` need, with restatements up to number ``restated``; see `Bookkeeping`."""
    restatements = await list_restatements(engine, brand.brand_id, up_to=restated)
    return Bookkeeping(
        currency=brand.currency,
        values=await _values(engine, brand, cut, restatements),
        campaign_names=await first_names(engine, brand.brand_id),
        versions=await _versions(engine, brand, cut),
        sub_accounts=sub_accounts,
        codes=codes_with(codes, restatements),
        restated=restated,
    )


async def _values(engine: AsyncEngine, brand: Brand, cut: Cut, restatements: Sequence[Restatement]) -> tuple[ValueFrom, ...]:
    if brand.currency == brand.points_code:  # then nothing says which of the two is meant
        return ()
    made = (
        select(point_values.c.points, point_values.c.minor_units, point_values.c.valid_from)
        .where(point_values.c.brand_id == brand.brand_id, point_values.c.valid_from <= cut.posted_at)
        .order_by(point_values.c.version)
    )
    async with engine.connect() as connection:
        rows: Any = await connection.execute(made)
        # The last of a day is the day's.
        days = {brand.calendar.day(valid_from): PointValue(points, minor_units) for points, minor_units, valid_from in rows}
    return tuple(ValueFrom(day, value) for day, value in values_by_day(days, restatements).items())


async def _versions(engine: AsyncEngine, brand: Brand, cut: Cut) -> tuple[ValueVersion, ...]:
    made = (
        select(point_values)
        .where(point_values.c.brand_id == brand.brand_id, point_values.c.valid_from <= cut.posted_at)
        .order_by(point_values.c.version)
    )
    async with engine.connect() as connection:
        rows: Any = await connection.execute(made)
        return tuple(ValueVersion(row.version, row.valid_from, PointValue(row.points, row.minor_units)) for row in rows)
