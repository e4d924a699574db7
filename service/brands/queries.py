"""Reading brands."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import ColumnElement, FromClause, Row, Select, and_, literal_column, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger import Book, PointValue
from service.brands.brand import AppLinks, Brand, Goal
from service.brands.calendars import learn
from service.brands.tables import brand as brands
from service.brands.tables import brand_logo as logos
from service.brands.tables import brand_point_value as point_values
from service.brands.tables import link_host as link_hosts
from service.concurrency.ttl_cache import TtlCache

_TTL_S = 5.0


brands_with_value = brands.outerjoin(
    point_values,
    and_(point_values.c.brand_id == brands.c.brand_id, point_values.c.version == brands.c.point_value_version),
).outerjoin(link_hosts, and_(link_hosts.c.brand_id == brands.c.brand_id, link_hosts.c.state == literal_column("'verified'")))
"""What a brand is read from."""

brand_columns = (
    brands,
    point_values.c.points.label("value_points"),
    point_values.c.minor_units.label("value_minor_units"),
    link_hosts.c.base_url.label("proven_link_base_url"),
)
"""What `brand_of_row` needs."""


def brand_of_row(row: Row[Any]) -> Brand:
    """Make a brand of a row of `brand_columns`."""
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
        point_value=None if row.value_points is None else PointValue(row.value_points, row.value_minor_units),
        point_value_version=row.point_value_version,
        consent_no=row.consent_no,
        language=row.language,
        logo=row.logo,
        home_url=row.home_url,
        link_base_url=row.proven_link_base_url,
        app_links=msgspec.convert(row.app_links, AppLinks),
        goals=msgspec.convert(row.goals, tuple[Goal, ...]),
        late_capture_grace_s=row.late_capture_grace_s,
        picture=getattr(row, "picture", None),
        logo_dark=row.logo_dark,
        dark_picture=getattr(row, "dark_picture", None),
        banner=row.banner,
        banner_picture=getattr(row, "banner_picture", None),
        font=row.font,
        corner_radius=row.corner_radius,
    )


async def find_brand(engine: AsyncEngine, code: str) -> Brand | None:
    """Return the brand of this code."""
    return await _find(engine, brands.c.code == code)


async def find_brand_by_id(engine: AsyncEngine, brand_id: int) -> Brand | None:
    """Return the brand of this number."""
    return await _find(engine, brands.c.brand_id == brand_id)


async def brand_now(engine: AsyncEngine, brand: Brand) -> Brand:
    """The brand read past the cache, before a refusal: another process may have changed it."""
    return await find_brand_by_id(engine, brand.brand_id) or brand


async def list_brands(engine: AsyncEngine) -> list[Brand]:
    """Return all brands, in the order in which they were created."""
    async with engine.connect() as connection:
        found = [brand_of_row(row) for row in await connection.execute(_select().order_by(brands.c.brand_id))]
        for brand in found:
            await learn(connection, brand.time_zone)
        return found


async def read_brand(connection: AsyncConnection, brand_id: int) -> Brand:
    """Return the brand of this number as a transaction sees it; it must exist."""
    brand = brand_of_row((await connection.execute(_select().where(brands.c.brand_id == brand_id))).one())
    await learn(connection, brand.time_zone)
    return brand


async def draw_brand(engine: AsyncEngine, brand_id: int) -> Brand | None:
    """Return the brand of this number with its pictures."""
    return await _find(engine, brands.c.brand_id == brand_id, drawn=True)


def _select(*, drawn: bool = False) -> Select[Any]:
    if not drawn:
        return select(*brand_columns).select_from(brands_with_value)
    drawn_from: FromClause = brands_with_value
    pictures: list[ColumnElement[bytes]] = []
    for column, picture in ("logo", "picture"), ("logo_dark", "dark_picture"), ("banner", "banner_picture"):
        shown = logos.alias(picture)
        is_its_own = and_(shown.c.brand_id == brands.c.brand_id, shown.c.logo == brands.c[column])
        drawn_from = drawn_from.outerjoin(shown, is_its_own)
        pictures.append(shown.c.picture.label(picture))
    return select(*brand_columns, *pictures).select_from(drawn_from)


async def _find(engine: AsyncEngine, condition: ColumnElement[bool], *, drawn: bool = False) -> Brand | None:
    async with engine.connect() as connection:
        row = (await connection.execute(_select(drawn=drawn).where(condition))).one_or_none()
        if row is None:
            return None
        await learn(connection, row.time_zone)
    return brand_of_row(row)


class BrandDirectory:
    """Brands with their pictures, as they were at most 5 seconds ago: pages look one up for every click."""

    def __init__(self, engine: AsyncEngine) -> None:
        async def by_code(code: str) -> Brand | None:
            return await _find(engine, brands.c.code == code, drawn=True)

        async def by_id(brand_id: int) -> Brand | None:
            return await draw_brand(engine, brand_id)

        async def by_link_host(host: str) -> Brand | None:
            return await _find(engine, link_hosts.c.host == host)

        self._by_link_host: TtlCache[str, Brand | None] = TtlCache(by_link_host, ttl_s=_TTL_S)
        self._by_code: TtlCache[str, Brand | None] = TtlCache(by_code, ttl_s=_TTL_S)
        self._by_id: TtlCache[int, Brand | None] = TtlCache(by_id, ttl_s=_TTL_S)

    async def by_link_host(self, host: str) -> Brand | None:
        """Return the brand whose own link host this is."""
        return await self._by_link_host.get(host)

    async def by_code(self, code: str) -> Brand | None:
        """Return the brand of this code."""
        return await self._by_code.get(code)

    async def by_id(self, brand_id: int) -> Brand | None:
        """Return the brand of this number."""
        return await self._by_id.get(brand_id)

    def forget(self) -> None:
        """Ask again for every brand: one was changed in this process."""
        self._by_code.clear()
        self._by_link_host.clear()
        self._by_id.clear()
