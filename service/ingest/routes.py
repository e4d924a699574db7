"""Sources over HTTP. What providers send does not come this way, but by ``intake``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from litestar import get, patch, post
from litestar.params import FromPath, JSONBody, QueryParameter

from service.api_reference.document import problems
from service.auth.guards import requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.http.identifiers import parse_source_id
from service.http.injection import Injected
from service.http.pagination import LIMIT_DEFAULT, AfterNumber, AfterSeq, Limit, Page, page
from service.http.problems import not_found
from service.ingest import actions, deliveries
from service.ingest.outcomes import Outcome
from service.ingest.schemas import (
    DeliveredEventResponse,
    DeliveryResponse,
    IngestSourceResponse,
    SourcePatch,
    SourceRequest,
    Verdict,
)
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
    return await actions.shown(services, principal, number_of(source_id))


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
    return await actions.change(services, principal, number_of(source_id), data)


OfVerdict = Annotated[Verdict | None, QueryParameter(description="The verdict of the deliveries.")]
OfOutcome = Annotated[Outcome | None, QueryParameter(description="An outcome that at least one of their events has.")]
OfReplay = Annotated[
    int | None, QueryParameter(ge=0, le=2**31 - 1, description="Which replay read it; 0: as it came. Absent: the last reading.")
]


@get(
    "/v1/sources/{source_id:str}/deliveries",
    guards=[requires(Scope.SOURCES_READ, instead=Scope.SOURCES_WRITE)],
    tags=["sources"],
    responses=problems("not_found"),
)
async def list_deliveries(
    source_id: FromPath[str],
    services: Injected[Services],
    principal: Injected[Principal],
    verdict: OfVerdict = None,
    outcome: OfOutcome = None,
    after: AfterSeq = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[DeliveryResponse]:
    """List what came to a source, newest first: whether it was the provider's, and what became of it.

    With a filter, a page looks through 1,000 deliveries: it may have few items, or none, and still a `next`.
    """
    number = number_of(source_id)
    return await deliveries.list_deliveries(
        services, principal, number, verdict=verdict, outcome=outcome, after=after, limit=limit
    )


@get(
    "/v1/sources/{source_id:str}/deliveries/{delivery:int}/events",
    guards=[requires(Scope.SOURCES_READ, instead=Scope.SOURCES_WRITE)],
    tags=["sources"],
    responses=problems("not_found"),
)
async def list_delivered_events(
    source_id: FromPath[str],
    delivery: FromPath[int],
    services: Injected[Services],
    principal: Injected[Principal],
    replay: OfReplay = None,
    after: AfterNumber = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[DeliveredEventResponse]:
    """List the events of a delivery in their order, and what became of each and why."""
    return await deliveries.list_events(
        services, principal, number_of(source_id), delivery, replay=replay, after=after or 0, limit=limit
    )


def number_of(source_id: str) -> int:
    """The number of a source, by its id."""
    number = parse_source_id(source_id)
    if number is None:
        raise not_found("source")
    return number


route_handlers: list[Any] = [
    create_source,
    list_ingest_sources,
    get_source,
    change_source,
    list_deliveries,
    list_delivered_events,
]
