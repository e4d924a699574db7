"""What a brand administers of its links, over HTTP: what is revoked."""

from __future__ import annotations

from typing import Any

from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from sqlalchemy.ext.asyncio import AsyncEngine

from service.auth.guards import requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.links import revocations
from service.links.schemas import RevocationRequest, RevocationResponse
from service.openapi import problems
from service.pagination import LIMIT_DEFAULT, AfterNumber, Limit, Page, page


@post(
    "/v1/link-revocations",
    guards=[requires(Scope.LINKS_WRITE)],
    status_code=200,
    tags=["links"],
    responses=problems("unknown_campaign"),
)
async def revoke_links(
    data: JSONBody[RevocationRequest], engine: NamedDependency[AsyncEngine], principal: NamedDependency[Principal]
) -> RevocationResponse:
    """Revoke links: from now on they earn nothing, and whoever follows one reads that it was withdrawn.

    What they have earned stays. The same again changes nothing.
    """
    return await revocations.revoke(engine, principal, data)


@get("/v1/link-revocations", guards=[requires(Scope.LINKS_WRITE)], tags=["links"])
async def list_link_revocations(
    engine: NamedDependency[AsyncEngine],
    principal: NamedDependency[Principal],
    after: AfterNumber = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[RevocationResponse]:
    """What is revoked of the brand's links, oldest first."""
    found = await revocations.list_revocations(engine, principal.brand.brand_id, after=after or 0, limit=limit + 1)
    return page(found, limit=limit, cursor=lambda revocation: revocation.id)


@delete("/v1/link-revocations/{revocation:int}", guards=[requires(Scope.ADMIN)], status_code=200, tags=["links"])
async def restore_links(
    revocation: FromPath[int], engine: NamedDependency[AsyncEngine], principal: NamedDependency[Principal]
) -> RevocationResponse:
    """Take a revocation back. A key that minted what it should not have cannot do so itself."""
    return await revocations.restore(engine, principal, revocation)


route_handlers: list[Any] = [revoke_links, list_link_revocations, restore_links]
