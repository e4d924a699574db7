"""Sources and uses over HTTP: which grants a redemption spent, and what became of a grant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from litestar import get
from litestar.params import FromPath

from ledger import GrantUses
from service.api_reference.document import problems
from service.auth import looks
from service.auth.guards import requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.campaigns.queries import campaign_ids
from service.finance.layers.schemas import SourcesResponse, UsesResponse
from service.http.identifiers import parse_grant_id
from service.http.injection import Injected
from service.http.pagination import LIMIT_DEFAULT, AfterNumber, Limit
from service.http.problems import not_found
from service.redemptions.actions import redemption_number

if TYPE_CHECKING:
    from service.services import Services


@get(
    "/v1/redemptions/{redemption_id:str}/sources",
    guards=[requires(Scope.REDEMPTIONS_READ)],
    tags=["redemptions"],
    responses=problems("not_found"),
)
async def list_sources(
    redemption_id: FromPath[str],
    services: Injected[Services],
    principal: Injected[Principal],
    after: AfterNumber = None,
    limit: Limit = LIMIT_DEFAULT,
) -> SourcesResponse:
    """List the grants that a redemption's points came from.

    Points with the same expiry day are spent in the order in which they were granted.
    """
    brand = principal.brand
    looks.see_id(redemption_id)
    found = await services.ledger.redemption_sources(brand.book, redemption_number(brand, redemption_id))
    if found is None:
        raise not_found("redemption")
    return SourcesResponse.of(found, await campaign_ids(services.engine, brand.brand_id), after or 0, limit)


@get(
    "/v1/grants/{grant_id:str}/uses",
    guards=[requires(Scope.GRANTS_READ)],
    tags=["grants"],
    responses=problems("not_found"),
)
async def list_uses(
    grant_id: FromPath[str],
    services: Injected[Services],
    principal: Injected[Principal],
    after: AfterNumber = None,
    limit: Limit = LIMIT_DEFAULT,
) -> UsesResponse:
    """List what became of a grant's points: redemptions, expiry, and what is left.

    Points with the same expiry day are spent in the order in which they were granted.
    """
    book = principal.brand.book
    name = parse_grant_id(grant_id)
    event = None if name is None else await services.ledger.event(book, *name)
    if name is None or event is None:
        raise not_found("grant")
    looks.see(event.customer)
    found = await services.ledger.grant_uses(book, *name) or GrantUses((await services.ledger.head(book)).seq, 0, 0, ())
    return UsesResponse.of(found, book, after or 0, limit)


route_handlers: list[Any] = [list_sources, list_uses]
