"""Changing a brand."""

from __future__ import annotations

from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger import PointValue
from service.auth.audit_trail import record
from service.auth.principal import Principal
from service.brand_settings.schemas import BrandRequest, PointValueVersionResponse
from service.brands.actions import is_host
from service.brands.brand import Brand
from service.brands.queries import read_brand
from service.brands.tables import brand as brands
from service.brands.tables import brand_point_value as point_values
from service.problems import Problem, invalid_field

_FIXED = ("code", "mode", "points_code", "currency", "time_zone")


async def change_brand(engine: AsyncEngine, principal: Principal, wanted: BrandRequest) -> Brand:
    """Make the brand as ``wanted`` says. The same again changes nothing; another value of points is a new version."""
    brand_id = principal.brand.brand_id
    async with engine.begin() as connection:
        # Two administrators at once take turns, so versions count up by one.
        await connection.execute(select(brands.c.brand_id).where(brands.c.brand_id == brand_id).with_for_update())
        brand = await read_brand(connection, brand_id)
        _check(brand, wanted)
        version = brand.point_value_version
        if wanted.point_value is not None:
            value = PointValue(wanted.point_value.points, wanted.point_value.minor_units)
            if value != brand.point_value:
                version = (version or 0) + 1
                await _insert_value(connection, brand_id, version, value, principal.api_key_id)
        await connection.execute(
            update(brands)
            .where(brands.c.brand_id == brand_id)
            .values(
                name=wanted.name,
                points_name=wanted.points_name,
                accent_color=wanted.accent_color,
                destination_hosts=wanted.destination_hosts,
                point_value_version=version,
            )
        )
        changed = await read_brand(connection, brand_id)
        if changed != brand:
            await record(connection, principal, "brand.change", changed.code, before=brand, after=changed)
        return changed


async def list_point_values(
    engine: AsyncEngine, brand_id: int, *, before: int | None, limit: int
) -> list[PointValueVersionResponse]:
    """What the brand's points were worth, newest first; ``before`` is the last version of the page before."""
    found = select(point_values.c.version, point_values.c.points, point_values.c.minor_units, point_values.c.valid_from).where(
        point_values.c.brand_id == brand_id
    )
    if before is not None:
        found = found.where(point_values.c.version < before)
    async with engine.connect() as connection:
        rows: Any = await connection.execute(found.order_by(point_values.c.version.desc()).limit(limit))
        return [PointValueVersionResponse(*row) for row in rows]


async def _insert_value(connection: AsyncConnection, brand_id: int, version: int, value: PointValue, created_by: int) -> None:
    await connection.execute(
        insert(point_values).values(
            brand_id=brand_id,
            version=version,
            points=value.points,
            minor_units=value.minor_units,
            created_by=created_by,
        )
    )


def _check(brand: Brand, wanted: BrandRequest) -> None:
    for field in _FIXED:
        sent, fixed = getattr(wanted, field), getattr(brand, field)
        if sent is not None and sent != fixed:
            raise invalid_field(f"/{field}", f"is {fixed} and fixed for ever")
    for field in ("name", "points_name"):
        if not getattr(wanted, field).isprintable():
            raise invalid_field(f"/{field}", "must be printable")
    for n, host in enumerate(wanted.destination_hosts):
        if not is_host(host):
            raise invalid_field(
                f"/destination_hosts/{n}", "must be a host name in lower case, with a port if need be, as in shop.example"
            )
    if wanted.point_value_version is not None and wanted.point_value_version != brand.point_value_version:
        raise Problem(
            "point_value_changed",
            f"The value of points is at version {brand.point_value_version or 0}, not {wanted.point_value_version}.",
        )
    if wanted.point_value is None and brand.point_value is not None:
        raise invalid_field("/point_value", "can be changed and not taken away")
