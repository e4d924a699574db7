"""Erasures over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from litestar import Request, Response, delete, get
from litestar.params import FromPath, QueryParameter
from litestar.status_codes import HTTP_202_ACCEPTED

from service.api_reference.document import problems
from service.approvals.schemas import ApprovalResponse
from service.approvals.waiting import WAITS, accepted
from service.auth import looks
from service.auth.guards import requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.customer_pages.access import Headers, answered, open_page, require_page_of_the_brand
from service.erasure import actions, queries
from service.erasure.schemas import ErasureResponse
from service.http.identifiers import parse_erasure_id
from service.http.injection import Injected
from service.http.pagination import LIMIT_DEFAULT, AfterSeq, Limit, Page, page
from service.http.problems import not_found
from service.tokens.customer import CustomerTokenKind

if TYPE_CHECKING:
    from service.services import Services

ForfeitPoints = Annotated[
    bool, QueryParameter(description="Whether the customer gives up what they have, so that nobody waits for it to be used.")
]


@delete(
    "/v1/customers/{customer_id:str}",
    guards=[requires(Scope.CUSTOMERS_WRITE)],
    status_code=HTTP_202_ACCEPTED,
    tags=["customers"],
    responses=problems("not_found", "customer_erased", "points_held") | WAITS,
)
async def erase_customer(
    customer_id: FromPath[str],
    services: Injected[Services],
    principal: Injected[Principal],
    forfeit_points: ForfeitPoints = False,
) -> Response[ApprovalResponse]:
    """Ask for a customer to be erased. Another person approves it; see `GET /v1/erasures` for what comes of it."""
    return accepted(await actions.ask(services, principal, customer_id, forfeit_points=forfeit_points))


@get("/v1/erasures", guards=[requires(Scope.CUSTOMERS_READ)], tags=["customers"])
async def list_erasures(
    services: Injected[Services],
    principal: Injected[Principal],
    after: AfterSeq = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[ErasureResponse]:
    """List the brand's erasures, newest first."""
    found = await queries.list_erasures(services.engine, principal.brand.brand_id, before=after, limit=limit + 1)
    looks.see(*(each.customer for each in found[:limit]))
    listed = page(found, limit=limit, cursor=lambda erasure: erasure.erasure_no)
    return Page(items=[each.response() for each in listed.items], next=listed.next)


@get(
    "/v1/erasures/{erasure_id:str}",
    guards=[requires(Scope.CUSTOMERS_READ)],
    tags=["customers"],
    responses=problems("not_found"),
)
async def get_erasure(
    erasure_id: FromPath[str], services: Injected[Services], principal: Injected[Principal]
) -> ErasureResponse:
    """Get an erasure: when it is due, and what came of it."""
    number = parse_erasure_id(erasure_id)
    found = number and await queries.find_erasure(services.engine, principal.brand.brand_id, number)
    if not found:
        raise not_found("erasure")
    looks.see(found.customer)
    return found.response()


@delete("/preferences/{token:str}", status_code=HTTP_202_ACCEPTED, include_in_schema=False)
async def erase_oneself(
    token: FromPath[str],
    services: Injected[Services],
    request: Request[Any, Any, Any],
    forfeit_points: ForfeitPoints = False,
) -> Response[Any]:
    """Erase the customer whose page it is: the token is the customer's own."""

    async def show(headers: Headers, now: datetime) -> ErasureResponse:
        own = await open_page(services, token, CustomerTokenKind.PREFERENCES, headers, now=now)
        require_page_of_the_brand(headers, own)
        return (await actions.ask_oneself(services, own, forfeit_points=forfeit_points)).response()

    return await answered(request, show, as_json=True)


route_handlers: list[Any] = [erase_customer, erase_oneself, get_erasure, list_erasures]
