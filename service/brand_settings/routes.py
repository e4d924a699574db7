"""``/v1/brand``: the brand that an API key belongs to."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from litestar import Response, get, patch, post, put
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncEngine

from service.api_reference.document import problems
from service.approvals.schemas import ApprovalResponse
from service.approvals.waiting import WAITS, always, within_limits
from service.auth.guards import requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.brand_settings import actions, approvals, link_hosts
from service.brand_settings.schemas import (
    BrandPatch,
    BrandRequest,
    BrandResponse,
    IssueLimitRequest,
    IssueLimitResponse,
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
    """Get the brand's current settings."""
    return await _shown(services.engine, principal, services)


@put("/v1/brand", guards=[requires(Scope.ADMIN)], tags=["brand"], responses=problems("point_value_changed") | WAITS)
async def put_brand(
    data: JSONBody[BrandRequest],
    services: Injected[Services],
    principal: Injected[Principal],
) -> Response[BrandResponse]:
    """Replace the brand's settings. To change only some of them, use `PATCH`.

    A new point value applies to redemptions within one second; a new name or colour appears on pages within five. Existing
    redemptions keep their value. A value that changes by more than the brand's limit waits for another person. Links already
    sent keep their address, so the old link host must keep pointing here.
    """
    return await _change(data, services.engine, principal, services)


@patch("/v1/brand", guards=[requires(Scope.ADMIN)], tags=["brand"], responses=problems("point_value_changed") | WAITS)
async def patch_brand(
    data: JSONBody[BrandPatch],
    services: Injected[Services],
    principal: Injected[Principal],
) -> Response[BrandResponse]:
    """Change some of the brand's settings (JSON merge patch, RFC 7396): absent fields stay, null clears.

    Lists are replaced whole. The result is validated as `PUT` validates it, and the change is applied entirely or not at
    all.
    """
    return await _change(data, services.engine, principal, services)


@get("/v1/brand/link-host", guards=[requires()], tags=["brand"], responses=problems("not_found"))
async def get_link_host(services: Injected[Services], principal: Injected[Principal]) -> LinkHostResponse:
    """Get the host the brand claims for its links: its state, and the DNS record that proves it."""
    return _host_shown(await _shown(services.engine, principal, services))


@post(
    "/v1/brand/link-host/verify",
    guards=[requires(Scope.ADMIN)],
    status_code=200,
    tags=["brand"],
    responses=problems("not_found", "link_host_taken"),
)
async def verify_link_host(services: Injected[Services], principal: Injected[Principal]) -> LinkHostResponse:
    """Look up the DNS record now, and use the host if it is there. At most one lookup every five seconds.

    `state` tells whether the record was found, and `last_error` what was wrong. Links already sent keep working.
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
    """List what the brand's points have been worth, newest first."""
    found = await actions.list_point_values(services.engine, principal.brand.brand_id, before=after, limit=limit + 1)
    return page(found, limit=limit, cursor=lambda value: value.version)


@get("/v1/brand/issue-limit", guards=[requires(Scope.LEDGER_READ, instead=Scope.ADMIN)], tags=["brand"])
async def get_issue_limit(services: Injected[Services], principal: Injected[Principal]) -> IssueLimitResponse:
    """Get how many points the brand may issue, and how many it has issued."""
    return IssueLimitResponse(*await services.ledger.issue_limit(principal.brand.book))


@put("/v1/brand/issue-limit", guards=[requires(Scope.ADMIN)], status_code=202, tags=["approvals"])
async def put_issue_limit(
    data: JSONBody[IssueLimitRequest], services: Injected[Services], principal: Injected[Principal]
) -> Response[ApprovalResponse]:
    """Ask for another limit of issue. This always waits for another person."""
    wanted = await approvals.wanted_issue_limit(services.ledger, principal, data.points)
    return await always(services, principal, wanted)


async def _change(
    data: BrandRequest | BrandPatch, engine: AsyncEngine, principal: Principal, services: Services
) -> Response[BrandResponse]:
    async def change() -> Response[BrandResponse]:
        # Read afresh: a value that began before the last one would change what closed months say.
        clock = await services.ledger.clock(principal.brand.book)
        await actions.change_brand(engine, principal, data, services.settings, clock.at(datetime.now(UTC)))
        _forget(services)
        return Response(await _shown(engine, principal, services))

    wanted = await approvals.wanted_value(engine, principal, data, services.settings)
    return await within_limits(services, principal, wanted, change)


def _forget(services: Services) -> None:
    services.principals.forget()
    services.brands.forget()


async def _shown(engine: AsyncEngine, principal: Principal, services: Services) -> BrandResponse:
    brand = await draw_brand(engine, principal.brand.brand_id)
    if brand is None:
        raise not_found("brand")
    held = await link_hosts.find_wanted(engine, brand.brand_id)
    return BrandResponse.of(brand, held, services.link_hosts.base_url_of(brand))


def _host_shown(brand: BrandResponse) -> LinkHostResponse:
    if brand.link_host is None:
        raise not_found("link host")
    return brand.link_host


route_handlers: list[Any] = [
    get_brand,
    put_brand,
    patch_brand,
    get_issue_limit,
    put_issue_limit,
    get_link_host,
    verify_link_host,
    list_point_values,
]
