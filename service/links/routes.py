"""Links over HTTP: minting for the brand's systems, pages for her customers, keys for whoever checks a link."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from litestar import HttpMethod, Request, Response, Router, get, post, route
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from service.auth.guards import count_items, requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.bodies import BATCH_BYTES_MAX
from service.links import actions, link_tokens, visits
from service.links.pages import respond_to_error
from service.links.schemas import LinkBatch, LinkResults


@post(
    "/v1/links",
    guards=[requires(Scope.LINKS_WRITE)],
    status_code=200,
    request_max_body_size=BATCH_BYTES_MAX,
    tags=["links"],
)
async def mint_links(
    data: JSONBody[LinkBatch], principal: NamedDependency[Principal], state: State, request: Request[Any, Any, Any]
) -> LinkResults:
    """Mint reward links.

    The same item again gives the same link, with status 200 instead of 201. What is wrong with one item concerns that item
    alone.
    """
    await count_items(request, principal, len(data))
    minted = await actions.mint(state, principal, await data.items(), now=await state.clocks.now(principal.brand))
    return LinkResults.of(minted, request_id=request.scope["state"]["request_id"])


@get("/.well-known/jwks.json", cache_control=None, tags=["links"])
async def list_link_keys(state: State) -> Response[dict[str, list[dict[str, str]]]]:
    """Give the public keys of links as a JSON Web Key Set.

    Retired keys, which no longer sign and are still honoured, are among them.
    """
    return Response(link_tokens.jwks(state.link_host.keys), headers={"Cache-Control": "public, max-age=300"})


@route("/{token:str}", http_method=[HttpMethod.GET, HttpMethod.HEAD])
async def open_link(token: FromPath[str], state: State, request: Request[Any, Any, Any]) -> Response[str]:
    """Show the customer what the link would earn. Looking earns nothing, whoever looks."""
    return await visits.look(state, token, request.headers, now=datetime.now(UTC))


@post("/{token:str}", status_code=303)
async def claim_link(token: FromPath[str], state: State, request: Request[Any, Any, Any]) -> Response[str]:
    """Give the customer the link's points, once, and redirect to a page that says what was decided."""
    return await visits.claim(state, token, request.headers, now=datetime.now(UTC))


@route("/done/{receipt:str}", http_method=[HttpMethod.GET, HttpMethod.HEAD])
async def show_claim(receipt: FromPath[str], state: State, request: Request[Any, Any, Any]) -> Response[str]:
    """Show what was decided on a claim, and lead on to the destination."""
    return await visits.review(state, receipt, request.headers, now=datetime.now(UTC))


pages = Router(
    "/r",
    route_handlers=[open_link, claim_link, show_claim],
    exception_handlers={Exception: respond_to_error},
    dto=None,
    include_in_schema=False,
)

route_handlers: list[Any] = [mint_links, list_link_keys, pages]
