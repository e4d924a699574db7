"""The guard of the console's routes: ``guards=[signed_in(Scope.CAMPAIGNS_READ)]``. The person who is signed in is
then the request's principal, as if they had sent a key of theirs.

A form is looked at here too, so that no route can forget to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from service.auth.guards import KEY_HASH, requires, take_on
from service.auth.scopes import Scope
from service.console import forms
from service.console.sign_in import sessions
from service.console.sign_in.sessions import Session

if TYPE_CHECKING:
    from service.services import Services

_SESSION = "console_session"


class NotSignedIn(Exception):
    """Nobody is signed in, or not any more."""


class signed_in:  # noqa: N801 - reads as a word where routes say guards=[signed_in(...)]
    """Lets a request through when somebody is signed in who holds all of ``scopes``, or ``instead``; with none, anybody."""

    def __init__(self, *scopes: Scope, instead: Scope | None = None) -> None:
        self._required = requires(*scopes, instead=instead)

    async def __call__(self, connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        services: Services = connection.app.state.services
        services.database_watch.require_safe()
        session = await sessions.find(services, connection.cookies)
        if session is None:
            raise NotSignedIn
        scope = cast("dict[str, Any]", connection.scope)
        take_on(services, scope, session.principal)
        scope["state"][_SESSION] = session
        scope["state"][KEY_HASH] = session.key_hash
        self._required.require(session.principal)
        if scope["method"] not in {"GET", "HEAD"}:
            await forms.require_own(cast("Request[Any, Any, Any]", connection), session)


def session_of(request: Request[Any, Any, Any]) -> Session:
    """Who is signed in, behind the guard."""
    session = session_or_none(request)
    if session is None:
        raise RuntimeError("a route of the console declares no guard")
    return session


def session_or_none(request: Request[Any, Any, Any]) -> Session | None:
    """Who is signed in, as far as a guard has found out."""
    state: dict[str, Any] = cast("dict[str, Any]", request.scope)["state"]
    return state.get(_SESSION)
