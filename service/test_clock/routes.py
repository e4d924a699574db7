"""The test clock over HTTP."""

from __future__ import annotations

from typing import Any

from litestar import post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import Ledger
from service.api_reference.document import problems
from service.auth.guards import requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.brands.book_clocks import BookClocks
from service.test_clock import actions
from service.test_clock.schemas import ClockAdvanceRequest, ClockResponse


@post(
    "/v1/test/clock/advance",
    guards=[requires(Scope.ADMIN)],
    status_code=200,
    tags=["test"],
    responses=problems("not_found"),
)
async def advance_clock(
    data: JSONBody[ClockAdvanceRequest],
    engine: NamedDependency[AsyncEngine],
    ledger: NamedDependency[Ledger],
    clocks: NamedDependency[BookClocks],
    principal: NamedDependency[Principal],
) -> ClockResponse:
    """Move a test brand's clock forward.

    Holds time out, points expire and campaigns end as they would have. API keys go by the world's time. Another process of the
    API follows within a second. A live brand has no such clock: 404.
    """
    return ClockResponse(now=await actions.advance(engine, ledger, clocks, principal, data))


route_handlers: list[Any] = [advance_clock]
