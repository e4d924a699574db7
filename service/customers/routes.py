"""Customers over HTTP: their names, balances and statements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from litestar import Request, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from service.admission.limits import BATCH_BYTES_MAX
from service.api_reference.document import problems
from service.auth.guards import count_items, requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.customers import actions, balances
from service.customers.schemas import (
    BalanceRequest,
    BalanceResponse,
    CustomerWithPoints,
    LookupBatch,
    LookupResult,
    StatementEntry,
    StatementRequest,
    lookup_result,
)
from service.http.batch_results import Results, results_of
from service.http.injection import Injected
from service.http.pagination import LIMIT_DEFAULT, AfterSeq, Limit, Page

if TYPE_CHECKING:
    from service.services import Services

_READ = [requires(Scope.CUSTOMERS_READ)]


@post(
    "/v1/customers/lookup",
    guards=_READ,
    status_code=200,
    request_max_body_size=BATCH_BYTES_MAX,
    tags=["customers"],
)
async def look_up_customers(
    data: JSONBody[LookupBatch],
    principal: Injected[Principal],
    services: Injected[Services],
    request: Request[Any, Any, Any],
) -> Results[LookupResult]:
    """Look up customers by any of their names: what is known of them and what they can spend. Creates no customer."""
    await count_items(request, principal, len(data))
    answers = await actions.look_up(services, principal.brand, await data.items())
    return results_of(answers, lookup_result, request_id=request.scope["state"]["request_id"])


@post("/v1/customers/balance", guards=_READ, status_code=200, tags=["customers"], responses=problems("not_found"))
async def get_balance_by_name(
    data: JSONBody[BalanceRequest], principal: Injected[Principal], services: Injected[Services]
) -> BalanceResponse:
    """Get the balance of a customer known only by email, phone or device. The name stays out of the URL."""
    return await balances.balance_of(services, principal.brand, data)


@post("/v1/customers/statement", guards=_READ, status_code=200, tags=["customers"], responses=problems("not_found"))
async def get_statement_by_name(
    data: JSONBody[StatementRequest], principal: Injected[Principal], services: Injected[Services]
) -> Page[StatementEntry]:
    """Get the statement of a customer known only by email, phone or device, newest first."""
    return await balances.statement_of(services, principal.brand, data)


ExpiresBy = Annotated[
    str | None, QueryParameter(description="A day: customers alone who lose points by its end, if they do not spend them.")
]


@get("/v1/customers", guards=_READ, tags=["customers"])
async def list_customers(
    principal: Injected[Principal],
    services: Injected[Services],
    expires_by: ExpiresBy = None,
    after: AfterSeq = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[CustomerWithPoints]:
    """List customers who can spend points, by our number; with `expires_by`, those who lose some soon.

    A page may hold fewer than `limit` items, or none, and still have a `next`: follow it until it is null.
    """
    return await balances.with_points(services, principal.brand, expires_by=expires_by, after=after, limit=limit)


@get("/v1/customers/{customer_id:str}/balance", guards=_READ, tags=["customers"], responses=problems("not_found"))
async def get_balance(
    customer_id: FromPath[str], principal: Injected[Principal], services: Injected[Services]
) -> BalanceResponse:
    """Get what a customer can spend, by expiry day. A customer nobody has reported has 0 and `known` false."""
    return await balances.balance(services, principal.brand, customer_id)


@get("/v1/customers/{customer_id:str}/statement", guards=_READ, tags=["customers"], responses=problems("not_found"))
async def get_statement(
    customer_id: FromPath[str],
    principal: Injected[Principal],
    services: Injected[Services],
    after: AfterSeq = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[StatementEntry]:
    """List every change of a customer's spendable points, newest first. For a merged customer, the survivor's are included."""
    return await balances.statement(services, principal.brand, customer_id, after=after, limit=limit)


route_handlers: list[Any] = [
    look_up_customers,
    list_customers,
    get_balance,
    get_balance_by_name,
    get_statement,
    get_statement_by_name,
]
