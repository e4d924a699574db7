"""Batches of codes over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED

from service.api_reference.document import problems
from service.auth.guards import count_items, requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.code_batches import actions, claims
from service.code_batches.actions import CodeBatch
from service.code_batches.schemas import CodeBatchRequest, CodeBatchResponse, CodeClaimRequest
from service.grants.schemas import GrantAnswer
from service.http.injection import Injected
from service.http.pagination import LIMIT_DEFAULT, AfterNumber, Limit, Page, page
from service.http.problems import not_found

if TYPE_CHECKING:
    from service.services import Services


@post(
    "/v1/code-batches",
    guards=[requires(Scope.LINKS_WRITE)],
    tags=["links"],
    responses=problems("unknown_campaign", "code_batch_exists"),
)
async def make_code_batch(
    data: JSONBody[CodeBatchRequest],
    principal: Injected[Principal],
    services: Injected[Services],
    request: Request[Any, Any, Any],
) -> Response[CodeBatchResponse]:
    """Create a batch of codes. The same batch again answers 200. Each code counts as one item of the key's quota."""
    await count_items(request, principal, data.codes)
    batch, is_new = await actions.make(services, principal, data, now=await services.clocks.now(principal.brand))
    return Response(batch, status_code=HTTP_201_CREATED if is_new else HTTP_200_OK)


@get("/v1/code-batches", guards=[requires(Scope.LINKS_WRITE)], tags=["links"])
async def list_code_batches(
    services: Injected[Services],
    principal: Injected[Principal],
    after: AfterNumber = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[CodeBatchResponse]:
    """List the brand's batches of codes, oldest first."""
    brand = principal.brand
    found = await actions.list_batches(services.engine, brand.brand_id, after=after or 0, limit=limit + 1)
    listed = page(found, limit=limit, cursor=lambda batch: batch.batch_no)
    return Page(items=[await actions.describe(services, brand, batch) for batch in listed.items], next=listed.next)


@get("/v1/code-batches/{batch_id:str}", guards=[requires(Scope.LINKS_WRITE)], tags=["links"])
async def get_code_batch(
    batch_id: FromPath[str], principal: Injected[Principal], services: Injected[Services]
) -> CodeBatchResponse:
    """Get a batch of codes, with the number of codes claimed."""
    return await actions.describe(services, principal.brand, await _batch(services, principal, batch_id))


@get(
    "/v1/code-batches/{batch_id:str}/codes",
    guards=[requires(Scope.LINKS_WRITE)],
    media_type="text/csv",
    tags=["links"],
)
async def get_codes(batch_id: FromPath[str], principal: Injected[Principal], services: Injected[Services]) -> Response[bytes]:
    """Download a batch's codes as CSV: `serial,code,url`, and a last line with their number and control total.

    The file is the same on every download. Anyone who has it can use the codes.
    """
    batch = await _batch(services, principal, batch_id)
    return Response(
        await actions.file_of(services, principal.brand, batch),
        media_type="text/csv",
        headers={"Content-Disposition": f'attachment; filename="{batch.id}.csv"'},
    )


@post(
    "/v1/code-claims",
    guards=[requires(Scope.GRANTS_WRITE)],
    status_code=200,
    tags=["links"],
    responses=problems("not_found", "code_taken", "link_expired", "link_revoked"),
)
async def claim_code(
    data: JSONBody[CodeClaimRequest], principal: Injected[Principal], services: Injected[Services]
) -> GrantAnswer:
    """Claim a code for a customer. It pays once.

    Claiming the same code again for the same customer returns the first answer, with `replayed`.
    """
    return await claims.claim(services, principal, data, now=await services.clocks.now(principal.brand))


async def _batch(services: Services, principal: Principal, batch_id: str) -> CodeBatch:
    found = await actions.find_batch(services.engine, principal.brand.brand_id, batch_id)
    if found is None:
        raise not_found("batch of codes")
    return found


route_handlers: list[Any] = [make_code_batch, list_code_batches, get_code_batch, get_codes, claim_code]
