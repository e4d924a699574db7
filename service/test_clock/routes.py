"""The test clock over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from litestar import post
from litestar.params import JSONBody

from service.api_reference.document import problems
from service.auth.guards import requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.http.injection import Injected
from service.test_clock import actions
from service.test_clock.schemas import ClockAdvanceRequest, ClockResponse

if TYPE_CHECKING:
    from service.services import Services


@post(
    "/v1/test/clock/advance",
    guards=[requires(Scope.ADMIN)],
    status_code=200,
    tags=["test"],
    responses=problems("not_found"),
)
async def advance_clock(
    data: JSONBody[ClockAdvanceRequest],
    services: Injected[Services],
    principal: Injected[Principal],
) -> ClockResponse:
    """Advance a test brand's clock.

    Holds time out, points expire and campaigns end as they would have. API keys go by real time. Other API processes follow
    within one second. A live brand has no such clock: 404.
    """
    return ClockResponse(now=await actions.advance(services.engine, services.ledger, services.clocks, principal, data))


route_handlers: list[Any] = [advance_clock]
