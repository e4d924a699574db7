"""The evidence report over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

from litestar import get
from litestar.params import QueryParameter

from service.auth.guards import requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.evidence import report
from service.evidence.report import EvidenceResponse
from service.http.injection import Injected

if TYPE_CHECKING:
    from service.services import Services

Days = Annotated[int, QueryParameter(ge=1, le=366, description="The number of days to count, including today (UTC).")]


@get("/v1/links/evidence", guards=[requires(Scope.CAMPAIGNS_READ)], tags=["links"])
async def report_evidence(principal: Injected[Principal], services: Injected[Services], days: Days = 30) -> EvidenceResponse:
    """Report who followed the brand's links: how many were people, and what was not paid to machines."""
    return await report.report(services, principal.brand, days=days, now=datetime.now(UTC))


route_handlers: list[Any] = [report_evidence]
