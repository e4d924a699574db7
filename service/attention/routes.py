"""Attention over HTTP: how often a customer was messaged lately."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from litestar import Request, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from service.admission.limits import BATCH_BYTES_MAX
from service.api_reference.document import problems
from service.attention import queries
from service.attention.schemas import AttentionResponse, AttentionResults, HotlineResponse, result_of
from service.auth.guards import count_items, requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.customers import actions as customers
from service.customers.schemas import CustomerRef, LookupBatch
from service.http.injection import Injected
from service.http.problems import Problem

if TYPE_CHECKING:
    from service.services import Services

DAYS_DEFAULT = 30

Days = Annotated[int, QueryParameter(ge=1, le=90, description="The length of the window, in days of 24 hours up to now.")]

_READ = [requires(Scope.CUSTOMERS_READ)]


@get("/v1/customers/{customer_id:str}/attention", guards=_READ, tags=["customers"], responses=problems("not_found"))
async def get_attention(
    customer_id: FromPath[str],
    principal: Injected[Principal],
    services: Injected[Services],
    days: Days = DAYS_DEFAULT,
) -> AttentionResponse:
    """Count the messages a customer was sent recently, by channel, and the points they earned.

    Call it before you send another message. A message counts if a link was minted in it for the customer, if it was registered,
    or if an event was reported on it. The window is the last `days` times 24 hours. For a merged customer, the survivor's
    figures are returned.
    """
    brand = principal.brand
    (known,) = await customers.find_each(services, brand, [CustomerRef(id=customer_id)])
    if isinstance(known, Problem):
        raise known
    within, (answer,) = await queries.count(services, brand, [known], timedelta(days=days))
    return AttentionResponse(customer=customer_id, since=within.since, until=within.until, **msgspec.structs.asdict(answer))


@post(
    "/v1/customers/attention",
    guards=_READ,
    status_code=200,
    request_max_body_size=BATCH_BYTES_MAX,
    tags=["customers"],
)
async def look_up_attention(
    data: JSONBody[LookupBatch],
    principal: Injected[Principal],
    services: Injected[Services],
    request: Request[Any, Any, Any],
    days: Days = DAYS_DEFAULT,
) -> AttentionResults:
    """Count the recent messages of many customers, named by id, email or phone. Creates no customer."""
    await count_items(request, principal, len(data))
    brand = principal.brand
    found = await customers.find_each(services, brand, await data.items())
    people = [each for each in found if not isinstance(each, Problem)]
    within, counted = await queries.count(services, brand, people, timedelta(days=days))
    answers = iter(counted)
    request_id: str = request.scope["state"]["request_id"]
    return AttentionResults(
        since=within.since,
        until=within.until,
        results=[
            result_of(index, each if isinstance(each, Problem) else next(answers), request_id=request_id)
            for index, each in enumerate(found)
        ],
    )


@get("/v1/hotline", guards=[requires(Scope.CAMPAIGNS_READ)], tags=["customers"])
async def get_hotline(
    principal: Injected[Principal], services: Injected[Services], days: Days = DAYS_DEFAULT
) -> HotlineResponse:
    """Count how many of the customers the brand wrote to recently responded as humans."""
    return await queries.hotline(services, principal.brand, timedelta(days=days))


route_handlers: list[Any] = [get_attention, look_up_attention, get_hotline]
