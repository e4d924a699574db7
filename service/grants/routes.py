"""Grants over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from service.admission.limits import BATCH_BYTES_MAX
from service.api_reference.document import problems
from service.auth.guards import count_items, requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.campaigns.queries import campaign_ids, find_campaign
from service.customers import actions as customers
from service.customers.schemas import CustomerFilter, CustomerRef
from service.grants import actions, approvals, quotes, redecisions
from service.grants.queries import describe
from service.grants.schemas import (
    DECIDED,
    GrantAnswer,
    GrantBatch,
    GrantQuoteAnswer,
    GrantQuoteBatch,
    GrantQuoteRequest,
    GrantQuoteResults,
    GrantRequest,
    GrantResponse,
    GrantResults,
    ReconciliationResponse,
    RedecideRequest,
    RedecideResponse,
)
from service.http.idempotency import REPLAYED, decided
from service.http.identifiers import parse_grant_id, parse_position, position
from service.http.injection import Injected
from service.http.pagination import LIMIT_DEFAULT, AfterPosition, Limit, Page
from service.http.problems import Problem, not_found

if TYPE_CHECKING:
    from service.services import Services


@post(
    "/v1/grants",
    guards=[requires(Scope.GRANTS_WRITE)],
    tags=["grants"],
    responses=problems("not_found", "unknown_campaign", "occurred_at_out_of_range", "overloaded", "database_unavailable"),
)
async def report_event(
    data: JSONBody[GrantRequest], principal: Injected[Principal], services: Injected[Services]
) -> Response[GrantAnswer]:
    """Report what a customer did with a message, and pay for it once."""
    answer = await actions.report_one(services, principal, data, received_at=await services.clocks.now(principal.brand))
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
    data: JSONBody[GrantBatch],
    principal: Injected[Principal],
    services: Injected[Services],
    request: Request[Any, Any, Any],
) -> GrantResults:
    """Report many events, decided in order. What is wrong with one item concerns that item alone."""
    await count_items(request, principal, len(data))
    request_id: str = request.scope["state"]["request_id"]
    received_at = await services.clocks.now(principal.brand)
    return GrantResults(await actions.report(services, principal, data, received_at=received_at, request_id=request_id))


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
    """Say what an act would earn now, with the remaining caps and budget; nothing is recorded.

    The same report right after it is answered the same, unless something changed in between: points are not set aside. It is
    judged by the asking key's evidence and lateness. A customer whom nobody knows is quoted as a new one, and not created.
    Without `message_id` it is about a message that is yet to be sent.
    """
    (answer,) = await quotes.quote(services, principal, [data], received_at=await services.clocks.now(principal.brand))
    if isinstance(answer, Problem):
        raise answer
    return msgspec.structs.replace(answer, ref=data.ref)


@post("/v1/grants/quote/batch", guards=[requires(Scope.GRANTS_READ)], status_code=200, tags=["grants"])
async def quote_grants(
    data: JSONBody[GrantQuoteBatch],
    principal: Injected[Principal],
    services: Injected[Services],
    request: Request[Any, Any, Any],
) -> GrantQuoteResults:
    """Say what each of up to 100 acts would earn now, such as the offers that one customer could be made.

    Each is quoted as if it were the only one, all as of one `as_of`. What is wrong with one item concerns that item alone.
    """
    await count_items(request, principal, len(data))
    items = await data.items()
    answers = await quotes.quote(services, principal, items, received_at=await services.clocks.now(principal.brand))
    return GrantQuoteResults.of(items, answers, request_id=request.scope["state"]["request_id"])


@get("/v1/campaigns/{campaign_id:str}/reconciliation", guards=[requires(Scope.CAMPAIGNS_READ)], tags=["campaigns"])
async def get_reconciliation(
    campaign_id: FromPath[str],
    services: Injected[Services],
    principal: Injected[Principal],
) -> ReconciliationResponse:
    """Count what was decided on a campaign's events, by outcome, reason, channel and hour.

    It is counted anew from the events each time, so it takes the longer the more there are: do not poll it. Events that are
    decided while it counts are in the next answer.
    """
    standing = await find_campaign(services.engine, principal.brand.brand_id, campaign_id)
    if standing is None:
        raise not_found("campaign")
    found = await services.ledger.reconcile(principal.brand.book, standing.current.campaign_no)
    return ReconciliationResponse.of(campaign_id, found)


@get("/v1/grants/{grant_id:str}", guards=[requires(Scope.GRANTS_READ)], tags=["grants"], responses=problems("not_found"))
async def get_grant(
    grant_id: FromPath[str],
    services: Injected[Services],
    principal: Injected[Principal],
) -> GrantResponse:
    """What was reported and decided under a grant's id."""
    brand = principal.brand
    read = parse_grant_id(grant_id)
    event = None if read is None else await services.ledger.event(brand.book, *read)
    if event is None:
        raise not_found("grant")
    return describe(event, await campaign_ids(services.engine, brand.brand_id))


@post(
    "/v1/grants/{grant_id:str}/mature",
    guards=[requires(Scope.GRANTS_APPROVE)],
    tags=["grants"],
    responses=problems("not_found", "already_settled", "not_held_back"),
)
async def mature_grant(
    grant_id: FromPath[str], principal: Injected[Principal], services: Injected[Services]
) -> Response[GrantResponse]:
    """Approve of points that are held back: they are the customer's now, and last as if earned today.

    A customer who has refused the channel since, or all rewards, gets nothing: the points are rejected, and the answer says so.

    Needs no Idempotency-Key: what was approved of before stays so.
    """
    event, replayed = await approvals.mature(services, principal, grant_id)
    return decided(describe(event, await campaign_ids(services.engine, principal.brand.brand_id)), replayed=replayed)


@post(
    "/v1/grants/{grant_id:str}/reject",
    guards=[requires(Scope.GRANTS_APPROVE)],
    tags=["grants"],
    responses=problems("not_found", "already_settled", "not_held_back"),
)
async def reject_grant(
    grant_id: FromPath[str], principal: Injected[Principal], services: Injected[Services]
) -> Response[GrantResponse]:
    """Do not approve of points that are held back: they return to the budget, and caps count them no longer.

    Points of which nobody approves in time are rejected by themselves. Needs no Idempotency-Key.
    """
    event, replayed = await approvals.reject(services, principal, grant_id)
    return decided(describe(event, await campaign_ids(services.engine, principal.brand.brand_id)), replayed=replayed)


@get("/v1/grants", guards=[requires(Scope.GRANTS_READ)], tags=["grants"], responses=problems("not_found"))
async def list_grants(
    services: Injected[Services],
    principal: Injected[Principal],
    customer: CustomerFilter = None,
    campaign: Annotated[str | None, QueryParameter(description="A campaign's id.")] = None,
    outcome: Annotated[
        Literal["granted", "held_back", "waiting", "refused"] | None, QueryParameter(description="What was decided.")
    ] = None,
    after: AfterPosition = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[GrantResponse]:
    """What was decided, newest first.

    A page may hold fewer than ``limit``, even none, and not be the last: follow ``next`` until it is null.
    """
    brand = principal.brand
    campaigns = await campaign_ids(services.engine, brand.brand_id)
    known = None if customer is None else await customers.find(services, brand, CustomerRef(id=customer), now=True)
    campaign_no = next((number for number, name in campaigns.items() if name == campaign), None)
    if (customer is not None and known is None) or (campaign is not None and campaign_no is None):
        return Page(items=[], next=None)
    events, following = await services.ledger.find_events(
        brand.book,
        customers=() if known is None else (known.customer, *known.former),
        campaign_no=campaign_no,
        outcomes=[number for number, (name, _) in DECIDED.items() if name == outcome],
        before=None if after is None else parse_position(after),
        limit=limit,
    )
    return Page(items=[describe(event, campaigns) for event in events], next=None if following is None else position(following))


@post(
    "/v1/campaigns/{campaign_id:str}/redecide",
    guards=[requires(Scope.GRANTS_APPROVE)],
    status_code=200,
    tags=["campaigns"],
    responses=problems("not_found", "campaign_paused"),
)
async def redecide_campaign(
    campaign_id: FromPath[str],
    data: JSONBody[RedecideRequest],
    principal: Injected[Principal],
    services: Injected[Services],
) -> RedecideResponse:
    """Decide anew what was refused for a cap or the budget, oldest first: after the budget was raised, or a cap.

    Each event gets the points of its own version of the terms, and counts against that version's caps when it happened, with
    the limits that they have now. Its points last as if earned today. Call it again with `next` until that is null; what is
    paid is never paid again. What a `rolling_day` refused 72 hours ago stays refused. Each call is in the audit trail.
    """
    return await redecisions.redecide(services, principal, campaign_id, data)


route_handlers: list[Any] = [
    redecide_campaign,
    report_event,
    report_events,
    quote_grant,
    quote_grants,
    list_grants,
    get_grant,
    mature_grant,
    reject_grant,
    get_reconciliation,
]
