"""Corrections over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from litestar import Response, post
from litestar.params import FromPath, JSONBody

from service.api_reference.document import problems
from service.auth import looks
from service.auth.guards import requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.corrections import actions
from service.corrections.schemas import ClawbackRequest, ClawbackResponse
from service.http.idempotency import decided
from service.http.injection import Injected

if TYPE_CHECKING:
    from service.services import Services


@post(
    "/v1/grants/{grant_id:str}/clawback",
    guards=[requires(Scope.CORRECTIONS_WRITE)],
    tags=["grants"],
    responses=problems("not_found", "not_granted", "held_back", "clawback_exceeds_grant", "idempotency_key_reused"),
)
async def claw_back_grant(
    grant_id: FromPath[str],
    data: JSONBody[ClawbackRequest],
    principal: Injected[Principal],
    services: Injected[Services],
    idempotency_key: Injected[str],
) -> Response[ClawbackResponse]:
    """Take back what is left of a grant.

    What the customer has spent or set aside stays a shortfall of the grant: if a void, a time-out or a refund returns these
    points, they are taken then, first. No balance ever becomes negative, and caps still count the grant. If its points are
    still held back, they are rejected.
    """
    result = await actions.claw_back(services, principal, grant_id, data, idempotency_key)
    looks.see(result.customer)
    shown = ClawbackResponse.of(grant_id, data, result, principal.brand.book.book_id)
    return decided(shown, replayed=result.replayed)


route_handlers: list[Any] = [claw_back_grant]
