"""What a route answers with whose request may have to wait.

@post("/v1/campaigns/{campaign_id:str}/fund", responses=problems(...) | WAITS)
async def fund_campaign(...) -> Response[FundResponse]:
    async def fund() -> Response[FundResponse]: ...

    wanted = Wanted(kind=FUND, subject=campaign.id, body=data, amount=data.points, key=idempotency_key)
    return await within_limits(services, principal, wanted, fund)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from litestar import Response
from litestar.openapi import ResponseSpec
from litestar.status_codes import HTTP_202_ACCEPTED

from service.approvals import actions
from service.approvals.kinds import Wanted
from service.approvals.queries import Approval
from service.approvals.schemas import ApprovalResponse
from service.auth.principal import Principal
from service.http.identifiers import approval_id

if TYPE_CHECKING:
    from service.services import Services

WAITS: dict[int, ResponseSpec] = {
    HTTP_202_ACCEPTED: ResponseSpec(
        data_container=ApprovalResponse,
        generate_examples=False,
        description="The request exceeds a limit of the brand and waits for another person. Sent again, it gets the approval as"
        " it stands.",
    )
}
"""What such a route declares."""


async def within_limits(
    services: Services, principal: Principal, wanted: Wanted[Any], act: Callable[[], Awaitable[Response[Any]]]
) -> Response[Any]:
    """Answer with ``act``, or with 202 and the approval that the request waits for."""
    waits = await actions.ask(services, principal, wanted)
    return await act() if waits is None else accepted(waits)


async def always(services: Services, principal: Principal, wanted: Wanted[Any]) -> Response[Any]:
    """Answer with the approval that a request of a kind waits for which always does."""
    waits = await actions.ask(services, principal, wanted)
    assert waits is not None
    return accepted(waits)


def accepted(waits: Approval) -> Response[Any]:
    """The answer to a request that waits, or has waited."""
    location = f"/v1/approvals/{approval_id(waits.approval_no)}"
    return Response(ApprovalResponse.of(waits), status_code=HTTP_202_ACCEPTED, headers={"Location": location})
