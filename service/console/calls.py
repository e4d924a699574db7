"""A call of the API in this process, as the person who is signed in.

    funded = await call(request, campaigns.fund_campaign, campaign_id="spring", data={"points": 5}, idempotency_key=form.once)

It is the route's own function: with its guard, the checks of its parameters and its body, its limits and approvals, and what it
notes in the audit trail. So a page says what the API says, and nobody can do on a page what their key could not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import msgspec
from litestar import Litestar, Request, Response
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from litestar.status_codes import HTTP_202_ACCEPTED

from service.approvals.schemas import ApprovalResponse
from service.auth.guards import requires
from service.auth.principal import Principal
from service.console.guard import session_of
from service.http.bodies import decode_struct
from service.http.idempotency import parse_key

if TYPE_CHECKING:
    from service.services import Services

_HANDLERS = "console_calls"


class Answer(msgspec.Struct, frozen=True):
    """What the API answers: a status, and a struct of its schemas."""

    status: int
    content: Any

    @property
    def waits(self) -> ApprovalResponse | None:
        """The approval that the request waits for, if it exceeds a limit."""
        is_approval = self.status == HTTP_202_ACCEPTED and isinstance(self.content, ApprovalResponse)
        return self.content if is_approval else None


async def call(request: Request[Any, Any, Any], route: HTTPRouteHandler, **arguments: Any) -> Answer:
    """Call a route of the API with what would be in its path, query and body. Raises the problem that the API would answer.

    ``data`` is a mapping or a list, as it would be in JSON. What is ``None`` is left out.
    """
    handler = _registered(request.app, route)
    principal = session_of(request).principal
    for guard in _guards(handler):
        guard.require(principal)
    made = await handler.fn(**_arguments(request, handler, principal, arguments))
    if isinstance(made, Response):
        response = cast("Response[Any]", made)
        return Answer(response.status_code or handler.status_code, response.content)
    return Answer(handler.status_code, made)


async def ask(request: Request[Any, Any, Any], route: HTTPRouteHandler, **arguments: Any) -> Any:
    """Call a route that reads, and return what it answers."""
    return (await call(request, route, **arguments)).content


def may(principal: Principal, route: HTTPRouteHandler) -> bool:
    """Whether somebody may call a route: what they may not is not shown."""
    return all(guard.lets_through(principal) for guard in _guards(route))


def _guards(route: HTTPRouteHandler) -> Sequence[requires]:
    """The guards of a route of the API, which declares no other kind."""
    return cast("Sequence[requires]", route.guards or ())  # pyright: ignore[reportUnknownMemberType]


def _arguments(
    request: Request[Any, Any, Any], handler: HTTPRouteHandler, principal: Principal, sent: Mapping[str, Any]
) -> dict[str, Any]:
    services: Services = request.app.state.services
    taken = handler.parsed_fn_signature.parameters
    given: dict[str, Any] = {name: value for name, value in sent.items() if value is not None}
    if handler.parsed_data_field is not None:
        given["data"] = decode_struct(msgspec.json.encode(given.get("data", {})), handler.parsed_data_field.annotation)
    if "idempotency_key" in taken:
        given["idempotency_key"] = parse_key(given.get("idempotency_key"))
    own = {"services": services, "principal": principal, "request": request}
    given |= {name: value for name, value in own.items() if name in taken}
    model: Any = handler.signature_model
    return model.parse_values_from_connection_kwargs(connection=request, kwargs=given)


def _registered(app: Litestar, route: HTTPRouteHandler) -> HTTPRouteHandler:
    """The route as the application has it, which has copied it and read its signature."""
    known: dict[Any, HTTPRouteHandler] | None = app.state.get(_HANDLERS)
    if known is None:
        routes = [each for each in app.routes if isinstance(each, HTTPRoute)]
        known = app.state[_HANDLERS] = {
            handler.fn: handler for each in routes for handler, _ in each.route_handler_map.values()
        }
    return known[route.fn]
