"""Exports over HTTP: order, watch, download, delete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from litestar import Request, Response, delete, get, post
from litestar.params import FromPath, JSONBody
from litestar.status_codes import HTTP_200_OK, HTTP_202_ACCEPTED

from service.api_reference.document import problems
from service.auth import looks
from service.auth.guards import requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.export_jobs import actions, queries
from service.export_jobs.queries import ExportJob
from service.export_jobs.schemas import ExportRequest, ExportResponse
from service.http.idempotency import REPLAYED, KeyHeader, parse_key
from service.http.injection import Injected
from service.http.pagination import LIMIT_DEFAULT, AfterSeq, Limit, Page, page
from service.http.problems import not_found

if TYPE_CHECKING:
    from service.services import Services


@post(
    "/v1/exports",
    guards=[requires(Scope.EXPORTS_WRITE)],
    status_code=HTTP_202_ACCEPTED,
    tags=["finance"],
    responses=problems("too_many_exports"),
)
async def order_export(
    data: JSONBody[ExportRequest],
    services: Injected[Services],
    principal: Injected[Principal],
    key_header: KeyHeader = None,
) -> Response[ExportResponse]:
    """Order an export. The worker makes its files; ask for the export until it is `done`.

    The same request with the same `Idempotency-Key`, or while one like it is under way, answers 200 with that export.
    """
    key = None if key_header is None else parse_key(key_header)
    now = await services.clocks.now(principal.brand)
    job, is_new = await actions.order(services, principal, data, key, now=now)
    return Response(
        queries.describe(job, services.settings),
        status_code=HTTP_202_ACCEPTED if is_new else HTTP_200_OK,
        headers={"Location": f"/v1/exports/{job.id}"} | ({} if is_new else {REPLAYED: "true"}),
    )


@get("/v1/exports", guards=[requires(Scope.EXPORTS_WRITE)], tags=["finance"])
async def list_exports(
    services: Injected[Services],
    principal: Injected[Principal],
    after: AfterSeq = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[ExportResponse]:
    """List the brand's exports, newest first."""
    found = await queries.list_exports(services.engine, principal.brand.brand_id, before=after, limit=limit + 1)
    listed = page(found, limit=limit, cursor=lambda job: job.export_no)
    return Page(items=[queries.describe(job, services.settings) for job in listed.items], next=listed.next)


@get("/v1/exports/{export_id:str}", guards=[requires(Scope.EXPORTS_WRITE)], tags=["finance"])
async def get_export(export_id: FromPath[str], services: Injected[Services], principal: Injected[Principal]) -> ExportResponse:
    """Get an export: how far it has come, and its files once it is done."""
    return queries.describe(await _export(services, principal, export_id), services.settings)


@get(
    "/v1/exports/{export_id:str}/files/{name:str}",
    guards=[requires(Scope.EXPORTS_WRITE)],
    media_type="application/octet-stream",
    tags=["finance"],
    responses=problems("not_found", "files_lost", "range_not_satisfiable", "file_unavailable"),
)
async def download_export_file(
    export_id: FromPath[str],
    name: FromPath[str],
    services: Injected[Services],
    principal: Injected[Principal],
    request: Request[Any, Any, Any],
) -> Response[bytes]:
    """Download a file of an export that is done. `Range` and `If-Range` resume a download that broke off."""
    looks.see_all()
    return await actions.read_file(services, await _export(services, principal, export_id), name, request.headers)


@post(
    "/v1/exports/{export_id:str}/remake",
    guards=[requires(Scope.EXPORTS_WRITE)],
    status_code=HTTP_202_ACCEPTED,
    tags=["finance"],
    responses=problems("not_found", "too_many_exports"),
)
async def remake_export(
    export_id: FromPath[str], services: Injected[Services], principal: Injected[Principal]
) -> Response[ExportResponse]:
    """Have the files of a `lost` export made again; they are the same, byte by byte.

    Any other export is answered 200 as it is, also one that is being made again.
    """
    job, is_new = await actions.remake(services.engine, principal, await _export(services, principal, export_id))
    status = HTTP_202_ACCEPTED if is_new else HTTP_200_OK
    return Response(queries.describe(job, services.settings), status_code=status)


@delete("/v1/exports/{export_id:str}", guards=[requires(Scope.EXPORTS_WRITE)], status_code=HTTP_200_OK, tags=["finance"])
async def delete_export(
    export_id: FromPath[str], services: Injected[Services], principal: Injected[Principal]
) -> ExportResponse:
    """Cancel an export that is under way, or delete the files of one that has ended. Deleting again changes nothing."""
    job = await _export(services, principal, export_id)
    return queries.describe(await actions.delete(services.engine, principal, job), services.settings)


async def _export(services: Services, principal: Principal, export_id: str) -> ExportJob:
    found = await queries.find_export(services.engine, principal.brand.brand_id, export_id)
    if found is None:
        raise not_found("export")
    return found


route_handlers: list[Any] = [order_export, list_exports, get_export, download_export_file, remake_export, delete_export]
