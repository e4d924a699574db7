"""Reading brands."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Row, select
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import Book
from service.brands.brand import Brand
from service.brands.tables import brand as brands
from service.ttl_cache import TtlCache

_TTL_S = 5.0


def brand_of_row(row: Row[Any]) -> Brand:
    """Make a brand of a row that has all columns of its table."""
    return Brand(
        brand_id=row.brand_id,
        book=Book(brand_id=row.brand_id, book_id=row.book_id),
        code=row.code,
        name=row.name,
        mode=row.mode,
        points_code=row.points_code,
        points_name=row.points_name,
        currency=row.currency,
        time_zone=row.time_zone,
        accent_color=row.accent_color,
        destination_hosts=tuple(row.destination_hosts),
    )


async def find_brand(engine: AsyncEngine, code: str) -> Brand | None:
    """Return the brand of this code."""
    return await _find(engine, brands.c.code == code)


async def find_brand_by_id(engine: AsyncEngine, brand_id: int) -> Brand | None:
    """Return the brand of this number."""
    return await _find(engine, brands.c.brand_id == brand_id)


async def list_brands(engine: AsyncEngine) -> list[Brand]:
    """Return all brands, in the order in which they were created."""
    async with engine.connect() as connection:
        return [brand_of_row(row) for row in await connection.execute(select(brands).order_by(brands.c.brand_id))]


async def _find(engine: AsyncEngine, condition: ColumnElement[bool]) -> Brand | None:
    async with engine.connect() as connection:
        row = (await connection.execute(select(brands).where(condition))).one_or_none()
    return None if row is None else brand_of_row(row)


class BrandDirectory:
    """Brands by code and by number, as they were at most 5 seconds ago: pages look one up for every click."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._by_code: TtlCache[str, Brand | None] = TtlCache(lambda code: find_brand(engine, code), ttl_s=_TTL_S)
        self._by_id: TtlCache[int, Brand | None] = TtlCache(lambda number: find_brand_by_id(engine, number), ttl_s=_TTL_S)

    async def by_code(self, code: str) -> Brand | None:
        """Return the brand of this code."""
        return await self._by_code.get(code)

    async def by_id(self, brand_id: int) -> Brand | None:
        """Return the brand of this number."""
        return await self._by_id.get(brand_id)
