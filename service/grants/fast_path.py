"""What happens to a grant, from bytes to commit: ``POST /v1/grants`` without the framework, which would cost the most.

    step                                      where                                    µs of the process, about
    HTTP in and out, the event loop           the server, service.server.coalescing_transport        90
    request id, metrics, log line, headers    service.http.middleware                      16
    whose key, scope, quota                   service.auth.guards                      11
    decode strictly                           service.http.strict_json                      7
    campaign, time, rule, answer              actions.report_one                       12
    who is meant                              service.customers.directory              21, where she is looked up
    the order, its key                        orders.order_of                           7
    wait, prepare, take the answer            ledger.engine.group_commit, ledger.engine.grants      21
    onto the wire and off it                  the driver, for both statements          29

That is with 64 connections, nobody remembered, on a machine where the constant answer takes 120.

Two round trips for as many as wait: one looks up those customers who are not remembered, one decides, writes and commits. What
waits while one is under way is the next, so the more there are at once, the less each costs.

Only the plain request is taken here: JSON, of known length, not packed, without a query. Every other one goes to the general
route (``routes.report_event``), which is the one that is described and that says what is right: a test sends both the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from litestar.types import ASGIApp, Receive, Send

from service.admission.limits import SINGLE_BYTES_MAX
from service.auth.guards import admit
from service.auth.scopes import Scope
from service.grants import actions
from service.grants.schemas import GrantRequest
from service.http.bodies import decode_struct
from service.http.fast_path import authorization_with_json, read_body, send_json
from service.http.idempotency import REPLAYED
from service.http.problems import send_problem

if TYPE_CHECKING:
    from service.services import Services

PATH = "/v1/grants"

_REPLAYED = ((REPLAYED.lower().encode(), b"true"),)

_encode = msgspec.json.Encoder().encode


def thin_route(services: Services, general: ASGIApp) -> ASGIApp:
    """Put the route in front of ``general``, the whole application, whose ``state`` it shares."""

    async def routed(scope: Any, receive: Receive, send: Send) -> None:
        is_ours = scope["type"] == "http" and scope["path"] == PATH and scope["method"] == "POST"
        sent = authorization_with_json(scope, bytes_max=SINGLE_BYTES_MAX) if is_ours else None
        if sent is None:
            await general(scope, receive, send)
            return
        scope["path_template"] = PATH
        try:
            principal = await admit(services, scope, sent, Scope.GRANTS_WRITE)
            item = decode_struct(await read_body(receive), GrantRequest)
            answer = await actions.report_one(services, principal, item, received_at=await services.clocks.now(principal.brand))
        except Exception as error:
            answer = error
        if isinstance(answer, Exception):
            await send_problem(scope, send, answer)
            return
        await send_json(send, answer.status, _encode(answer), _REPLAYED if answer.replayed else ())

    return routed
