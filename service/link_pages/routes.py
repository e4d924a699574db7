"""Confirmations of claims over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from litestar import Request, Response, post
from litestar.params import JSONBody

from service.admission.limits import FORM_BYTES_MAX
from service.api_reference.document import problems
from service.auth.guards import requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.grants.schemas import GrantAnswer
from service.http.idempotency import REPLAYED
from service.http.injection import Injected
from service.link_pages import handoffs
from service.link_pages.schemas import ClaimConfirmation

if TYPE_CHECKING:
    from service.services import Services


@post(
    "/v1/claims",
    guards=[requires(Scope.GRANTS_WRITE)],
    request_max_body_size=FORM_BYTES_MAX,
    tags=["links"],
    responses=problems("not_found", "claim_expired", "link_revoked", "claim_too_early", "overloaded", "database_unavailable"),
)
async def confirm_claim(
    data: JSONBody[ClaimConfirmation],
    principal: Injected[Principal],
    services: Injected[Services],
    request: Request[Any, Any, Any],
) -> Response[GrantAnswer]:
    """Confirm that a person arrived in the shop through a handoff link. The claim is paid once.

    Call it once you know a person is there: they signed in, or put something into the basket. A script on one of the brand's
    destination hosts calls the same path without an API key.
    """
    answer = await handoffs.confirm(
        services,
        data,
        principal=principal,
        origin=None,
        headers=request.headers,
        address="",
        now=datetime.now(UTC),
    )
    return Response(answer, status_code=answer.status, headers={REPLAYED: "true"} if answer.replayed else {})


route_handlers: list[Any] = [confirm_claim]
