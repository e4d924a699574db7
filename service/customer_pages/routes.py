"""Links to customers' pages over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from litestar import Request, post
from litestar.params import JSONBody

from service.admission.limits import BATCH_BYTES_MAX
from service.auth.guards import count_items, requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.customer_pages import access
from service.customer_pages.schemas import PageLinkBatch, PageLinkResult, page_link_result
from service.http.batch_results import Results, results_of
from service.http.injection import Injected

if TYPE_CHECKING:
    from service.services import Services


@post(
    "/v1/page-links",
    guards=[requires(Scope.LINKS_WRITE)],
    status_code=200,
    request_max_body_size=BATCH_BYTES_MAX,
    tags=["links"],
)
async def mint_page_links(
    data: JSONBody[PageLinkBatch],
    principal: Injected[Principal],
    services: Injected[Services],
    request: Request[Any, Any, Any],
) -> Results[PageLinkResult]:
    """Create links to customers' own pages: a wallet (15 minutes) or preferences (30 days). Errors are per item.

    Anyone who has such a link can open the page. A wallet, and a live image (which shows a balance in a message), need
    `customers:read` too.
    """
    await count_items(request, principal, len(data))
    minted = await access.mint(services, principal, await data.items(), now=datetime.now(UTC))
    return results_of(minted, page_link_result, request_id=request.scope["state"]["request_id"])


route_handlers: list[Any] = [mint_page_links]
