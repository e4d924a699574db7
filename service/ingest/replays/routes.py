"""Replays of what providers sent, and corrections by them, over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, get_args

from litestar import Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.status_codes import HTTP_202_ACCEPTED

from service.api_reference.document import problems
from service.approvals.schemas import ApprovalResponse
from service.approvals.waiting import always
from service.auth import looks
from service.auth.guards import requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.http.injection import Injected
from service.http.pagination import LIMIT_DEFAULT, AfterNumber, AfterPosition, Limit, Page, page
from service.ingest.replays import actions
from service.ingest.replays.comparing import Change
from service.ingest.replays.correcting import wanted_correction
from service.ingest.replays.schemas import (
    ReplayCorrectionRequest,
    ReplayDifferenceResponse,
    ReplayRequest,
    ReplayResponse,
)
from service.ingest.routes import number_of

if TYPE_CHECKING:
    from service.services import Services

_TOLD: tuple[Change, ...] = tuple(change for change in get_args(Change) if change != "same")

OfChange = Annotated[Change | None, QueryParameter(description="Only these. Absent: all that are not `same`.")]


@post(
    "/v1/sources/{source_id:str}/replay",
    guards=[requires(Scope.SOURCES_WRITE)],
    tags=["sources"],
    responses=problems("not_found"),
)
async def replay_deliveries(
    source_id: FromPath[str],
    data: JSONBody[ReplayRequest],
    services: Injected[Services],
    principal: Injected[Principal],
) -> ReplayResponse:
    """Read deliveries again, by the source's secrets and settings as they are now. What was paid before stays paid once.

    Of what was refused, those are read whose signature is right now. A worker does it, before it reads on. Only what was never
    paid is posted: an event that was paid as one act and would be another now, as the source's `mapping` has changed, is
    `needs_correction`. With `dry_run` nothing is posted, and you see what would be.
    """
    return (await actions.order(services, principal, number_of(source_id), data)).response()


@get(
    "/v1/sources/{source_id:str}/replays",
    guards=[requires(Scope.SOURCES_READ, instead=Scope.SOURCES_WRITE)],
    tags=["sources"],
    responses=problems("not_found"),
)
async def list_replays(
    source_id: FromPath[str],
    services: Injected[Services],
    principal: Injected[Principal],
    after: AfterNumber = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[ReplayResponse]:
    """List a source's replays, oldest first, and how far each has come."""
    number = number_of(source_id)
    found = await actions.list_replays(services, principal, number, after=after or 0, limit=limit + 1)
    return page([each.response() for each in found], limit=limit, cursor=lambda each: each.replay)


@get(
    "/v1/sources/{source_id:str}/replays/{replay:int}",
    guards=[requires(Scope.GRANTS_READ, instead=Scope.SOURCES_READ)],
    tags=["sources"],
    responses=problems("not_found"),
)
async def get_replay(
    source_id: FromPath[str], replay: FromPath[int], services: Injected[Services], principal: Injected[Principal]
) -> ReplayResponse:
    """Get a replay: how far it has come, and what a dry run has found."""
    return (await actions.show(services, principal, number_of(source_id), replay)).response()


@get(
    "/v1/sources/{source_id:str}/replays/{replay:int}/differences",
    guards=[requires(Scope.GRANTS_READ, instead=Scope.SOURCES_READ)],
    tags=["sources"],
    responses=problems("not_found"),
)
async def list_replay_differences(
    source_id: FromPath[str],
    replay: FromPath[int],
    services: Injected[Services],
    principal: Injected[Principal],
    change: OfChange = None,
    after: AfterPosition = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[ReplayDifferenceResponse]:
    """List what a dry run has found: event by event what became of it, and what would become of it now.

    They are kept as long as the deliveries.
    """
    delivery, _, line = (after or "0.0").partition(".")
    place = (int(delivery), int(line)) if after else (0, 0)
    changes = _TOLD if change is None else (change,)
    found = await actions.differences(
        services, principal, number_of(source_id), replay, changes=changes, after=place, limit=limit
    )
    looks.see(*(each.line.customer for each in found.items if each.line.customer is not None))
    items = [ReplayDifferenceResponse.of(each.line, taken_back=each.takes, state=each.state) for each in found.items]
    return Page(items, found.next)


@post(
    "/v1/sources/{source_id:str}/replays/{replay:int}/correct",
    guards=[requires(Scope.CORRECTIONS_WRITE)],
    status_code=HTTP_202_ACCEPTED,
    tags=["sources"],
    responses=problems("not_found", "replay_not_done", "replay_outdated"),
)
async def correct_by_replay(
    source_id: FromPath[str],
    replay: FromPath[int],
    data: JSONBody[ReplayCorrectionRequest],
    services: Injected[Services],
    principal: Injected[Principal],
) -> Response[ApprovalResponse]:
    """Correct what a dry run has found: take back what was paid by a mapping that was wrong, and grant what is right.

    It always waits for another person, who approves of exactly these lines. Then a worker takes back each grant that is
    `taken_back`, pays the events that are `rekeyed`, and reads the others as a replay does. A line of which something has
    changed since the dry run is left as it is.
    """
    wanted = await wanted_correction(services, principal, number_of(source_id), replay, data)
    return await always(services, principal, wanted)


route_handlers: list[Any] = [
    replay_deliveries,
    list_replays,
    get_replay,
    list_replay_differences,
    correct_by_replay,
]
