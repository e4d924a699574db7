"""Changing a brand."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
from sqlalchemy import insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger import PointValue
from service.auth.audit_trail import record
from service.auth.principal import Principal
from service.brand_settings.schemas import BrandRequest, PointValueVersionResponse
from service.brands import logos
from service.brands.brand import Brand
from service.brands.destinations import DestinationRefused, normal_entry, normal_form, normal_origin
from service.brands.queries import read_brand
from service.brands.tables import brand as brands
from service.brands.tables import brand_logo
from service.brands.tables import brand_point_value as point_values
from service.hosts import host_of, is_address, is_loopback, is_same_place, name_and_port
from service.problems import Problem, invalid_field
from service.settings import Settings

_FIXED = ("code", "mode", "points_code", "currency", "time_zone")


async def change_brand(engine: AsyncEngine, principal: Principal, wanted: BrandRequest, settings: Settings) -> Brand:
    """Make the brand as ``wanted`` says. The same again changes nothing; another value of points is a new version.

    ``settings`` say which hosts are the service's, where every brand's links may begin, so that no brand takes one for its own.
    """
    brand_id = principal.brand.brand_id
    async with engine.begin() as connection:
        # Two administrators at once take turns, so versions count up by one.
        await connection.execute(select(brands.c.brand_id).where(brands.c.brand_id == brand_id).with_for_update())
        brand = await read_brand(connection, brand_id)
        _check(brand, wanted)
        looks = await _looks(connection, brand, wanted, settings)
        version = brand.point_value_version
        if wanted.point_value is not None:
            value = PointValue(wanted.point_value.points, wanted.point_value.minor_units)
            if value != brand.point_value:
                version = (version or 0) + 1
                await _insert_value(connection, brand_id, version, value, principal.api_key_id)
        change = (
            update(brands)
            .where(brands.c.brand_id == brand_id)
            .values(
                name=wanted.name,
                points_name=wanted.points_name,
                accent_color=wanted.accent_color,
                destination_hosts=[normal_entry(host) for host in wanted.destination_hosts],
                point_value_version=version,
                **looks,
            )
        )
        try:
            await connection.execute(change)
        except IntegrityError as error:
            if "brand_link_base_url_is_unique" not in str(error):
                raise
            raise invalid_field("/link_base_url", "is another brand's") from None
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


async def _looks(connection: AsyncConnection, brand: Brand, wanted: BrandRequest, settings: Settings) -> dict[str, Any]:
    """The columns of what may be absent, each as it shall be. A new logo is stored."""
    as_it_is = {
        "language": brand.language,
        "logo": brand.logo,
        "home_url": brand.home_url,
        "link_base_url": brand.link_base_url,
        "app_links": msgspec.to_builtins(brand.app_links),
        "goals": msgspec.to_builtins(brand.goals),
    }
    sent = {name: value for name in as_it_is if (value := getattr(wanted, name)) is not msgspec.UNSET}
    looks = as_it_is | msgspec.to_builtins(sent)
    test = brand.mode == "test"
    try:
        if (home := looks["home_url"]) is not None:
            looks["home_url"] = normal_form(home, allowed_hosts=wanted.destination_hosts, loopback_allowed=test)
    except DestinationRefused as refused:
        raise invalid_field("/home_url", str(refused)) from None
    try:
        if (base := looks["link_base_url"]) is not None:
            looks["link_base_url"] = normal_origin(base, loopback_allowed=test)
            _check_link_host(host_of(looks["link_base_url"]), settings, loopback_allowed=test)
    except DestinationRefused as refused:
        raise invalid_field("/link_base_url", str(refused)) from None
    if sent.get("logo") is not None:
        looks["logo"] = await _store_logo(connection, brand.brand_id, looks["logo"])
    return looks


async def _store_logo(connection: AsyncConnection, brand_id: int, text: str) -> str:
    """Check and keep a logo; return its name."""
    try:
        picture = base64.b64decode(text, validate=True)
    except ValueError:
        raise invalid_field("/logo", "must be base64") from None
    if wrong := logos.check(picture):
        raise invalid_field("/logo", wrong)
    name = logos.name_of(picture)
    await connection.execute(upsert(brand_logo).values(brand_id=brand_id, logo=name, picture=picture).on_conflict_do_nothing())
    return name


def _check_link_host(host: str, settings: Settings, *, loopback_allowed: bool) -> None:
    """Refuse a host that no brand can have: the service's own, and addresses, which nobody can prove to be theirs."""
    name, _ = name_and_port(host)
    if is_same_place(host, settings.own_hosts):
        raise DestinationRefused("is the address of this service, which null stands for")
    if is_loopback(name):
        if not (loopback_allowed and settings.serves_this_machine_alone):
            raise DestinationRefused("leads to the customer's own machine")
    elif is_address(name) or "." not in name:
        raise DestinationRefused("must have a host name with a dot, as in r.shop.example")


def _check(brand: Brand, wanted: BrandRequest) -> None:
    for field in _FIXED:
        sent, fixed = getattr(wanted, field), getattr(brand, field)
        if sent is not None and sent != fixed:
            raise invalid_field(f"/{field}", f"is {fixed} and fixed for ever")
    for field in ("name", "points_name"):
        if not getattr(wanted, field).isprintable():
            raise invalid_field(f"/{field}", "must be printable")
    for n, goal in enumerate(wanted.goals or ()):
        if not goal.name.isprintable():
            raise invalid_field(f"/goals/{n}/name", "must be printable")
    for n, host in enumerate(wanted.destination_hosts):
        try:
            normal_entry(host)
        except DestinationRefused:
            raise invalid_field(
                f"/destination_hosts/{n}", "must be a host name, with a port if need be, as in shop.example"
            ) from None
    if wanted.point_value_version is not None and wanted.point_value_version != brand.point_value_version:
        raise Problem(
            "point_value_changed",
            f"The value of points is at version {brand.point_value_version or 0}, not {wanted.point_value_version}.",
        )
    if wanted.point_value is None and brand.point_value is not None:
        raise invalid_field("/point_value", "can be changed and not taken away")
