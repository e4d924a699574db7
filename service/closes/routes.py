"""Closes over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from litestar import Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED

from service.api_reference.document import problems
from service.auth.guards import requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.closes import actions, queries
from service.closes.checklist import checklist
from service.closes.schemas import ChecklistResponse, CloseRequest, CloseResponse
from service.http.injection import Injected
from service.http.pagination import LIMIT_DEFAULT, Limit, Page, page
from service.http.periods import NAME

if TYPE_CHECKING:
    from service.services import Services

OfVersion = Annotated[
    int | None,
    QueryParameter(
        ge=1, le=2**31 - 1, description="A version of the close: 1 is that before it was restated. Without it: the newest."
    ),
]
AfterPeriod = Annotated[str | None, QueryParameter(pattern=NAME, description="The `next` of the previous page.")]


@post(
    "/v1/closes",
    guards=[requires(Scope.EXPORTS_WRITE)],
    tags=["finance"],
    responses=problems("period_not_over", "period_out_of_order", "period_before_book", "close_blocked", "close_has_warnings"),
)
async def close_period(
    data: JSONBody[CloseRequest], services: Injected[Services], principal: Injected[Principal]
) -> Response[CloseResponse]:
    """Close a month or a day that is over.

    The answer is the same whether you close five minutes or a week after midnight: what fell due in the period counts in it,
    posted or not, and nothing can be posted in it afterwards. A large book is `storing` at first; the worker completes it.
    Closing a period again answers 200 with the existing close.
    """
    period = queries.period_asked_for(data.period)
    closed, made = await actions.close(services, principal, period, data.skip)
    shown = await queries.show(services, principal.brand, closed)
    return Response(shown, status_code=HTTP_201_CREATED if made else HTTP_200_OK)


@get("/v1/closes", guards=[requires(Scope.LEDGER_READ)], tags=["finance"])
async def list_closes(
    services: Injected[Services],
    principal: Injected[Principal],
    after: AfterPeriod = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[CloseResponse]:
    """List the closed periods, newest first."""
    found = await queries.list_closes(services, principal.brand, after=after, limit=limit + 1)
    return page(found, limit=limit, cursor=lambda close: close.period)


@get("/v1/closes/{period:str}", guards=[requires(Scope.LEDGER_READ)], tags=["finance"], responses=problems("not_found"))
async def get_close(
    period: FromPath[str], services: Injected[Services], principal: Injected[Principal], version: OfVersion = None
) -> CloseResponse:
    """Get a closed period. All but `state` and what is null at first stays the same for ever, in each `version`."""
    closed = await queries.find_close(services.ledger, principal.brand.book, period)
    return await queries.show(services, principal.brand, closed, version)


@get(
    "/v1/closes/{period:str}/checklist",
    guards=[requires(Scope.LEDGER_READ)],
    tags=["finance"],
    responses=problems("not_found"),
)
async def get_checklist(
    period: FromPath[str], services: Injected[Services], principal: Injected[Principal]
) -> ChecklistResponse:
    """List what is left open in a period, whether it is closed or not.

    A `blocker` prevents closing, a `warning` can be skipped with a reason, a `note` is for information. Campaigns are counted
    from their events, so do not poll this.
    """
    of = queries.period_named(period)
    return ChecklistResponse(of.name, await checklist(services, principal.brand, of))


route_handlers: list[Any] = [close_period, list_closes, get_close, get_checklist]
