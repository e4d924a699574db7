"""Consents over HTTP."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from litestar import Request, get, post, put
from litestar.params import FromPath, JSONBody

from service.admission.limits import BATCH_BYTES_MAX
from service.api_reference.document import problems
from service.auth.guards import count_items, requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.consents import actions
from service.consents.schemas import (
    ConsentAnswer,
    ConsentBatch,
    ConsentRequest,
    ConsentResult,
    ConsentsResponse,
    result_of,
)
from service.http.batch_results import Results, results_of
from service.http.identifiers import parse_position
from service.http.injection import Injected
from service.http.pagination import LIMIT_DEFAULT, AfterPosition, Limit
from service.http.problems import Problem

if TYPE_CHECKING:
    from service.services import Services

_READ = [requires(Scope.CUSTOMERS_READ)]
_WRITE = [requires(Scope.CUSTOMERS_WRITE)]

_CHANNEL = re.compile(r"[a-z][a-z0-9_.]{0,31}")


@put(
    "/v1/customers/{customer_id:str}/consents/{channel:str}",
    guards=_WRITE,
    tags=["customers"],
    responses=problems("not_found"),
)
async def put_consent(
    customer_id: FromPath[str],
    channel: FromPath[str],
    data: JSONBody[ConsentRequest],
    principal: Injected[Principal],
    services: Injected[Services],
) -> ConsentAnswer:
    """Set whether a customer may be contacted on a channel. Setting it again changes nothing.

    Events on a refused channel earn nothing, from the refusal's `at` until the customer grants it again. What counts is when
    the event happened, not when we heard of it. Other API processes follow within one second. The channel `rewards` stands
    for all channels: a customer who refuses it earns nothing anywhere.
    """
    if not _CHANNEL.fullmatch(channel):
        raise Problem("not_found", "A channel is lower case and at most 32 characters long, such as email.")
    now = await services.clocks.now(principal.brand)
    return await actions.record_one(services, principal, customer_id, channel, data, now=now)


@post(
    "/v1/consents/batch",
    guards=_WRITE,
    status_code=200,
    request_max_body_size=BATCH_BYTES_MAX,
    tags=["customers"],
)
async def put_consents(
    data: JSONBody[ConsentBatch],
    principal: Injected[Principal],
    services: Injected[Services],
    request: Request[Any, Any, Any],
) -> Results[ConsentResult]:
    """Set consent for up to 10,000 customers at once, for example from a do-not-call list. Errors are per item.

    Name customers by id, email or phone. A name we do not know yet is stored too, and applies once a customer is reported
    under it.
    """
    await count_items(request, principal, len(data))
    now = await services.clocks.now(principal.brand)
    answers = await actions.record_many(services, principal, await data.items(), now=now)
    request_id: str = request.scope["state"]["request_id"]
    return results_of(answers, result_of, request_id=request_id)


@get("/v1/customers/{customer_id:str}/consents", guards=_READ, tags=["customers"], responses=problems("not_found"))
async def get_consents(
    customer_id: FromPath[str],
    principal: Injected[Principal],
    services: Injected[Services],
    after: AfterPosition = None,
    limit: Limit = LIMIT_DEFAULT,
) -> ConsentsResponse:
    """Get a customer's consent per channel, with its history, latest first. For a merged customer, the survivor's is
    included."""
    before = None if after is None else parse_position(after)
    return await actions.read(services, principal.brand, customer_id, before=before, limit=limit)


route_handlers: list[Any] = [put_consent, put_consents, get_consents]
