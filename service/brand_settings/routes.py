"""``/v1/brand``: the brand that an API key belongs to."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from litestar import get, patch, post, put
from litestar.datastructures import State
from litestar.di import NamedDependency
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
from service.http.pagination import LIMIT_DEFAULT, AfterNumber, Limit, Page, page
from service.http.problems import not_found


@get("/v1/brand", guards=[requires()], tags=["brand"])
async def get_brand(engine: NamedDependency[AsyncEngine], principal: NamedDependency[Principal], state: State) -> BrandResponse:
    """The brand, as it is now."""
    return await _shown(engine, principal, state)


@put("/v1/brand", guards=[requires(Scope.ADMIN)], tags=["brand"], responses=problems("point_value_changed"))
async def put_brand(
    data: JSONBody[BrandRequest],
    engine: NamedDependency[AsyncEngine],
    principal: NamedDependency[Principal],
    state: State,
) -> BrandResponse:
    """Change the brand as a whole; `PATCH` changes a part.

    Redemptions take a new value of points within a second, pages a new name or colour within five. Redemptions that exist keep
    the value they have. Links that are out keep the address they have: both have to lead here.
    """
    return await _change(data, engine, principal, state)


@patch("/v1/brand", guards=[requires(Scope.ADMIN)], tags=["brand"], responses=problems("point_value_changed"))
async def patch_brand(
    data: JSONBody[BrandPatch],
    engine: NamedDependency[AsyncEngine],
    principal: NamedDependency[Principal],
    state: State,
) -> BrandResponse:
    """Change a part of the brand: what is absent stays as it is, null clears what can be null (RFC 7396).

    Lists are replaced whole. What is sent is checked as `PUT` checks it, and either all of it is changed or nothing.
    """
    return await _change(data, engine, principal, state)


@get("/v1/brand/link-host", guards=[requires()], tags=["brand"], responses=problems("not_found"))
async def get_link_host(
    engine: NamedDependency[AsyncEngine], principal: NamedDependency[Principal], state: State
) -> LinkHostResponse:
    """The host that the brand claims for its links: the record that proves it, and whether it is in use."""
    return _host_shown(await _shown(engine, principal, state))


@post(
    "/v1/brand/link-host/verify",
    guards=[requires(Scope.ADMIN)],
    status_code=200,
    tags=["brand"],
    responses=problems("not_found", "link_host_taken"),
)
async def verify_link_host(
    engine: NamedDependency[AsyncEngine], principal: NamedDependency[Principal], state: State
) -> LinkHostResponse:
    """Look for the record now, at most once in five seconds, and use the host if it is there.

    `state` says whether it was found, and `last_error` what was wrong. Links that are out keep working where they are.
    """
    await link_hosts.verify(engine, state.resolver, principal, state.settings, now=datetime.now(UTC))
    _forget(state)
    return _host_shown(await _shown(engine, principal, state))


@get("/v1/brand/point-values", guards=[requires()], tags=["brand"])
async def list_point_values(
    engine: NamedDependency[AsyncEngine],
    principal: NamedDependency[Principal],
    after: AfterNumber = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[PointValueVersionResponse]:
    """What the brand's points were worth, newest first."""
    found = await actions.list_point_values(engine, principal.brand.brand_id, before=after, limit=limit + 1)
    return page(found, limit=limit, cursor=lambda value: value.version)


async def _change(data: BrandRequest | BrandPatch, engine: AsyncEngine, principal: Principal, state: State) -> BrandResponse:
    await actions.change_brand(engine, principal, data, state.settings)
    _forget(state)
    return await _shown(engine, principal, state)


def _forget(state: State) -> None:
    state.principals.forget()
    state.brands.forget()


async def _shown(engine: AsyncEngine, principal: Principal, state: State) -> BrandResponse:
    brand = await draw_brand(engine, principal.brand.brand_id)
    if brand is None:
        raise not_found("brand")
    held = await link_hosts.find_wanted(engine, brand.brand_id)
    return BrandResponse.of(brand, held, state.link_host.base_url_of(brand))


def _host_shown(brand: BrandResponse) -> LinkHostResponse:
    if brand.link_host is None:
        raise not_found("link host")
    return brand.link_host


route_handlers: list[Any] = [get_brand, put_brand, patch_brand, get_link_host, verify_link_host, list_point_values]
