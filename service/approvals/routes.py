"""Approvals and limits over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from litestar import Request, Response, get, post, put
from litestar.params import FromPath, JSONBody, QueryParameter

from service.api_reference.document import problems
from service.approvals import actions, changing_limits
from service.approvals.queries import Approval, State, find_approval, read_policy
from service.approvals.queries import list_approvals as queried
from service.approvals.schemas import ApprovalResponse, DecisionRequest, LimitsRequest, LimitsResponse
from service.approvals.waiting import always
from service.auth.guards import caller_hash, requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.http.identifiers import parse_approval_id
from service.http.injection import Injected
from service.http.pagination import LIMIT_DEFAULT, AfterSeq, Limit, Page, page
from service.http.problems import not_found

if TYPE_CHECKING:
    from service.services import Services

InState = Annotated[State | None, QueryParameter(name="state", description="Only approvals in this state.")]
OfKind = Annotated[str | None, QueryParameter(max_length=40, description="Only approvals of this kind.")]
_REFUSED = problems(
    "not_found", "approval_decided", "approval_expired", "needs_a_person", "own_request", "enrolled_later", "maker_revoked"
)


@get("/v1/approvals", guards=[requires(Scope.APPROVALS_READ, instead=Scope.APPROVALS_WRITE)], tags=["approvals"])
async def list_approvals(
    services: Injected[Services],
    principal: Injected[Principal],
    in_state: InState = None,
    kind: OfKind = None,
    after: AfterSeq = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[ApprovalResponse]:
    """List requests that wait for another person, and those that have waited, newest first."""
    found = await queried(services.engine, principal.brand.brand_id, state=in_state, kind=kind, before=after, limit=limit + 1)
    listed = page(found, limit=limit, cursor=lambda approval: approval.approval_no)
    return Page(items=[ApprovalResponse.of(each) for each in listed.items], next=listed.next)


@get(
    "/v1/approvals/{approval_id:str}",
    guards=[requires(Scope.APPROVALS_READ, instead=Scope.APPROVALS_WRITE)],
    tags=["approvals"],
    responses=problems("not_found"),
)
async def get_approval(
    approval_id: FromPath[str], services: Injected[Services], principal: Injected[Principal]
) -> ApprovalResponse:
    """Get a request that waits for another person, or has waited."""
    return ApprovalResponse.of(await _find(services, principal, approval_id))


@post(
    "/v1/approvals/{approval_id:str}/approve",
    guards=[requires(Scope.APPROVALS_WRITE)],
    status_code=200,
    tags=["approvals"],
    responses=_REFUSED,
)
async def approve(
    approval_id: FromPath[str],
    data: JSONBody[DecisionRequest],
    services: Injected[Services],
    principal: Injected[Principal],
    request: Request[Any, Any, Any],
) -> ApprovalResponse:
    """Approve a request of another person or of a system, which is then carried out, once.

    Only a person's key can, who enrolled before the request was made. Approving again returns the approval as it stands.
    """
    return await _decide(services, principal, approval_id, data, request, approves=True)


@post(
    "/v1/approvals/{approval_id:str}/decline",
    guards=[requires(Scope.APPROVALS_WRITE)],
    status_code=200,
    tags=["approvals"],
    responses=_REFUSED,
)
async def decline(
    approval_id: FromPath[str],
    data: JSONBody[DecisionRequest],
    services: Injected[Services],
    principal: Injected[Principal],
    request: Request[Any, Any, Any],
) -> ApprovalResponse:
    """Decline a request for good. Declining again returns the approval as it stands."""
    return await _decide(services, principal, approval_id, data, request, approves=False)


@get("/v1/approval-limits", guards=[requires(Scope.APPROVALS_READ, instead=Scope.APPROVALS_WRITE)], tags=["approvals"])
async def get_approval_limits(services: Injected[Services], principal: Injected[Principal]) -> LimitsResponse:
    """Get the limits above which the brand's requests wait for another person."""
    async with services.engine.connect() as connection:
        return LimitsResponse.of(await read_policy(connection, principal.brand.brand_id))


@put("/v1/approval-limits", guards=[requires(Scope.ADMIN)], status_code=202, tags=["approvals"])
async def put_approval_limits(
    data: JSONBody[LimitsRequest], services: Injected[Services], principal: Injected[Principal]
) -> Response[ApprovalResponse]:
    """Replace all limits. This always waits for another person."""
    return await always(services, principal, await changing_limits.wanted_limits(services, principal, data))


async def _find(services: Services, principal: Principal, approval_id: str) -> Approval:
    number = _number(approval_id)
    found = await find_approval(services.engine, principal.brand.brand_id, number)
    if found is None:
        raise not_found("approval")
    return found


async def _decide(
    services: Services,
    principal: Principal,
    approval_id: str,
    data: DecisionRequest,
    request: Request[Any, Any, Any],
    *,
    approves: bool,
) -> ApprovalResponse:
    number = _number(approval_id)
    decided = await actions.decide(
        services, principal, caller_hash(request), number, digest=data.digest, approves=approves, note=data.note
    )
    return ApprovalResponse.of(decided)


def _number(approval_id: str) -> int:
    number = parse_approval_id(approval_id)
    if number is None:
        raise not_found("approval")
    return number


route_handlers: list[Any] = [list_approvals, get_approval, approve, decline, get_approval_limits, put_approval_limits]
