"""``/v1/brand``: the brand that an API key belongs to."""

from __future__ import annotations

from typing import Any

from litestar import get, put
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncEngine

from service.auth.guards import requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.brand_settings import actions
from service.brand_settings.schemas import BrandRequest, BrandResponse, PointValueVersionResponse
from service.brands.queries import draw_brand
from service.openapi import problems
from service.pagination import LIMIT_DEFAULT, AfterNumber, Limit, Page, page
from service.problems import not_found


@get("/v1/brand", guards=[requires()], tags=["brand"])
async def get_brand(engine: NamedDependency[AsyncEngine], principal: NamedDependency[Principal]) -> BrandResponse:
    """The brand, as it is now."""
    return await _shown(engine, principal)


@put("/v1/brand", guards=[requires(Scope.ADMIN)], tags=["brand"], responses=problems("point_value_changed"))
async def put_brand(
    data: JSONBody[BrandRequest],
    engine: NamedDependency[AsyncEngine],
    principal: NamedDependency[Principal],
    state: State,
) -> BrandResponse:
    """Change the brand.

    Redemptions take a new value of points within a second, pages a new name or colour within five. Redemptions that exist keep
    the value they have. Links that are out keep the address they have: both have to lead here.
    """
    await actions.change_brand(engine, principal, data, state.settings)
    state.principals.forget()
    state.brands.forget()
    return await _shown(engine, principal)


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


async def _shown(engine: AsyncEngine, principal: Principal) -> BrandResponse:
    brand = await draw_brand(engine, principal.brand.brand_id)
    if brand is None:
        raise not_found("brand")
    return BrandResponse.of(brand)


route_handlers: list[Any] = [get_brand, put_brand, list_point_values]
