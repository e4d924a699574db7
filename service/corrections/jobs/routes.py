"""Corrections of many over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.status_codes import HTTP_200_OK, HTTP_202_ACCEPTED

from service.admission.limits import BATCH_BYTES_MAX
from service.api_reference.document import problems
from service.approvals.waiting import WAITS
from service.auth import looks
from service.auth.guards import count_items, requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.campaigns.queries import campaign_ids
from service.corrections.jobs import actions, queries
from service.corrections.jobs.lines_csv import csv_of
from service.corrections.jobs.queries import Job
from service.corrections.jobs.receiving import order_list
from service.corrections.jobs.schemas import (
    CorrectionJobResponse,
    CorrectionLineResponse,
    CorrectionRequest,
    LineBatch,
    LineState,
)
from service.corrections.schemas import ReasonCode
from service.http.bodies import Identifier
from service.http.idempotency import REPLAYED
from service.http.injection import Injected
from service.http.pagination import LIMIT_DEFAULT, AfterNumber, AfterSeq, Limit, Page, page
from service.http.problems import invalid_field

if TYPE_CHECKING:
    from service.services import Services

ForReason = Annotated[
    str,
    QueryParameter(
        name="reason",
        description="The code of a reason that the brand has declared, for all lines.",
        schema_extra={"examples": ["goodwill"]},
    ),
]
Reference = Annotated[
    str | None,
    QueryParameter(description="Your reference, such as the number of an incident. It is kept for ever: no personal data."),
]
InState = Annotated[LineState | None, QueryParameter(name="state", description="Only lines in this state.")]
Format = Annotated[Literal["json", "csv"], QueryParameter(description="`json`, or `csv`.")]


@post(
    "/v1/corrections",
    guards=[requires(Scope.CORRECTIONS_WRITE)],
    status_code=HTTP_202_ACCEPTED,
    tags=["corrections"],
    responses=problems("unknown_campaign", "too_many_corrections", "idempotency_key_reused"),
)
async def order_correction(
    data: JSONBody[CorrectionRequest],
    principal: Injected[Principal],
    services: Injected[Services],
    idempotency_key: Injected[str],
) -> Response[CorrectionJobResponse]:
    """Order a correction of a campaign's grants: all of them, or those of an action, a channel, a version or a time.

    Nothing is carried out yet: the worker gathers the grants and checks what would become of each. Ask for the correction until
    it is `checked`, look at its totals and lines, and start it.
    """
    return await _ordered(services, *await actions.order(services, principal, data, idempotency_key))


@post(
    "/v1/corrections/batch",
    guards=[requires(Scope.CORRECTIONS_WRITE)],
    status_code=HTTP_202_ACCEPTED,
    request_max_body_size=BATCH_BYTES_MAX,
    tags=["corrections"],
    responses=problems("too_many_corrections", "idempotency_key_reused"),
)
async def order_corrections(
    data: JSONBody[LineBatch],
    reason: ForReason,
    principal: Injected[Principal],
    services: Injected[Services],
    idempotency_key: Injected[str],
    request: Request[Any, Any, Any],
    reference: Reference = None,
) -> Response[CorrectionJobResponse]:
    """Order the corrections of a list: up to 100,000 claw-backs of grants and adjustments of customers.

    Nothing is carried out yet: the worker checks every line. A line that is wrong is `refused`, with its number and why, and a
    correction with such lines cannot be started. A grant or a customer is named once.
    """
    await count_items(request, principal, len(data))
    named = (
        _convert(reason, ReasonCode, "?reason"),
        None if reference is None else _convert(reference, Identifier, "?reference"),
    )
    ordered = await order_list(services, principal, data, idempotency_key, reason=named[0], reference=named[1])
    return await _ordered(services, *ordered)


def _convert(value: str, declared: Any, at: str) -> str:
    try:
        return msgspec.convert(value, declared)
    except msgspec.ValidationError as error:
        raise invalid_field(at, str(error)) from None


async def _ordered(services: Services, job: Job, is_new: bool) -> Response[CorrectionJobResponse]:
    return Response(
        await actions.describe(services.engine, job),
        status_code=HTTP_202_ACCEPTED if is_new else HTTP_200_OK,
        headers={"Location": f"/v1/corrections/{job.id}"} | ({} if is_new else {REPLAYED: "true"}),
    )


@get("/v1/corrections", guards=[requires(Scope.GRANTS_READ)], tags=["corrections"])
async def list_corrections(
    services: Injected[Services],
    principal: Injected[Principal],
    after: AfterSeq = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[CorrectionJobResponse]:
    """List the brand's corrections of many, newest first."""
    brand_id = principal.brand.brand_id
    found = await queries.list_jobs(services.engine, brand_id, before=after, limit=limit + 1)
    listed = page(found, limit=limit, cursor=lambda job: job.job_no)
    campaigns = await campaign_ids(services.engine, brand_id)
    return Page(items=[job.response(campaigns) for job in listed.items], next=listed.next)


@get(
    "/v1/corrections/{job_id:str}", guards=[requires(Scope.GRANTS_READ)], tags=["corrections"], responses=problems("not_found")
)
async def get_correction(
    job_id: FromPath[str], services: Injected[Services], principal: Injected[Principal]
) -> CorrectionJobResponse:
    """Get a correction of many: what it would do once it is `checked`, and how far it has come."""
    return await actions.describe(services.engine, await actions.find_job(services, principal, job_id))


@get(
    "/v1/corrections/{job_id:str}/lines",
    guards=[requires(Scope.GRANTS_READ)],
    tags=["corrections"],
    responses=problems("not_found"),
)
async def list_correction_lines(
    job_id: FromPath[str],
    services: Injected[Services],
    principal: Injected[Principal],
    in_state: InState = None,
    after: AfterNumber = None,
    limit: Limit = LIMIT_DEFAULT,
    format: Format = "json",  # noqa: A002 - the parameter's name
) -> Response[Page[CorrectionLineResponse]]:
    """List the lines of a correction by number, with what each would do and what came of it.

    As `csv`, the address of the next page is in the header `Link`.
    """
    job = await actions.find_job(services, principal, job_id)
    found = await queries.list_lines(services.engine, job.job_no, state=in_state, after=after or 0, limit=limit + 1)
    looks.see(*(line.customer for line in found[:limit] if line.customer is not None))
    listed = page([line.response(principal.brand) for line in found], limit=limit, cursor=lambda line: line.line)
    if format == "json":
        return Response(listed)
    return csv_of(listed, job.id, {"state": in_state, "limit": limit})


@post(
    "/v1/corrections/{job_id:str}/start",
    guards=[requires(Scope.CORRECTIONS_WRITE)],
    status_code=HTTP_200_OK,
    tags=["corrections"],
    responses=problems(
        "not_found",
        "another_maker",
        "budget_exhausted",
        "campaign_paused",
        "correction_not_checked",
        "correction_has_refusals",
        "correction_outdated",
        "correction_changed",
        "correction_ended",
    )
    | WAITS,
)
async def start_correction(
    job_id: FromPath[str], services: Injected[Services], principal: Injected[Principal]
) -> Response[CorrectionJobResponse]:
    """Start a correction that was checked, as the one who ordered it. Starting it again returns it as it stands.

    It counts towards the limits of `correction` with its sum, and towards those of claw-backs and adjustments as its lines
    would alone. Above one of them it waits for another person, who approves of exactly these lines.
    """
    return await actions.start(services, principal, await actions.find_job(services, principal, job_id))


@post(
    "/v1/corrections/{job_id:str}/cancel",
    guards=[requires(Scope.CORRECTIONS_WRITE)],
    status_code=HTTP_200_OK,
    tags=["corrections"],
    responses=problems("not_found"),
)
async def cancel_correction(
    job_id: FromPath[str], services: Injected[Services], principal: Injected[Principal]
) -> CorrectionJobResponse:
    """Cancel a correction. What was carried out stays: `made` says what. One that has ended stays as it is."""
    job = await actions.find_job(services, principal, job_id)
    return await actions.describe(services.engine, await actions.cancel(services, principal, job))


route_handlers: list[Any] = [
    order_correction,
    order_corrections,
    list_corrections,
    get_correction,
    list_correction_lines,
    start_correction,
    cancel_correction,
]
