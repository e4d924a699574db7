"""Handlers that answer plain requests of the API without the framework, which would cost as much as all the rest.

    @fast_path(Scope.REDEMPTIONS_WRITE, takes_body=True, takes_key=True)
    async def authorize(services: Services, principal: Principal, request: PlainRequest) -> FastAnswer: ...

A plain request is what nearly every program sends (``service.http.fast_path``). Any other request for the same goes to the
framework's route, which is the one that is described and that says what is right: tests send both the same.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from litestar.types import Receive, Send

from service.admission.limits import SINGLE_BYTES_MAX
from service.auth import looks
from service.auth.guards import admit
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.http.bodies import read_body
from service.http.dispatch import Handler
from service.http.fast_path import (
    FastAnswer,
    PlainRequest,
    authorization_with_json,
    authorization_without_body,
    idempotency_key_of,
    send_answer,
)
from service.http.problems import send_problem

if TYPE_CHECKING:
    from service.services import Services

Action = Callable[["Services", Principal, PlainRequest], Awaitable[FastAnswer]]


def fast_path(
    needed: Scope, *, takes_body: bool = False, takes_key: bool = False, value: str = ""
) -> Callable[[Action], Handler]:
    """Make a handler: it takes a plain request, whose API key must have the scope.

    With ``takes_body`` the request has a JSON body, with ``takes_key`` an ``Idempotency-Key``; the value in its path must match
    the pattern ``value``.
    """
    is_plain_value = re.compile(value).fullmatch

    def handler_of(action: Action) -> Handler:
        async def answer(
            services: Services, scope: Any, receive: Receive, send: Send, authorization: list[str], path_value: str, key: str
        ) -> None:
            try:
                principal = await admit(services, scope, authorization, needed)
                body = await read_body(receive, bytes_max=SINGLE_BYTES_MAX) if takes_body else b""
                answered = await action(services, principal, PlainRequest(path_value, body, key))
                if principal.person_id is not None:
                    await looks.record()
            except Exception as error:
                await send_problem(scope, send, error)
                return
            await send_answer(send, answered)

        def handle(services: Services, scope: Any, receive: Receive, send: Send, path_value: str) -> Awaitable[None] | None:
            if path_value and not is_plain_value(path_value):
                return None
            authorization = authorization_with_json(scope) if takes_body else authorization_without_body(scope)
            key = idempotency_key_of(scope) if takes_key else ""
            if authorization is None or key is None:
                return None
            return answer(services, scope, receive, send, authorization, path_value, key)

        return handle

    return handler_of
