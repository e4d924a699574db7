"""``/v1/brand``: the brand that an API key belongs to."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from litestar import get, patch, post, put
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncEngine

from service.api_reference.document import problems
from service.auth.guards import requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.brand_settings import actions, link_hosts
from service.brand_settings.schemas import (
    BrandPatch,
    BrandRequest,
    BrandResponse,
    LinkHostResponse,
    PointValueVersionResponse,
)
from service.brands.queries import draw_brand
from service.http.injection import Injected
from service.http.pagination import LIMIT_DEFAULT, AfterNumber, Limit, Page, page
from service.http.problems import not_found

if TYPE_CHECKING:
    from service.services import Services


@get("/v1/brand", guards=[requires()], tags=["brand"])
async def get_brand(services: Injected[Services], principal: Injected[Principal]) -> BrandResponse:
    """The brand, as it is now."""
    return await _shown(services.engine, principal, services)


@put("/v1/brand", guards=[requires(Scope.ADMIN)], tags=["brand"], responses=problems("point_value_changed"))
async def put_brand(
    data: JSONBody[BrandRequest],
    services: Injected[Services],
    principal: Injected[Principal],
) -> BrandResponse:
    """Change the brand as a whole; `PATCH` changes a part.

    Redemptions take a new value of points within a second, pages a new name or colour within five. Redemptions that exist keep
    the value they have. Links that are out keep the address they have: both have to lead here.
    """
    return await _change(data, services.engine, principal, services)


@patch("/v1/brand", guards=[requires(Scope.ADMIN)], tags=["brand"], responses=problems("point_value_changed"))
async def patch_brand(
    data: JSONBody[BrandPatch],
    services: Injected[Services],
    principal: Injected[Principal],
) -> BrandResponse:
    """Change a part of the brand: what is absent stays as it is, null clears what can be null (RFC 7396).

    Lists are replaced whole. What is sent is checked as `PUT` checks it, and either all of it is changed or nothing.
    """
    return await _change(data, services.engine, principal, services)


@get("/v1/brand/link-host", guards=[requires()], tags=["brand"], responses=problems("not_found"))
async def get_link_host(services: Injected[Services], principal: Injected[Principal]) -> LinkHostResponse:
    """The host that the brand claims for its links: the record that proves it, and whether it is in use."""
    return _host_shown(await _shown(services.engine, principal, services))


@post(
    "/v1/brand/link-host/verify",
    guards=[requires(Scope.ADMIN)],
    status_code=200,
    tags=["brand"],
    responses=problems("not_found", "link_host_taken"),
)
async def verify_link_host(services: Injected[Services], principal: Injected[Principal]) -> LinkHostResponse:
    """Look for the record now, at most once in five seconds, and use the host if it is there.

    `state` says whether it was found, and `last_error` what was wrong. Links that are out keep working where they are.
    """
    await link_hosts.verify(services.engine, services.resolver, principal, services.settings, now=datetime.now(UTC))
    _forget(services)
    return _host_shown(await _shown(services.engine, principal, services))


@get("/v1/brand/point-values", guards=[requires()], tags=["brand"])
async def list_point_values(
    services: Injected[Services],
    principal: Injected[Principal],
    after: AfterNumber = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[PointValueVersionResponse]:
    """What the brand's points were worth, newest first."""
    found = await actions.list_point_values(services.engine, principal.brand.brand_id, before=after, limit=limit + 1)
    return page(found, limit=limit, cursor=lambda value: value.version)


async def _change(
    data: BrandRequest | BrandPatch, engine: AsyncEngine, principal: Principal, services: Services
) -> BrandResponse:
    await actions.change_brand(engine, principal, data, services.settings)
    _forget(services)
    return await _shown(engine, principal, services)


def _forget(services: Services) -> None:
    services.principals.forget()
    services.brands.forget()


async def _shown(engine: AsyncEngine, principal: Principal, services: Services) -> BrandResponse:
    brand = await draw_brand(engine, principal.brand.brand_id)
    if brand is None:
        raise not_found("brand")
    held = await link_hosts.find_wanted(engine, brand.brand_id)
    return BrandResponse.of(brand, held, services.link_host.base_url_of(brand))


def _host_shown(brand: BrandResponse) -> LinkHostResponse:
    if brand.link_host is None:
        raise not_found("link host")
    return brand.link_host


route_handlers: list[Any] = [get_brand, put_brand, patch_brand, get_link_host, verify_link_host, list_point_values]
