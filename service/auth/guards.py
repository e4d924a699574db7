"""The guard that routes declare: ``guards=[requires(Scope.GRANTS_WRITE)]``. It finds out who calls, and whether they may.

``admit`` is the same for the fast path. What a request costs of the key's quota is counted here too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from service.admission.in_flight import Reservation
from service.auth import looks
from service.auth.api_keys import hash_key, read_authorization
from service.auth.principal import Principal
from service.auth.quotas import exceeded, too_many
from service.auth.scopes import Scope
from service.http.problems import REFUSALS, Problem

if TYPE_CHECKING:
    from service.services import Services

KEY_HASH = "key_hash"
"""Where in a request's state the hash of the key is with which a person acts who is signed in and shows none."""

_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="rewards"'}


class requires:  # noqa: N801 - reads as a word where routes say guards=[requires(...)]
    """Lets a request through when its key holds all of ``scopes``, or ``instead``; with none, any valid key will do."""

    def __init__(self, *scopes: Scope, instead: Scope | None = None) -> None:
        self.scopes = scopes
        self.instead = instead

    async def __call__(self, connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        sent = connection.headers.getall("authorization", [])
        await admit(
            connection.app.state.services, cast("dict[str, Any]", connection.scope), sent, *self.scopes, instead=self.instead
        )

    def lets_through(self, principal: Principal) -> bool:
        """Whether whoever is known already may make the call."""
        return _may(principal, self.scopes, self.instead)

    def require(self, principal: Principal) -> None:
        """Raise the problem of somebody who may not."""
        if not self.lets_through(principal):
            raise _missing(self.scopes, self.instead)


async def admit(
    services: Services, scope: dict[str, Any], sent: Sequence[str], *needed: Scope, instead: Scope | None = None
) -> Principal:
    """Let a request through, or raise why not; ``sent`` is what its ``Authorization`` has. It takes one of the key's quota."""
    principal = await authenticate(services, scope, sent)
    if not _may(principal, needed, instead):
        raise _missing(needed, instead)
    if principal.quota_per_minute is not None:
        await _spend(services, scope, principal, principal.quota_per_minute, 1)
    return principal


def _may(principal: Principal, needed: Sequence[Scope], instead: Scope | None) -> bool:
    return principal.scopes.issuperset(needed) or instead in principal.scopes


def _missing(needed: Sequence[Scope], instead: Scope | None) -> Problem:
    return Problem("missing_scope", f"This call needs an API key with {scopes_in_words(needed, instead)}.")


def scopes_in_words(scopes: Sequence[str], instead: str | None, quote: str = "") -> str:
    """Say which scopes a call needs."""
    named = " and ".join(f"{quote}{scope}{quote}" for scope in scopes)
    either = "" if instead is None else f" or {quote}{instead}{quote}"
    return f"the scope{'s' if len(scopes) > 1 else ''} {named}{either}"


async def authenticate(services: Services, scope: dict[str, Any], sent: Sequence[str]) -> Principal:
    """Return who calls and remember it for the request. Raises the problem ``unauthorized``."""
    if not sent:
        raise Problem("unauthorized", "Send the header Authorization: Bearer rk_...", headers=_CHALLENGE)
    key = read_authorization(sent[0]) if len(sent) == 1 else None
    watch = services.database_watch
    watch.require_safe()
    principals = services.principals
    principal = None if key is None else await principals.by_hash(hash_key(key))
    if principal is None:
        raise Problem("unauthorized", "The API key is unknown, expired or revoked.", headers=_CHALLENGE)
    take_on(services, scope, principal)
    return principal


def take_on(services: Services, scope: dict[str, Any], principal: Principal) -> None:
    """Remember for a request who makes it. Raises the problem of one more than their share."""
    key_use = services.key_use
    key_use.note(principal.api_key_id)
    looks.follow(services.engine, principal, scope)
    scope["auth"] = principal
    scope["state"]["principal"] = principal
    held: Reservation | None = scope.get("held")
    if held is not None and (refusal := held.assign_to(principal.api_key_id, principal.brand.brand_id)) is not None:
        refused = REFUSALS[refusal]
        raise Problem(refused.code, refused.detail, headers=refused.headers)


def caller_hash(request: Request[Any, Any, Any]) -> bytes:
    """Return the hash of the key of a request that a guard has let through: what the database takes for the key itself."""
    state: dict[str, Any] = cast("dict[str, Any]", request.scope)["state"]
    if (of_session := state.get(KEY_HASH)) is not None:
        return of_session
    key = read_authorization(request.headers.get("authorization"))
    if key is None:
        raise RuntimeError("a route asks for the caller's key and declares no guard")
    return hash_key(key)


async def count_items(request: Request[Any, Any, Any], principal: Principal, items: int) -> None:
    """Count a batch's items against the key's quota; routes of batches call it first. One was counted with the request."""
    if principal.quota_per_minute is not None and items > principal.quota_per_minute:
        raise too_many(principal.quota_per_minute, items)
    if principal.quota_per_minute is not None:
        scope = cast("dict[str, Any]", request.scope)
        await _spend(request.app.state.services, scope, principal, principal.quota_per_minute, items - 1)


async def _spend(services: Services, scope: dict[str, Any], principal: Principal, quota: int, items: int) -> None:
    quotas = services.quotas
    taken = await quotas.take(principal.api_key_id, quota, items)
    standing = quotas.standing(principal.api_key_id, quota)
    scope["state"]["answer_headers"] = standing.headers()
    if not taken:
        raise exceeded(standing)


async def provide_principal(request: Request[Any, Any, Any]) -> Principal:
    """Return who calls; routes take it as ``principal: Injected[Principal]`` beside a guard."""
    principal: object = request.scope["auth"]
    if not isinstance(principal, Principal):
        raise RuntimeError("a route takes a principal and declares no guard")
    return principal
