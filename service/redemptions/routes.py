"""Redemptions over HTTP: what a storefront's checkout calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from litestar import Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.status_codes import HTTP_200_OK

from ledger import RedemptionFilter, RedemptionResult, RedemptionStatus
from service.api_reference.document import problems
from service.auth import looks
from service.auth.guards import requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.customers.schemas import CustomerFilter
from service.http.idempotency import decided
from service.http.injection import Injected
from service.http.pagination import LIMIT_DEFAULT, AfterSeq, Limit, Page
from service.http.problems import not_found
from service.redemptions import actions, queries
from service.redemptions.schemas import (
    CaptureRequest,
    QuoteRequest,
    QuoteResponse,
    RedemptionRequest,
    RedemptionResponse,
    RefundRequest,
    VoidRequest,
)

if TYPE_CHECKING:
    from service.services import Services

_WRITE = [requires(Scope.REDEMPTIONS_WRITE)]
_READ = [requires(Scope.REDEMPTIONS_READ)]


@post(
    "/v1/redemptions",
    guards=_WRITE,
    tags=["redemptions"],
    responses=problems(
        "not_found", "insufficient_balance", "customer_not_confirmed", "occurred_at_out_of_range", "idempotency_key_reused"
    ),
)
async def authorize_redemption(
    data: JSONBody[RedemptionRequest],
    principal: Injected[Principal],
    services: Injected[Services],
    idempotency_key: Injected[str],
) -> Response[RedemptionResponse]:
    """Set points aside for a purchase."""
    return _answer(principal, await actions.authorize(services, principal.brand, data, idempotency_key))


@post(
    "/v1/redemptions/quote",
    guards=_READ,
    tags=["redemptions"],
    status_code=HTTP_200_OK,
    responses=problems("not_found", "customer_not_confirmed"),
)
async def quote_redemption(
    data: JSONBody[QuoteRequest], principal: Injected[Principal], services: Injected[Services]
) -> QuoteResponse:
    """Quote a redemption: the points it would take and what they would pay. Nothing is set aside.

    What points pay is rounded down to a minor unit. A value takes the fewest points that are worth it.
    """
    return await actions.quote(services, principal.brand, data)


@post(
    "/v1/redemptions/{redemption_id:str}/capture",
    guards=_WRITE,
    tags=["redemptions"],
    responses=problems(
        "not_found",
        "authorization_expired",
        "released_points_gone",
        "already_voided",
        "fully_captured",
        "capture_exceeds_authorized",
        "occurred_at_out_of_range",
        "idempotency_key_reused",
    ),
)
async def capture_redemption(
    redemption_id: FromPath[str],
    data: JSONBody[CaptureRequest],
    principal: Injected[Principal],
    services: Injected[Services],
    idempotency_key: Injected[str],
) -> Response[RedemptionResponse]:
    """Spend points that were set aside. The rest is released unless `final` is false.

    A hold that has timed out can be captured within the brand's `late_capture_grace_s`, if the customer still has the points.
    """
    return _answer(principal, await actions.capture(services, principal.brand, redemption_id, data, idempotency_key))


@post(
    "/v1/redemptions/{redemption_id:str}/void",
    guards=_WRITE,
    tags=["redemptions"],
    responses=problems("not_found", "fully_captured"),
)
async def void_redemption(
    redemption_id: FromPath[str],
    data: JSONBody[VoidRequest],
    principal: Injected[Principal],
    services: Injected[Services],
) -> Response[RedemptionResponse]:
    """Release points that were set aside. Needs no Idempotency-Key: voiding again changes nothing."""
    return _answer(principal, await actions.void(services, principal.brand, redemption_id))


@post(
    "/v1/redemptions/{redemption_id:str}/refund",
    guards=_WRITE,
    tags=["redemptions"],
    responses=problems("not_found", "refund_exceeds_captured", "idempotency_key_reused"),
)
async def refund_redemption(
    redemption_id: FromPath[str],
    data: JSONBody[RefundRequest],
    principal: Injected[Principal],
    services: Injected[Services],
    idempotency_key: Injected[str],
) -> Response[RedemptionResponse]:
    """Give back spent points, in part or in full."""
    return _answer(principal, await actions.refund(services, principal.brand, redemption_id, data, idempotency_key))


@get("/v1/redemptions/{redemption_id:str}", guards=_READ, tags=["redemptions"], responses=problems("not_found"))
async def get_redemption(
    redemption_id: FromPath[str], services: Injected[Services], principal: Injected[Principal]
) -> RedemptionResponse:
    """Get a redemption."""
    book = principal.brand.book
    redemption = await services.ledger.redemption(book, actions.redemption_number(principal.brand, redemption_id))
    if redemption is None:
        raise not_found("redemption")
    looks.see(redemption.customer)
    return RedemptionResponse.of(redemption, book.book_id)


Since = Annotated[str | None, QueryParameter(name="from", description="The first business date on which they were authorized.")]
Until = Annotated[str | None, QueryParameter(name="to", description="The last business date on which they were authorized.")]


@get("/v1/redemptions", guards=_READ, tags=["redemptions"], responses=problems("not_found"))
async def list_redemptions(
    services: Injected[Services],
    principal: Injected[Principal],
    customer: CustomerFilter = None,
    order_ref: Annotated[str | None, QueryParameter(description="The storefront's reference of a purchase.")] = None,
    store_id: Annotated[str | None, QueryParameter(description="The store that authorized.")] = None,
    terminal_id: Annotated[str | None, QueryParameter(description="The terminal that authorized, with its `store_id`.")] = None,
    day: Annotated[str | None, QueryParameter(description="The business date on which they were authorized.")] = None,
    since: Since = None,
    until: Until = None,
    status: Annotated[RedemptionStatus | None, QueryParameter(description="The status of the redemptions.")] = None,
    after: AfterSeq = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[RedemptionResponse]:
    """List redemptions, newest first: all, or those of a customer, order, store, terminal, days or status, or several.

    With a status or a terminal, or more than one of customer, order and store, a page may hold fewer than `limit` items, or
    none, and still have a `next`: follow it until it is null.
    """
    wanted = RedemptionFilter(order_ref=order_ref, store_id=store_id, terminal_id=terminal_id, status=status)
    found, more = await queries.find_redemptions(
        services, principal.brand, wanted, customer=customer, day=day, days=(since, until), before=after, limit=limit
    )
    looks.see(*(each.customer for each in found))
    items = [RedemptionResponse.of(each, principal.brand.book.book_id) for each in found]
    return Page(items=items, next=None if more is None else str(more))


def _answer(principal: Principal, result: RedemptionResult) -> Response[RedemptionResponse]:
    assert result.redemption is not None
    return decided(RedemptionResponse.of(result.redemption, principal.brand.book.book_id), replayed=result.replayed)


route_handlers: list[Any] = [
    authorize_redemption,
    quote_redemption,
    list_redemptions,
    get_redemption,
    capture_redemption,
    void_redemption,
    refund_redemption,
]
