"""What a brand administers of its links, over HTTP: batches of codes, keys of its own, and what is revoked."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from litestar import Request, Response, delete, get, post
from litestar.params import FromPath, JSONBody
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED

from service.api_reference.document import problems
from service.auth.guards import count_items, requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.code_batches import actions as code_batches
from service.code_batches import claims as code_claims
from service.code_batches.actions import CodeBatch
from service.grants.schemas import GrantAnswer
from service.http.identifiers import parse_key_id, parse_position
from service.http.injection import Injected
from service.http.pagination import LIMIT_DEFAULT, AfterNumber, AfterPosition, Limit, Page, page
from service.http.problems import not_found
from service.link_checks import actions as checks
from service.links import minting_keys, offline_links
from service.links.minting_keys import MintingKey, public_key_of, text_of
from service.links.schemas import (
    CodeBatchRequest,
    CodeBatchResponse,
    CodeClaimRequest,
    LinkCheckRequest,
    LinkCheckResults,
    MintingKeyRequest,
    MintingKeyResponse,
    NumbersRequest,
    NumbersResponse,
    RevocationRequest,
    RevocationResponse,
)
from service.revocations import actions as revocations
from service.revocations.made_by_keys import MadeResponse, made_by
from service.tokens.offline import kid_of, parse_kid

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
    return await revocations.revoke(services.engine, principal, data)


@get("/v1/link-revocations", guards=[requires(Scope.LINKS_WRITE, instead=Scope.ADMIN)], tags=["links"])
async def list_link_revocations(
    services: Injected[Services],
    principal: Injected[Principal],
    after: AfterNumber = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[RevocationResponse]:
    """List the brand's link revocations, oldest first."""
    found = await revocations.list_revocations(services.engine, principal.brand.brand_id, after=after or 0, limit=limit + 1)
    return page(found, limit=limit, cursor=lambda revocation: revocation.id)


@delete("/v1/link-revocations/{revocation:int}", guards=[requires(Scope.ADMIN)], status_code=200, tags=["links"])
async def restore_links(
    revocation: FromPath[int], services: Injected[Services], principal: Injected[Principal]
) -> RevocationResponse:
    """Undo a revocation. The key whose links were revoked cannot do this itself."""
    return await revocations.restore(services.engine, principal, revocation)


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
    batch, is_new = await code_batches.make(services, principal, data, now=await services.clocks.now(principal.brand))
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
    found = await code_batches.list_batches(services.engine, brand.brand_id, after=after or 0, limit=limit + 1)
    listed = page(found, limit=limit, cursor=lambda batch: batch.batch_no)
    return Page(items=[await code_batches.describe(services, brand, batch) for batch in listed.items], next=listed.next)


@get("/v1/code-batches/{batch_id:str}", guards=[requires(Scope.LINKS_WRITE)], tags=["links"])
async def get_code_batch(
    batch_id: FromPath[str], principal: Injected[Principal], services: Injected[Services]
) -> CodeBatchResponse:
    """Get a batch of codes, with the number of codes claimed."""
    return await code_batches.describe(services, principal.brand, await _batch(services, principal, batch_id))


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
        await code_batches.file_of(services, principal.brand, batch),
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
    return await code_claims.claim(services, principal, data, now=await services.clocks.now(principal.brand))


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


@post("/v1/links/check", guards=[requires(Scope.LINKS_WRITE)], status_code=200, tags=["links"])
async def check_links(
    data: JSONBody[LinkCheckRequest],
    principal: Injected[Principal],
    services: Injected[Services],
    request: Request[Any, Any, Any],
) -> LinkCheckResults:
    """Check links that your systems signed or minted: the state of each, or why it is not honoured.

    Customers are only told that a bad link was not found. Nothing is stored, and nothing is paid.
    """
    await count_items(request, principal, len(data.links))
    at = datetime.now(UTC)
    now = await services.clocks.at(principal.brand, at)
    checked = [await checks.check(services, principal, text, now=now, at=at) for text in data.links]
    return LinkCheckResults.of(checked, request_id=request.scope["state"]["request_id"])


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


async def _batch(services: Services, principal: Principal, batch_id: str) -> CodeBatch:
    found = await code_batches.find_batch(services.engine, principal.brand.brand_id, batch_id)
    if found is None:
        raise not_found("batch of codes")
    return found


route_handlers: list[Any] = [
    revoke_links,
    list_link_revocations,
    restore_links,
    make_code_batch,
    list_code_batches,
    get_code_batch,
    get_codes,
    claim_code,
    list_made_by_key,
    register_minting_key,
    list_minting_keys,
    retire_minting_key,
    revoke_minting_key,
    number_for_links,
    check_links,
]
