"""Links over HTTP: minting for the brand's systems, pages for her customers, keys for whoever checks a link."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from litestar import HttpMethod, Request, Response, Router, get, post, route
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from service.auth.guards import requires
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
    summary="Mint reward links",
)
async def mint_links(
    data: JSONBody[LinkBatch], principal: NamedDependency[Principal], state: State, request: Request[Any, Any, Any]
) -> LinkResults:
    """Mint a signed link for each item. The same item again gives the same link, with status 200 instead of 201."""
    minted = await actions.mint(state, principal, data.items, now=datetime.now(UTC))
    return LinkResults.of(minted, request_id=request.scope["state"]["request_id"])


@get("/.well-known/jwks.json", cache_control=None, tags=["links"], summary="The keys that sign links")
async def list_link_keys(state: State) -> Response[dict[str, list[dict[str, str]]]]:
    """Give the public keys of links as a JSON Web Key Set, also those that are retired and still honoured."""
    return Response(link_tokens.jwks(state.link_host.keys), headers={"Cache-Control": "public, max-age=300"})


@route("/{token:str}", http_method=[HttpMethod.GET, HttpMethod.HEAD], tags=["links"], summary="Open a reward link")
async def open_link(token: FromPath[str], state: State, request: Request[Any, Any, Any]) -> Response[str]:
    """Show the customer what the link would earn. Looking earns nothing, whoever looks."""
    return await visits.look(state, token, request.headers, now=datetime.now(UTC))


@post("/{token:str}", status_code=303, tags=["links"], summary="Claim a reward link")
async def claim_link(token: FromPath[str], state: State, request: Request[Any, Any, Any]) -> Response[str]:
    """Give the customer the link's points, once, and redirect to a page that says what was decided."""
    return await visits.claim(state, token, request.headers, now=datetime.now(UTC))


@route("/done/{receipt:str}", http_method=[HttpMethod.GET, HttpMethod.HEAD], tags=["links"], summary="See a claim's result")
async def show_claim(receipt: FromPath[str], state: State, request: Request[Any, Any, Any]) -> Response[str]:
    """Show what was decided on a claim, and lead on to the destination."""
    return await visits.review(state, receipt, request.headers, now=datetime.now(UTC))


pages = Router("/r", route_handlers=[open_link, claim_link, show_claim], exception_handlers={Exception: respond_to_error})

route_handlers: list[Any] = [mint_links, list_link_keys, pages]
