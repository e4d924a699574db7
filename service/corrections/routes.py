"""Corrections over HTTP: claw-backs, adjustments, and the reasons for these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from litestar import Response, get, post, put
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.status_codes import HTTP_200_OK

from service.api_reference.document import problems
from service.approvals.waiting import WAITS, within_limits
from service.auth import looks
from service.auth.guards import requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.campaigns.queries import campaign_ids
from service.corrections import actions, adjustments, lists, reasons, returns
from service.corrections.jobs.queries import jobs_of
from service.corrections.schemas import (
    AdjustedResponse,
    AdjustmentRequest,
    AdjustmentResponse,
    ClawbackRequest,
    ClawbackResponse,
    ReasonCode,
    ReasonRequest,
    ReasonResponse,
    ReasonsResponse,
    ReturnQuoteRequest,
    ReturnQuoteResponse,
    ReturnRequest,
    ReturnResponse,
)
from service.customers.schemas import CustomerFilter
from service.http.idempotency import decided
from service.http.identifiers import parse_correction_id
from service.http.injection import Injected
from service.http.pagination import LIMIT_DEFAULT, AfterNumber, Limit, Page, page
from service.http.problems import invalid_field, not_found

if TYPE_CHECKING:
    from service.services import Services


@post(
    "/v1/grants/{grant_id:str}/clawback",
    guards=[requires(Scope.CORRECTIONS_WRITE)],
    tags=["corrections"],
    responses=problems("not_found", "not_granted", "held_back", "clawback_exceeds_grant", "idempotency_key_reused") | WAITS,
)
async def claw_back_grant(
    grant_id: FromPath[str],
    data: JSONBody[ClawbackRequest],
    principal: Injected[Principal],
    services: Injected[Services],
    idempotency_key: Injected[str],
) -> Response[ClawbackResponse]:
    """Take back what is left of a grant.

    What the customer has spent or set aside stays a shortfall of the grant: if a void, a time-out or a refund returns these
    points, they are taken then, first. No balance ever becomes negative, and caps still count the grant. If its points are
    still held back, they are rejected.
    """

    async def claw_back() -> Response[ClawbackResponse]:
        shown, replayed = await actions.claw_back(services, principal, grant_id, data, idempotency_key)
        looks.see(shown.customer)
        return decided(shown, replayed=replayed)

    wanted = await actions.wanted_claw_back(services, principal, grant_id, data, idempotency_key)
    return await within_limits(services, principal, wanted, claw_back)


@post(
    "/v1/grants/{grant_id:str}/returns",
    guards=[requires(Scope.RETURNS_WRITE)],
    tags=["corrections"],
    responses=problems("not_found", "not_a_purchase", "not_granted", "held_back", "return_exists", "return_exceeds_purchase")
    | WAITS,
)
async def return_purchase(
    grant_id: FromPath[str],
    data: JSONBody[ReturnRequest],
    principal: Injected[Principal],
    services: Injected[Services],
) -> Response[ReturnResponse]:
    """Return a part of a purchase, or all of it: what it earned is taken back.

    The same return again gets the same answer. What the customer has spent or set aside stays a shortfall of the grant, as of a
    claw-back, unless you withhold money for it. Points that are held back are rejected with the last of the purchase.
    """

    async def make() -> Response[ReturnResponse]:
        shown, replayed = await returns.return_purchase(services, principal, grant_id, data)
        looks.see(shown.customer)
        return decided(shown, replayed=replayed)

    wanted = await returns.wanted_return(services, principal, grant_id, data)
    return await within_limits(services, principal, wanted, make)


@post(
    "/v1/grants/{grant_id:str}/returns/quote",
    guards=[requires(Scope.RETURNS_WRITE)],
    status_code=HTTP_200_OK,
    tags=["corrections"],
    responses=problems("not_found", "not_a_purchase", "not_granted", "held_back", "return_exceeds_purchase"),
)
async def quote_return(
    grant_id: FromPath[str],
    data: JSONBody[ReturnQuoteRequest],
    principal: Injected[Principal],
    services: Injected[Services],
) -> ReturnQuoteResponse:
    """Say what a return would take back now, and what to withhold from the refund for what it cannot."""
    return await returns.quote(services, principal, grant_id, data)


@post(
    "/v1/adjustments",
    guards=[requires(Scope.CORRECTIONS_WRITE)],
    tags=["corrections"],
    responses=problems("not_found", "budget_exhausted", "insufficient_balance", "campaign_paused", "idempotency_key_reused")
    | WAITS,
)
async def adjust_customer(
    data: JSONBody[AdjustmentRequest],
    principal: Injected[Principal],
    services: Injected[Services],
    idempotency_key: Injected[str],
) -> Response[AdjustedResponse]:
    """Give a customer points out of a care budget, or take some, for a reason that you have declared.

    Points that are given come out of the budget of the reason's campaign, and no more than it has. Points that are taken are
    those that expire soonest; a customer who can spend fewer keeps all.
    """

    async def adjust() -> Response[AdjustedResponse]:
        shown, replayed = await adjustments.adjust(services, principal, wanted.subject, data, idempotency_key)
        looks.see(shown.customer)
        return decided(shown, replayed=replayed)

    wanted = await adjustments.wanted_adjustment(services, principal, data, idempotency_key)
    return await within_limits(services, principal, wanted, adjust)


Since = Annotated[str | None, QueryParameter(name="from", description="The first business date on which they were made.")]
Until = Annotated[str | None, QueryParameter(name="to", description="The last business date on which they were made.")]


@get("/v1/adjustments", guards=[requires(Scope.GRANTS_READ)], tags=["corrections"], responses=problems("not_found"))
async def list_adjustments(
    services: Injected[Services],
    principal: Injected[Principal],
    customer: CustomerFilter = None,
    reason: Annotated[str | None, QueryParameter(description="The code of a reason. Not together with `customer`.")] = None,
    since: Since = None,
    until: Until = None,
    after: AfterNumber = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[AdjustmentResponse]:
    """List adjustments, newest first: all, those of a customer or for a reason, and of some days."""
    brand = principal.brand
    made = await lists.list_adjustments(
        services, brand, customer=customer, reason=reason, days=(since, until), before=after, limit=limit + 1
    )
    listed = page(made, limit=limit, cursor=lambda each: each.number)
    looks.see(*(each.customer for each in listed.items))
    campaigns = await campaign_ids(services.engine, brand.brand_id)
    of_many = await jobs_of(services.engine, brand.brand_id, [each.seq for each in listed.items])
    items = [AdjustmentResponse.of(each, brand.book.book_id, campaigns, of_many) for each in listed.items]
    return Page(items=items, next=listed.next)


@get(
    "/v1/adjustments/{adjustment_id:str}",
    guards=[requires(Scope.GRANTS_READ)],
    tags=["corrections"],
    responses=problems("not_found"),
)
async def get_adjustment(
    adjustment_id: FromPath[str], services: Injected[Services], principal: Injected[Principal]
) -> AdjustmentResponse:
    """Get an adjustment."""
    brand = principal.brand
    parsed = parse_correction_id(adjustment_id)
    made = None
    if parsed is not None and parsed[0] == brand.book.book_id:
        made = await services.ledger.adjustment(brand.book, parsed[1])
    if made is None:
        raise not_found("adjustment")
    looks.see(made.customer)
    of_many = await jobs_of(services.engine, brand.brand_id, [made.seq])
    return AdjustmentResponse.of(made, brand.book.book_id, await campaign_ids(services.engine, brand.brand_id), of_many)


@put(
    "/v1/adjustment-reasons/{reason:str}",
    guards=[requires(Scope.CAMPAIGNS_WRITE)],
    tags=["corrections"],
)
async def put_adjustment_reason(
    reason: FromPath[str],
    data: JSONBody[ReasonRequest],
    services: Injected[Services],
    principal: Injected[Principal],
) -> ReasonResponse:
    """Declare a reason for adjustments, or change it. Adjustments that were made for it keep it."""
    try:
        code = msgspec.convert(reason, ReasonCode)
    except msgspec.ValidationError:
        raise invalid_field(
            "{reason}", "must be lower-case letters, digits and _, beginning with a letter; at most 64"
        ) from None
    return ReasonResponse(**msgspec.structs.asdict(await reasons.put_reason(services.engine, principal, code, data)))


@get("/v1/adjustment-reasons", guards=[requires(Scope.CAMPAIGNS_READ)], tags=["corrections"])
async def list_adjustment_reasons(services: Injected[Services], principal: Injected[Principal]) -> ReasonsResponse:
    """List the brand's reasons for adjustments."""
    found = await reasons.list_reasons(services.engine, principal.brand.brand_id)
    return ReasonsResponse([ReasonResponse(**msgspec.structs.asdict(each)) for each in found])


route_handlers: list[Any] = [
    claw_back_grant,
    return_purchase,
    quote_return,
    adjust_customer,
    list_adjustments,
    get_adjustment,
    put_adjustment_reason,
    list_adjustment_reasons,
]
