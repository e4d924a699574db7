"""Sources over HTTP. What providers send does not come this way, but by ``intake``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from litestar import get, patch, post
from litestar.params import FromPath, JSONBody

from service.api_reference.document import problems
from service.auth.guards import requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.http.identifiers import parse_source_id
from service.http.injection import Injected
from service.http.pagination import LIMIT_DEFAULT, AfterNumber, Limit, Page, page
from service.http.problems import not_found
from service.ingest import actions
from service.ingest.schemas import IngestSourceResponse, SourcePatch, SourceRequest
from service.ingest.tables import source as sources

if TYPE_CHECKING:
    from service.services import Services


@post(
    "/v1/sources",
    guards=[requires(Scope.SOURCES_WRITE)],
    tags=["sources"],
    responses=problems("unknown_campaign", "beyond_this_key"),
)
async def create_source(
    data: JSONBody[SourceRequest], services: Injected[Services], principal: Injected[Principal]
) -> IngestSourceResponse:
    """Set up a source: a messaging provider that sends its webhooks here. Paste `ingest_url` into the provider's console.

    It reports in the name of the calling key, and no stronger evidence than the key may claim. If the response is lost, list
    the sources.
    """
    return await actions.create(services, principal, data)


@get("/v1/sources", guards=[requires(Scope.SOURCES_READ, instead=Scope.SOURCES_WRITE)], tags=["sources"])
async def list_ingest_sources(
    services: Injected[Services],
    principal: Injected[Principal],
    after: AfterNumber = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[IngestSourceResponse]:
    """List the brand's sources, oldest first, and how each stands."""
    found = await actions.show(services, principal, sources.c.source_no > (after or 0), limit=limit + 1)
    return page(found, limit=limit, cursor=lambda source: source.id.removeprefix("src_"))


@get(
    "/v1/sources/{source_id:str}",
    guards=[requires(Scope.SOURCES_READ, instead=Scope.SOURCES_WRITE)],
    tags=["sources"],
    responses=problems("not_found"),
)
async def get_source(
    source_id: FromPath[str], services: Injected[Services], principal: Injected[Principal]
) -> IngestSourceResponse:
    """Get a source and how it stands."""
    return await actions.shown(services, principal, _number(source_id))


@patch(
    "/v1/sources/{source_id:str}",
    guards=[requires(Scope.SOURCES_WRITE)],
    tags=["sources"],
    responses=problems("not_found", "unknown_campaign", "beyond_this_key"),
)
async def change_source(
    source_id: FromPath[str],
    data: JSONBody[SourcePatch],
    services: Injected[Services],
    principal: Injected[Principal],
) -> IngestSourceResponse:
    """Change a source, or disable it. Every process knows within one second.

    From then on it reports in the name of the calling key: to keep a source when its key is replaced, change it with the new
    key (an empty body will do) before you revoke the old one.
    """
    return await actions.change(services, principal, _number(source_id), data)


def _number(source_id: str) -> int:
    number = parse_source_id(source_id)
    if number is None:
        raise not_found("source")
    return number


route_handlers: list[Any] = [create_source, list_ingest_sources, get_source, change_source]
