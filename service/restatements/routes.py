"""Restatements over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from litestar import Response, get, post
from litestar.params import FromPath, JSONBody

from service.api_reference.document import problems
from service.approvals.schemas import ApprovalResponse
from service.approvals.waiting import always
from service.auth.guards import requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.estimates.queries import estimates_of_restatement
from service.http.injection import Injected
from service.http.pagination import LIMIT_DEFAULT, AfterNumber, Limit, Page, page
from service.restatements import actions
from service.restatements.queries import page_of_restatements
from service.restatements.schemas import RestatementResponse, RestateRequest

if TYPE_CHECKING:
    from service.services import Services


@post(
    "/v1/closes/{period:str}/restate",
    guards=[requires(Scope.EXPORTS_WRITE)],
    status_code=202,
    tags=["approvals"],
    responses=problems("not_found"),
)
async def restate_close(
    period: FromPath[str], data: JSONBody[RestateRequest], services: Injected[Services], principal: Injected[Principal]
) -> Response[ApprovalResponse]:
    """Ask to restate a closed period. This always waits for another person.

    A restatement changes point values, estimates or account codes from days of the period on, and never points. Once it is
    approved the period and all that were closed after it have a new version, which reports use from then on. Earlier
    versions say what they said.
    """
    return await always(services, principal, await actions.wanted_restatement(services, principal, period, data))


@get("/v1/restatements", guards=[requires(Scope.LEDGER_READ)], tags=["finance"])
async def list_restatements(
    services: Injected[Services],
    principal: Injected[Principal],
    after: AfterNumber = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[RestatementResponse]:
    """List the restatements of closed periods, oldest first."""
    brand_id = principal.brand.brand_id
    found = await page_of_restatements(services.engine, brand_id, after=after or 0, limit=limit + 1)
    listed = page(found, limit=limit, cursor=lambda restatement: restatement.restatement_no)
    numbers = await estimates_of_restatement(services.engine, brand_id, [each.restatement_no for each in listed.items])
    shown = [RestatementResponse.of(each, numbers.get(each.restatement_no, [])) for each in listed.items]
    return Page(items=shown, next=listed.next)


route_handlers: list[Any] = [restate_close, list_restatements]
