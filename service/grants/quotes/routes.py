"""Quotes over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from litestar import Request, post
from litestar.params import JSONBody

from service.api_reference.document import problems
from service.auth.guards import count_items, requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.grants.quotes import actions
from service.grants.quotes.schemas import (
    GrantQuoteAnswer,
    GrantQuoteBatch,
    GrantQuoteRequest,
    GrantQuoteResult,
    quote_result,
)
from service.http.batch_results import Results, results_of
from service.http.injection import Injected
from service.http.problems import Problem

if TYPE_CHECKING:
    from service.services import Services


@post(
    "/v1/grants/quote",
    guards=[requires(Scope.GRANTS_READ)],
    status_code=200,
    tags=["grants"],
    responses=problems("not_found", "unknown_campaign", "occurred_at_out_of_range"),
)
async def quote_grant(
    data: JSONBody[GrantQuoteRequest], principal: Injected[Principal], services: Injected[Services]
) -> GrantQuoteAnswer:
    """Quote a grant: the points it would earn now, and what is left of its caps and budget. Records nothing.

    The same report sent right afterwards gets the same answer, unless something changed in between: a quote reserves
    nothing. The calling key's evidence and lateness apply. An unknown customer is quoted as a new one, and not created.
    Leave out `message_id` to quote for a message not sent yet.
    """
    (answer,) = await actions.quote(services, principal, [data], received_at=await services.clocks.now(principal.brand))
    if isinstance(answer, Problem):
        raise answer
    return msgspec.structs.replace(answer, ref=data.ref)


@post("/v1/grants/quote/batch", guards=[requires(Scope.GRANTS_READ)], status_code=200, tags=["grants"])
async def quote_grants(
    data: JSONBody[GrantQuoteBatch],
    principal: Injected[Principal],
    services: Injected[Services],
    request: Request[Any, Any, Any],
) -> Results[GrantQuoteResult]:
    """Quote up to 100 grants, such as the offers one customer could get. Errors are per item.

    Each is quoted as if it were the only one, and all as of the same `as_of`.
    """
    await count_items(request, principal, len(data))
    items = await data.items()
    answers = await actions.quote(services, principal, items, received_at=await services.clocks.now(principal.brand))
    return results_of(list(zip(items, answers, strict=True)), quote_result, request_id=request.scope["state"]["request_id"])


route_handlers: list[Any] = [
    quote_grant,
    quote_grants,
]
