"""API keys: what a key may do, keys that create keys, and the audit trail."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, Any, Literal

from litestar import Request, delete, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from service.auth import actions
from service.auth.audit_trail import list_entries
from service.auth.guards import caller_hash, requires
from service.auth.principal import Principal
from service.auth.schemas import AuditEntryResponse, KeyRequest, KeyResponse, MetaResponse, NewKeyResponse
from service.auth.scopes import Scope
from service.http.identifiers import parse_key_id
from service.http.injection import Injected
from service.http.pagination import LIMIT_DEFAULT, AfterNumber, AfterSeq, Limit, Page, page
from service.http.problems import not_found

if TYPE_CHECKING:
    from service.services import Services

VERSION = version("atomic-rewards")

Also = Annotated[
    list[Literal["all", "nothing", "keys", "minting_keys", "links"]] | None,
    QueryParameter(
        description="What else to revoke of what the key made; repeatable. `keys`: the keys it created, and what those made."
        " `minting_keys`: with the links they signed. `links`: with codes, batches of codes and page links. Absent: `all`."
    ),
]


@get("/v1/meta", guards=[requires()], tags=["meta"], summary="Describe the calling API key")
async def read_meta(principal: Injected[Principal]) -> MetaResponse:
    """Return the version of this service, and the brand, mode and scopes of the calling API key."""
    return MetaResponse.of(principal, VERSION)


@post("/v1/keys", guards=[requires(Scope.KEYS_WRITE)], tags=["keys"])
async def create_key(
    data: JSONBody[KeyRequest],
    services: Injected[Services],
    principal: Injected[Principal],
    request: Request[Any, Any, Any],
) -> NewKeyResponse:
    """Create an API key. The key is shown only in this response.

    If the response is lost, revoke the key (`GET /v1/keys` lists it) and create another.
    """
    key, record = await actions.issue_key(
        services.engine,
        principal,
        caller_hash(request),
        name=data.name,
        scopes=data.all_scopes,
        max_evidence=data.max_evidence,
        expires_at=data.expires_at,
        quota_per_minute=data.quota_per_minute,
        lateness_hours=data.lateness_hours,
    )
    return NewKeyResponse.made(record, key)


@get("/v1/keys", guards=[requires(Scope.KEYS_WRITE)], tags=["keys"])
async def list_keys(
    services: Injected[Services],
    principal: Injected[Principal],
    after: AfterNumber = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[KeyResponse]:
    """List the brand's keys, oldest first, including expired and revoked ones."""
    found = await actions.brand_keys(services.engine, principal, after=after or 0, limit=limit + 1)
    listed = page(found, limit=limit, cursor=lambda record: record.api_key_id)
    return Page(items=[KeyResponse.of(record) for record in listed.items], next=listed.next)


@delete("/v1/keys/{key_id:str}", guards=[requires(Scope.KEYS_WRITE)], status_code=200, tags=["keys"])
async def revoke_key(
    key_id: FromPath[str],
    services: Injected[Services],
    principal: Injected[Principal],
    request: Request[Any, Any, Any],
    also: Also = None,
) -> KeyResponse:
    """Revoke a key for good, together with what it made. Revoking it again returns the same answer.

    Every process refuses the key within one second. The keys, minting keys and links it made are revoked too, unless `also`
    narrows that: send `also=nothing` when you rotate a key. `GET /v1/keys/{id}/made` lists what would be revoked.
    """
    api_key_id = parse_key_id(key_id)
    if api_key_id is None:
        raise not_found("key")
    taken = actions.made_of(also or ["all"])
    return KeyResponse.of(await actions.withdraw_key(services.engine, principal, caller_hash(request), api_key_id, taken))


@get("/v1/audit-trail", guards=[requires(Scope.AUDIT_READ, instead=Scope.ADMIN)], tags=["keys"])
async def list_audit_trail(
    services: Injected[Services],
    principal: Injected[Principal],
    after: AfterSeq = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[AuditEntryResponse]:
    """List administrative acts and who performed them, oldest first. Entries never change."""
    found = await list_entries(services.engine, principal.brand.brand_id, after=after or 0, limit=limit + 1)
    listed = page(found, limit=limit, cursor=lambda entry: entry.entry_no)
    return Page(items=[AuditEntryResponse.of(entry) for entry in listed.items], next=listed.next)


route_handlers: list[Any] = [read_meta, create_key, list_keys, revoke_key, list_audit_trail]
