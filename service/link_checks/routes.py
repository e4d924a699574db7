"""Checks of links over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from litestar import Request, post
from litestar.params import JSONBody

from service.auth.guards import count_items, requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.http.batch_results import Results, results_of
from service.http.injection import Injected
from service.link_checks import actions
from service.link_checks.schemas import LinkCheckRequest, LinkCheckResult, link_check_result

if TYPE_CHECKING:
    from service.services import Services


@post("/v1/links/check", guards=[requires(Scope.LINKS_WRITE)], status_code=200, tags=["links"])
async def check_links(
    data: JSONBody[LinkCheckRequest],
    principal: Injected[Principal],
    services: Injected[Services],
    request: Request[Any, Any, Any],
) -> Results[LinkCheckResult]:
    """Check links that your systems signed or minted: the state of each, or why it is not honoured.

    Customers are only told that a bad link was not found. Nothing is stored, and nothing is paid.
    """
    await count_items(request, principal, len(data.links))
    at = datetime.now(UTC)
    now = await services.clocks.at(principal.brand, at)
    checked = [await actions.check(services, principal, text, now=now, at=at) for text in data.links]
    return results_of(checked, link_check_result, request_id=request.scope["state"]["request_id"])


route_handlers: list[Any] = [check_links]
