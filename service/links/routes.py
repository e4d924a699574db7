"""Links over HTTP: minting them here, keys with which a brand signs its own, and our keys for whoever checks a link."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from litestar import Request, Response, delete, get, post
from litestar.params import FromPath, JSONBody
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED

from service.admission.limits import BATCH_BYTES_MAX
from service.api_reference.document import problems
from service.auth.guards import count_items, requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.http.batch_results import Results, results_of
from service.http.injection import Injected
from service.http.pagination import LIMIT_DEFAULT, AfterNumber, Limit, Page, page
from service.http.problems import not_found
from service.links import mint, minting_keys, offline_links
from service.links.minting_keys import MintingKey, public_key_of, text_of
from service.links.schemas import (
    LinkBatch,
    LinkResult,
    MintingKeyRequest,
    MintingKeyResponse,
    NumbersRequest,
    NumbersResponse,
    link_result,
)
from service.tokens import link as link_tokens
from service.tokens.offline import kid_of, parse_kid

if TYPE_CHECKING:
    from service.services import Services


@post(
    "/v1/links",
    guards=[requires(Scope.LINKS_WRITE)],
    status_code=200,
    request_max_body_size=BATCH_BYTES_MAX,
    tags=["links"],
)
async def mint_links(
    data: JSONBody[LinkBatch],
    principal: Injected[Principal],
    services: Injected[Services],
    request: Request[Any, Any, Any],
) -> Results[LinkResult]:
    """Mint up to 10,000 reward links. Errors are per item.

    Sending the same item again returns the same link, with status 200 instead of 201.
    """
    await count_items(request, principal, len(data))
    minted = await mint.mint(services, principal, data, now=await services.clocks.now(principal.brand))
    return results_of(minted, link_result, request_id=request.scope["state"]["request_id"])


@get("/.well-known/jwks.json", cache_control=None, tags=["links"])
async def list_link_keys(services: Injected[Services]) -> Response[dict[str, list[dict[str, str]]]]:
    """Get the public keys of links as a JSON Web Key Set.

    It includes retired keys, which no longer sign but are still honoured.
    """
    return Response(link_tokens.jwks(services.token_keys.links), headers={"Cache-Control": "public, max-age=300"})


@post(
    "/v1/minting-keys",
    guards=[requires(Scope.KEYS_WRITE, Scope.LINKS_WRITE)],
    tags=["links"],
    responses=problems("beyond_this_key"),
)
async def register_minting_key(
    data: JSONBody[MintingKeyRequest], services: Injected[Services], principal: Injected[Principal]
) -> Response[MintingKeyResponse]:
    """Register the public half of a key with which your own systems sign links. The same key again answers 200.

    Anyone who has the private half can mint links for every customer and campaign of the brand. The minting key expires with
    the API key that registers it. An API key with a quota cannot register one, because the links would not count towards the
    quota.
    """
    key, is_new = await minting_keys.register(services.engine, principal, data.name, public_key_of(data.public_key))
    return Response(_shown(key), status_code=HTTP_201_CREATED if is_new else HTTP_200_OK)


@get("/v1/minting-keys", guards=[requires(Scope.KEYS_WRITE)], tags=["links"])
async def list_minting_keys(
    services: Injected[Services],
    principal: Injected[Principal],
    after: AfterNumber = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[MintingKeyResponse]:
    """List the brand's minting keys, oldest first, including retired and revoked ones."""
    found = await minting_keys.list_keys(services.engine, principal.brand.brand_id, after=after or 0, limit=limit + 1)
    listed = page(found, limit=limit, cursor=lambda key: key.key_no)
    return Page(items=[_shown(key) for key in listed.items], next=listed.next)


@post("/v1/minting-keys/{kid:str}/retire", guards=[requires(Scope.KEYS_WRITE)], status_code=200, tags=["links"])
async def retire_minting_key(
    kid: FromPath[str], services: Injected[Services], principal: Injected[Principal]
) -> MintingKeyResponse:
    """Retire a minting key: links signed until now are honoured, later ones are not."""
    return _shown(await minting_keys.retire(services.engine, principal, _key_no(kid)))


@delete("/v1/minting-keys/{kid:str}", guards=[requires(Scope.KEYS_WRITE)], status_code=200, tags=["links"])
async def revoke_minting_key(
    kid: FromPath[str], services: Injected[Services], principal: Injected[Principal]
) -> MintingKeyResponse:
    """Revoke a minting key: no link it ever signed is honoured. What its links have earned stays."""
    return _shown(await minting_keys.revoke(services.engine, principal, _key_no(kid)))


@post("/v1/link-numbers", guards=[requires(Scope.LINKS_WRITE)], status_code=200, tags=["links"])
async def number_for_links(
    data: JSONBody[NumbersRequest],
    principal: Injected[Principal],
    services: Injected[Services],
    request: Request[Any, Any, Any],
) -> NumbersResponse:
    """Get the numbers that stand for customers and destinations in links you sign yourself. They never change."""
    await count_items(request, principal, max(1, len(data.customers)))
    return await offline_links.numbers(services, principal, data, request_id=request.scope["state"]["request_id"])


def _key_no(kid: str) -> int:
    key_no = parse_kid(kid)
    if key_no is None:
        raise not_found("minting key")
    return key_no


def _shown(key: MintingKey) -> MintingKeyResponse:
    return MintingKeyResponse(
        kid=kid_of(key.key_no),
        name=key.name,
        public_key=text_of(key.public_key),
        registered_at=key.registered_at,
        expires_at=key.expires_at,
        retired_at=key.retired_at,
        revoked_at=key.revoked_at,
    )


route_handlers: list[Any] = [
    mint_links,
    register_minting_key,
    list_minting_keys,
    retire_minting_key,
    revoke_minting_key,
    number_for_links,
    list_link_keys,
]
