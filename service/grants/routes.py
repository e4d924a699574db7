"""Grants over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from service.admission.limits import BATCH_BYTES_MAX
from service.api_reference.document import problems
from service.auth.guards import count_items, requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.campaigns.queries import campaign_ids, find_campaign
from service.customers.schemas import CustomerFilter
from service.grants import actions, approvals, lists, redecisions
from service.grants.lists import GrantFilters
from service.grants.queries import describe
from service.grants.schemas import (
    GrantAnswer,
    GrantBatch,
    GrantRequest,
    GrantResponse,
    GrantResult,
    ReconciliationResponse,
    RedecideRequest,
    RedecideResponse,
)
from service.http.batch_results import Results
from service.http.filters import MetadataFilter, PrincipalFilter
from service.http.idempotency import REPLAYED, decided
from service.http.identifiers import parse_grant_id
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
    """Report an event: what a customer did with a message. It is paid once."""
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
) -> Results[GrantResult]:
    """Report up to 10,000 events, decided in order. Errors are per item."""
    await count_items(request, principal, len(data))
    request_id: str = request.scope["state"]["request_id"]
    received_at = await services.clocks.now(principal.brand)
    return Results(await actions.report(services, principal, data, received_at=received_at, request_id=request_id))


@get("/v1/campaigns/{campaign_id:str}/reconciliation", guards=[requires(Scope.CAMPAIGNS_READ)], tags=["campaigns"])
async def get_reconciliation(
    campaign_id: FromPath[str],
    services: Injected[Services],
    principal: Injected[Principal],
) -> ReconciliationResponse:
    """Count a campaign's decisions by outcome, reason, channel and hour.

    The counts are computed from the events on every call, so the call takes longer the more events there are; do not poll
    it. Events decided while it counts appear in the next answer.
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
    """Get the event and the decision of a grant id."""
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
    """Approve held-back points. They become spendable, and expire as if earned today.

    If the customer has refused the channel or all rewards in the meantime, the points are rejected instead, and the answer
    says so.

    Needs no Idempotency-Key: approving again changes nothing.
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
    """Reject held-back points. They return to the budget and no longer count towards caps.

    Points that nobody approves in time are rejected automatically. Needs no Idempotency-Key.
    """
    event, replayed = await approvals.reject(services, principal, grant_id)
    return decided(describe(event, await campaign_ids(services.engine, principal.brand.brand_id)), replayed=replayed)


OfOutcome = Annotated[
    Literal["granted", "held_back", "waiting", "refused"] | None, QueryParameter(description="The outcome of the decisions.")
]
Since = Annotated[str | None, QueryParameter(name="from", description="The first business date on which they were decided.")]
Until = Annotated[str | None, QueryParameter(name="to", description="The last business date on which they were decided.")]
OfGrade = Annotated[str | None, QueryParameter(pattern="^[ABCD]$(?!\\n)", description="The grade it was decided on.")]


@get(
    "/v1/grants",
    guards=[requires(Scope.GRANTS_READ)],
    tags=["grants"],
    responses=problems("not_found", "filter_too_broad"),
)
async def list_grants(
    services: Injected[Services],
    principal: Injected[Principal],
    customer: CustomerFilter = None,
    campaign: Annotated[str | None, QueryParameter(description="A campaign's id.")] = None,
    outcome: OfOutcome = None,
    since: Since = None,
    until: Until = None,
    message_id: Annotated[str | None, QueryParameter(description="The sender's id of a message.")] = None,
    action: Annotated[str | None, QueryParameter(description="What customers did, such as `click`.")] = None,
    channel: Annotated[str | None, QueryParameter(description="The channel, such as `email`.")] = None,
    evidence: OfGrade = None,
    of_principal: PrincipalFilter = None,
    metadata: MetadataFilter = None,
    store_id: Annotated[str | None, QueryParameter(description="The store that the report named.")] = None,
    after: AfterPosition = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[GrantResponse]:
    """List decisions, newest first.

    With a filter, a page may hold fewer than `limit` items, or none, and still not be the last: follow `next` until it is
    null. What was reported (message, action, channel, evidence, key, metadata, store) can be searched for a customer, or for
    at most 31 days: send `customer`, or `from` and `to`.
    """
    wanted = GrantFilters(
        customer=customer,
        campaign=campaign,
        outcome=outcome,
        since=since,
        until=until,
        message_id=message_id,
        action=action,
        channel=channel,
        evidence=evidence,
        principal=of_principal,
        metadata=metadata,
        store_id=store_id,
    )
    return await lists.list_grants(services, principal.brand, wanted, after=after, limit=limit)


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
    """Decide again what a cap or the budget refused, oldest first, after you raised the cap or the budget.

    Each event is judged by its own version of the terms, and counts towards that version's caps at the time it happened,
    with the limits as they are now. The points expire as if earned today. Call it again with `next` until that is null; no
    event is paid twice. Refusals by a `rolling_day` cap that are 72 hours old stay refused. Every call is in the audit
    trail.
    """
    return await redecisions.redecide(services, principal, campaign_id, data)


route_handlers: list[Any] = [
    redecide_campaign,
    report_event,
    report_events,
    list_grants,
    get_grant,
    mature_grant,
    reject_grant,
    get_reconciliation,
]
