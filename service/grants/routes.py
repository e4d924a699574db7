"""Grants over HTTP."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import Ledger
from service.auth.guards import count_items, requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.bodies import BATCH_BYTES_MAX
from service.campaigns.queries import find_campaign
from service.grants import actions
from service.grants.schemas import GrantAnswer, GrantBatch, GrantRequest, GrantResults, ReconciliationResponse
from service.idempotency import REPLAYED
from service.openapi import problems
from service.problems import Problem, not_found


@post(
    "/v1/grants",
    guards=[requires(Scope.GRANTS_WRITE)],
    tags=["grants"],
    responses=problems("unknown_campaign", "occurred_at_out_of_range", "overloaded", "database_unavailable"),
)
async def report_event(
    data: JSONBody[GrantRequest], principal: NamedDependency[Principal], state: State
) -> Response[GrantAnswer]:
    """Report what a customer did with a message, and pay for it once."""
    (answer,) = await actions.report(state, principal, [data], received_at=await state.clocks.now(principal.brand))
    if isinstance(answer, Problem):
        raise answer
    return Response(answer, status_code=answer.status, headers={REPLAYED: "true"} if answer.replayed else {})


@post(
    "/v1/grants/batch",
    guards=[requires(Scope.GRANTS_WRITE)],
    status_code=200,
    request_max_body_size=BATCH_BYTES_MAX,
    tags=["grants"],
)
async def report_events(
    data: JSONBody[GrantBatch], principal: NamedDependency[Principal], state: State, request: Request[Any, Any, Any]
) -> GrantResults:
    """Report many events, decided in order. What is wrong with one item concerns that item alone."""
    await count_items(request, principal, len(data.items))
    answers = await actions.report(state, principal, data.items, received_at=await state.clocks.now(principal.brand))
    return GrantResults.of(data.items, answers, request_id=request.scope["state"]["request_id"])


@get("/v1/campaigns/{campaign_id:str}/reconciliation", guards=[requires(Scope.CAMPAIGNS_READ)], tags=["campaigns"])
async def get_reconciliation(
    campaign_id: FromPath[str],
    engine: NamedDependency[AsyncEngine],
    ledger: NamedDependency[Ledger],
    principal: NamedDependency[Principal],
) -> ReconciliationResponse:
    """Count what was decided on a campaign's events, by outcome, reason, channel and hour.

    It is counted anew from the events each time, so it takes the longer the more there are: do not poll it. Events that are
    decided while it counts are in the next answer.
    """
    standing = await find_campaign(engine, principal.brand.brand_id, campaign_id)
    if standing is None:
        raise not_found("campaign")
    found = await ledger.reconcile(principal.brand.book, standing.current.campaign_no)
    return ReconciliationResponse.of(campaign_id, found)


route_handlers: list[Any] = [report_event, report_events, get_reconciliation]
