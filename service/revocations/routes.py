"""Revocations over HTTP, and what a key has made that they take back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from litestar import delete, get, post
from litestar.params import FromPath, JSONBody

from service.api_reference.document import problems
from service.auth.guards import requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.http.identifiers import parse_key_id, parse_position
from service.http.injection import Injected
from service.http.pagination import LIMIT_DEFAULT, AfterNumber, AfterPosition, Limit, Page, page
from service.http.problems import not_found
from service.revocations import actions
from service.revocations.made_by_keys import MadeResponse, made_by
from service.revocations.schemas import RevocationRequest, RevocationResponse

if TYPE_CHECKING:
    from service.services import Services


@post(
    "/v1/link-revocations",
    guards=[requires(Scope.LINKS_WRITE, instead=Scope.ADMIN)],
    status_code=200,
    tags=["links"],
    responses=problems("unknown_campaign"),
)
async def revoke_links(
    data: JSONBody[RevocationRequest], services: Injected[Services], principal: Injected[Principal]
) -> RevocationResponse:
    """Revoke links. They stop earning at once, and their pages say that the brand withdrew them.

    What they have earned stays. Revoking again changes nothing.
    """
    return await actions.revoke(services.engine, principal, data)


@get("/v1/link-revocations", guards=[requires(Scope.LINKS_WRITE, instead=Scope.ADMIN)], tags=["links"])
async def list_link_revocations(
    services: Injected[Services],
    principal: Injected[Principal],
    after: AfterNumber = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[RevocationResponse]:
    """List the brand's link revocations, oldest first."""
    found = await actions.list_revocations(services.engine, principal.brand.brand_id, after=after or 0, limit=limit + 1)
    return page(found, limit=limit, cursor=lambda revocation: revocation.id)


@delete("/v1/link-revocations/{revocation:int}", guards=[requires(Scope.ADMIN)], status_code=200, tags=["links"])
async def restore_links(
    revocation: FromPath[int], services: Injected[Services], principal: Injected[Principal]
) -> RevocationResponse:
    """Undo a revocation. Needs a key with `admin`."""
    return await actions.restore(services.engine, principal, revocation)


@get("/v1/keys/{key_id:str}/made", guards=[requires(Scope.KEYS_WRITE)], tags=["keys"], responses=problems("not_found"))
async def list_made_by_key(
    key_id: FromPath[str],
    principal: Injected[Principal],
    services: Injected[Services],
    after: AfterPosition = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[MadeResponse]:
    """List what a key and the keys it created have made: what revoking the key would revoke with it."""
    api_key_id = parse_key_id(key_id)
    if api_key_id is None:
        raise not_found("key")
    read = None if after is None else parse_position(after)
    return await made_by(services.pool, principal.brand.brand_id, api_key_id, after=read, limit=limit)


route_handlers: list[Any] = [revoke_links, list_link_revocations, restore_links, list_made_by_key]
