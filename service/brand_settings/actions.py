"""Changing a brand."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable, Generator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger import PointValue
from service.approvals.actions import claim
from service.auth.audit_trail import record
from service.auth.principal import Principal
from service.brand_settings import link_hosts
from service.brand_settings.schemas import (
    AppLinksPatch,
    AppLinksRequest,
    BrandPatch,
    BrandRequest,
    PointValuePatch,
    PointValueRequest,
    PointValueVersionResponse,
)
from service.brands import logos
from service.brands.brand import Brand
from service.brands.destinations import DestinationRefused, normal_entry, normal_form, normal_origin
from service.brands.queries import read_brand
from service.brands.tables import brand as brands
from service.brands.tables import brand_logo
from service.brands.tables import brand_point_value as point_values
from service.egress.hosts import host_of
from service.http.problems import FieldError, Problem, invalid_field, invalid_fields
from service.settings import Settings

_PICTURES: Mapping[str, Callable[[bytes], str | None]] = {
    "logo": logos.check,
    "logo_dark": logos.check,
    "banner": logos.check_banner,
}
_KEPT_WHEN_ABSENT = ("language", "app_links", "goals", "late_capture_grace_s", "font", "corner_radius", *_PICTURES)
_FIXED = ("code", "mode", "points_code", "currency", "time_zone")


class Changes(msgspec.Struct, frozen=True):
    """What a request changes: the value of points, if at all, and whether anything else."""

    value: PointValue | None
    changes_more: bool


def changes_of(brand: Brand, wanted: BrandRequest | BrandPatch, settings: Settings) -> Changes:
    """What ``wanted`` changes of ``brand``. Raises one problem with all that is wrong."""
    whole = wanted if isinstance(wanted, BrandRequest) else completed(wanted, brand)
    columns, link_base_url, _ = _check(brand, whole, settings)
    sent = None if whole.point_value is None else PointValue(whole.point_value.points, whole.point_value.minor_units)
    is_other_url = link_base_url not in {msgspec.UNSET, brand.link_base_url}
    is_other = any(msgspec.json.encode(value) != msgspec.json.encode(getattr(brand, name)) for name, value in columns.items())
    return Changes(None if sent == brand.point_value else sent, is_other_url or is_other)


def drafted(brand: Brand, patch: BrandPatch, settings: Settings) -> Brand:
    """The brand, with its pictures, as ``patch`` would make it, unstored. Raises one problem with all that is wrong."""
    whole = completed(patch, brand)
    columns, _, sent = _check(brand, whole, settings)
    there = dict(zip(brand.picture_names, (brand.picture, brand.dark_picture, brand.banner_picture), strict=True)) | sent
    draft = msgspec.convert(msgspec.to_builtins(brand, builtin_types=(bytes,)) | columns, Brand)
    value = whole.point_value
    return msgspec.structs.replace(
        draft,
        picture=there.get(draft.logo),
        dark_picture=there.get(draft.logo_dark),
        banner_picture=there.get(draft.banner),
        point_value=None if value is None else PointValue(value.points, value.minor_units),
    )


async def change_brand(
    engine: AsyncEngine,
    principal: Principal,
    wanted: BrandRequest | BrandPatch,
    settings: Settings,
    now: datetime,
    *,
    approval_no: int | None = None,
) -> None:
    """Make the brand as ``wanted`` says, whole or in part. The same again changes nothing; a new value of points is a version,
    from ``now`` on by the brand's clock.

    ``settings`` say which hosts are the service's, where every brand's links may begin, so that no brand takes one for its own.
    With ``approval_no`` it is done once, for that approval.
    """
    brand_id = principal.brand.brand_id
    async with engine.begin() as connection:
        # Two administrators at once take turns, so versions count up by one.
        # FOR NO KEY UPDATE: a concurrent check of a link host refers to the brand's key.
        turn = select(brands.c.brand_id).where(brands.c.brand_id == brand_id).with_for_update(key_share=True)
        await connection.execute(turn)
        if approval_no is not None and not await claim(connection, approval_no):
            return
        brand = await read_brand(connection, brand_id)
        whole = wanted if isinstance(wanted, BrandRequest) else completed(wanted, brand)
        columns, link_base_url, pictures = _check(brand, whole, settings)
        for name, picture in pictures.items():
            stored = upsert(brand_logo).values(brand_id=brand_id, logo=name, picture=picture)
            await connection.execute(stored.on_conflict_do_nothing())
        version = brand.point_value_version
        if whole.point_value is not None:
            value = PointValue(whole.point_value.points, whole.point_value.minor_units)
            if value != brand.point_value:
                version = (version or 0) + 1
                await _insert_value(connection, brand_id, version, value, now, principal.api_key_id)
        change = update(brands).where(brands.c.brand_id == brand_id)
        await connection.execute(change.values(point_value_version=version, **columns))
        if link_base_url is not msgspec.UNSET:
            await link_hosts.claim(connection, principal, link_base_url)
        changed = await read_brand(connection, brand_id)
        if msgspec.structs.replace(changed, link_base_url=brand.link_base_url) != brand:
            await record(connection, principal, "brand.change", changed.code, before=brand, after=changed)


def completed(patch: BrandPatch, brand: Brand) -> BrandRequest:
    """The whole that a part stands for: what is absent of it is as it is now, and what is sent is sent."""
    sent = {name: value for name in patch.__struct_fields__ if (value := getattr(patch, name)) is not msgspec.UNSET}
    value = brand.point_value
    if isinstance(patch.point_value, PointValuePatch):
        now = {} if value is None else {"points": value.points, "minor_units": value.minor_units}
        terms = now | msgspec.to_builtins(patch.point_value)
        if missing := [name for name in ("points", "minor_units") if name not in terms]:
            raise invalid_field(f"/point_value/{missing[0]}", "is required while the brand has no value of points")
        sent["point_value"] = PointValueRequest(**terms)
    if isinstance(patch.app_links, AppLinksPatch):
        apps = msgspec.to_builtins(brand.app_links) | msgspec.to_builtins(patch.app_links)
        sent["app_links"] = msgspec.convert(apps, AppLinksRequest)
    as_it_is: dict[str, Any] = {
        "name": brand.name,
        "points_name": brand.points_name,
        "accent_color": brand.accent_color,
        "destination_hosts": list(brand.destination_hosts),
        "point_value": None if value is None else PointValueRequest(points=value.points, minor_units=value.minor_units),
    }
    return BrandRequest(**as_it_is | sent)


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


async def _insert_value(
    connection: AsyncConnection, brand_id: int, version: int, value: PointValue, valid_from: datetime, created_by: int
) -> None:
    await connection.execute(
        insert(point_values).values(
            brand_id=brand_id,
            version=version,
            points=value.points,
            minor_units=value.minor_units,
            valid_from=valid_from,
            created_by=created_by,
        )
    )


Wrong = list[FieldError]


def _check(
    brand: Brand, wanted: BrandRequest, settings: Settings
) -> tuple[dict[str, Any], str | msgspec.UnsetType | None, dict[str, bytes]]:
    """The columns as they shall be, what links begin with, new pictures. Raises one ``Problem`` with all that is wrong."""
    if _is_of_another_version(brand, wanted):
        raise Problem(
            "point_value_changed",
            f"The value of points is at version {brand.point_value_version or 0}, not {wanted.point_value_version}.",
        )
    wrong: Wrong = []
    is_test = brand.mode == "test"
    _check_texts(brand, wanted, wrong)
    hosts = _checked_hosts(wanted.destination_hosts, wrong)
    columns: dict[str, Any] = {
        "name": wanted.name,
        "points_name": wanted.points_name,
        "accent_color": wanted.accent_color,
        "destination_hosts": hosts,
        "home_url": brand.home_url if wanted.home_url is msgspec.UNSET else wanted.home_url,
    }
    for name in _KEPT_WHEN_ABSENT:
        if (sent := getattr(wanted, name)) is not msgspec.UNSET:
            columns[name] = msgspec.to_builtins(sent)
    if columns["home_url"] is not None:
        with _refusals_of("home_url", wrong):
            columns["home_url"] = normal_form(columns["home_url"], allowed_hosts=hosts, loopback_allowed=is_test)
    link_base_url = wanted.link_base_url
    if isinstance(link_base_url, str):
        with _refusals_of("link_base_url", wrong):
            link_base_url = normal_origin(link_base_url, loopback_allowed=is_test)
            if why := link_hosts.check_claim(host_of(link_base_url), settings, is_test=is_test):
                raise DestinationRefused(why)
    pictures: dict[str, bytes] = {}
    for field, check in _PICTURES.items():
        if isinstance(sent := getattr(wanted, field), str):
            with _refusals_of(field, wrong):
                picture = _picture(sent, check)
                columns[field] = logos.name_of(picture)
                pictures[columns[field]] = picture
    if wrong:
        raise invalid_fields(wrong)
    return columns, link_base_url, pictures


def _is_of_another_version(brand: Brand, wanted: BrandRequest) -> bool:
    """Whether the value of points has been changed since it was read, other than by the same request before."""
    read, value = wanted.point_value_version, wanted.point_value
    if read is None or read == brand.point_value_version:
        return False
    was_made = value is not None and PointValue(value.points, value.minor_units) == brand.point_value
    return not (was_made and brand.point_value_version == read + 1)


def _check_texts(brand: Brand, wanted: BrandRequest, wrong: Wrong) -> None:
    for field in _FIXED:
        sent, fixed = getattr(wanted, field), getattr(brand, field)
        if sent is not None and sent != fixed:
            wrong.append(FieldError(f"/{field}", "invalid_field", f"is {fixed} and cannot change"))
    texts = {"/name": wanted.name, "/points_name": wanted.points_name}
    texts |= {f"/goals/{n}/name": goal.name for n, goal in enumerate(wanted.goals or ())}
    wrong += [
        FieldError(pointer, "invalid_field", "must be printable") for pointer, text in texts.items() if not text.isprintable()
    ]
    if wanted.point_value is None and brand.point_value is not None:
        wrong.append(FieldError("/point_value", "invalid_field", "can be changed but not removed"))


def _checked_hosts(hosts: Sequence[str], wrong: Wrong) -> list[str]:
    normal: list[str] = []
    for n, host in enumerate(hosts):
        with _refusals_of(f"destination_hosts/{n}", wrong):
            normal.append(normal_entry(host))
    return normal


def _picture(text: str, check: Callable[[bytes], str | None]) -> bytes:
    try:
        picture = base64.b64decode(text, validate=True)
    except ValueError:
        raise DestinationRefused("must be base64") from None
    if why := check(picture):
        raise DestinationRefused(why)
    return picture


@contextlib.contextmanager
def _refusals_of(field: str, wrong: Wrong) -> Generator[None]:
    """Note why a field is refused, and go on to the next."""
    try:
        yield
    except DestinationRefused as refused:
        wrong.append(FieldError(f"/{field}", "invalid_field", str(refused)))
