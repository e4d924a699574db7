"""Estimates over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from litestar import get, post
from litestar.params import JSONBody

from service.auth.guards import requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.estimates import actions
from service.estimates.queries import list_estimates as queried
from service.estimates.schemas import EstimateRequest, EstimateResponse
from service.http.injection import Injected
from service.http.pagination import LIMIT_DEFAULT, AfterNumber, Limit, Page, page

if TYPE_CHECKING:
    from service.services import Services


@post("/v1/estimates", guards=[requires(Scope.EXPORTS_WRITE)], tags=["finance"])
async def create_estimate(
    data: JSONBody[EstimateRequest], services: Injected[Services], principal: Injected[Principal]
) -> EstimateResponse:
    """Record an estimate for reports. Estimates are never changed or removed; a later one takes the place of an earlier one."""
    return EstimateResponse.of(await actions.create_estimate(services, principal, data))


@get("/v1/estimates", guards=[requires(Scope.LEDGER_READ)], tags=["finance"])
async def list_estimates(
    services: Injected[Services],
    principal: Injected[Principal],
    after: AfterNumber = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[EstimateResponse]:
    """List the brand's estimates, newest first, with their methods and inputs."""
    found = await queried(services.engine, principal.brand.brand_id, before=after, limit=limit + 1)
    return page([EstimateResponse.of(each) for each in found], limit=limit, cursor=lambda each: each.estimate)


route_handlers: list[Any] = [create_estimate, list_estimates]
