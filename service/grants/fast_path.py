"""What happens to a grant, from bytes to commit: ``POST /v1/grants`` without the framework, which would cost the most.

    step                                     where                                              µs of the process, about
    HTTP in and out, the event loop          the server                                         90
    request id, metrics, log line, headers   service.http.middleware                            16
    whose key, scope, quota                  service.auth.fast_path, service.auth.guards        11
    decode strictly                          service.http.strict_json                           7
    campaign, time, rule, answer             actions.report_one                                 12
    who is meant                             service.customers.directory                        21, if looked up
    the order, its key                       orders.order_of                                    7
    wait, prepare, take the answer           ledger.engine.group_commit, ledger.engine.grants   21
    onto the wire and off it                 the driver, for both statements                    29

That is with 64 connections and nobody remembered. How they compare matters: on another machine all are other numbers.

Two round trips for as many as wait: one looks up those customers who are not remembered, one decides, writes and commits. What
waits while one is under way goes together, so the more there are at once, the less each costs.

Only the plain request is taken here: JSON, of known length, not packed, without a query. Any other goes to the framework's
route, ``routes.report_event``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.auth.fast_path import fast_path
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.grants import actions
from service.grants.schemas import GrantRequest
from service.http.bodies import decode_struct
from service.http.fast_path import FastAnswer, PlainRequest

if TYPE_CHECKING:
    from service.services import Services


@fast_path(Scope.GRANTS_WRITE, takes_body=True)
async def report_event(services: Services, principal: Principal, request: PlainRequest) -> FastAnswer:
    """Report one event and pay for it."""
    item = decode_struct(request.body, GrantRequest)
    answer = await actions.report_one(services, principal, item, received_at=await services.clocks.now(principal.brand))
    if isinstance(answer, Exception):
        raise answer
    return FastAnswer(answer.status, answer, answer.replayed)
