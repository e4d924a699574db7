"""Ordering a correction of many, starting it or asking for that, and cancelling it.

Whoever ordered a job starts it: so nobody makes a list that they approve of. What is started is what was checked, by the hash
of all lines; an approval binds it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from litestar import Response
from sqlalchemy import case, func, literal, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from service.approvals import actions as approvals
from service.approvals.kinds import Approved, Kind, Part, Tools, Wanted
from service.approvals.waiting import accepted
from service.auth.audit_trail import record
from service.auth.principal import Principal
from service.auth.queries import find_principal_of_key
from service.campaigns.queries import campaign_by_id, campaign_ids
from service.corrections.actions import CLAW_BACK
from service.corrections.adjustments import ADJUST, find_reason, paying_campaign
from service.corrections.jobs import queries
from service.corrections.jobs.fingerprint import fingerprint
from service.corrections.jobs.queries import Job
from service.corrections.jobs.schemas import CorrectionJobResponse, CorrectionRequest, StartRequest
from service.corrections.jobs.tables import OPEN
from service.corrections.jobs.tables import correction_job as jobs
from service.corrections.jobs.tables import correction_line as lines
from service.http.idempotency import request_fingerprint
from service.http.identifiers import parse_correction_job_id
from service.http.problems import CODES, Problem, invalid_field, not_found

if TYPE_CHECKING:
    from service.services import Services

OPEN_MAX = 20
"""How many jobs of a brand may be open: each keeps up to 100,000 lines."""


async def order(services: Services, principal: Principal, wanted: CorrectionRequest, idempotency_key: str) -> tuple[Job, bool]:
    """Order a correction of a campaign's grants, and say whether it is new."""
    request_hash = request_fingerprint("/v1/corrections", wanted)
    there = await find_ordered(services.engine, principal, idempotency_key, request_hash)
    if there is not None:
        return there, False
    await find_reason(services.engine, principal.brand.brand_id, wanted.reason)
    campaign = await campaign_by_id(services, principal.brand, wanted.campaign, now=True)
    if campaign is None:
        raise invalid_field("/campaign", "is no campaign of this brand", code="unknown_campaign")
    if wanted.from_ is not None and wanted.to is not None and wanted.from_ >= wanted.to:
        raise invalid_field("/to", "must be after from")
    return await keep(
        services.engine,
        principal,
        idempotency_key,
        request_hash,
        status="gathering",
        reason=wanted.reason,
        reference=wanted.reference,
        campaign_no=campaign.campaign_no,
        selection=queries.stored(wanted.selection()),
    )


async def find_ordered(engine: AsyncEngine, principal: Principal, idempotency_key: str, request_hash: bytes) -> Job | None:
    """The job that was ordered under a key. Raises the problem of one that was another request."""
    there = await queries.find_by_key(engine, principal.brand.brand_id, _key_hash(idempotency_key))
    if there is not None and there.request_hash != request_hash:
        raise Problem("idempotency_key_reused", "The Idempotency-Key was used before with a different request.")
    return there


def _key_hash(idempotency_key: str) -> bytes:
    return hashlib.sha256(idempotency_key.encode()).digest()


async def keep(
    engine: AsyncEngine, principal: Principal, idempotency_key: str, request_hash: bytes, **columns: Any
) -> tuple[Job, bool]:
    """Write a job down, unless it was ordered at the same time; and say whether it is new."""
    brand_id = principal.brand.brand_id
    named = {"brand_id": brand_id, "idempotency_key": _key_hash(idempotency_key), "request_hash": request_hash}
    values = {**named, "ordered_by": principal.api_key_id, **columns}
    async with engine.begin() as connection:
        await _refuse_too_many(connection, brand_id)
        made = insert(jobs).values(**values).on_conflict_do_nothing().returning(jobs)
        row = (await connection.execute(made)).mappings().one_or_none()
        if row is not None:
            job = queries.of_row(row)
            after = {"reason": job.reason, "reference": job.reference, "lines": job.lines, "grants": columns.get("selection")}
            await record(connection, principal, "correction.order", job.id, after=after)
            return job, True
    there = await find_ordered(engine, principal, idempotency_key, request_hash)
    assert there is not None
    return there, False


async def _refuse_too_many(connection: AsyncConnection, brand_id: int) -> None:
    is_open = select(func.count()).select_from(jobs).where(jobs.c.brand_id == brand_id, text(OPEN))
    if (await connection.execute(is_open)).scalar_one() >= OPEN_MAX:
        raise Problem("too_many_corrections", f"The brand has {OPEN_MAX} corrections that are not done: cancel one.")


async def find_job(services: Services, principal: Principal, job_id: str) -> Job:
    """The brand's job of this id. Raises the problem of none."""
    job_no = parse_correction_job_id(job_id)
    job = None if job_no is None else await queries.find_job(services.engine, principal.brand.brand_id, job_no)
    if job is None:
        raise not_found("correction")
    return job


async def describe(engine: AsyncEngine, job: Job) -> CorrectionJobResponse:
    """A job as the API shows it."""
    return job.response(await campaign_ids(engine, job.brand_id))


async def start(services: Services, principal: Principal, job: Job) -> Response[Any]:
    """Start a job that was checked, or ask for that. One that was started stays as it is."""
    if job.started_at is not None:
        return Response(await describe(services.engine, job))
    await _require_startable(services, principal, job)
    shown = await describe(services.engine, job)
    wanted = Wanted(
        kind=CORRECT,
        subject=job.id,
        body=_start_request(job, shown.campaign),
        amount=job.expected_taken + job.expected_given + job.expected_shortfall,
        parts=await _parts(services.engine, job.job_no),
    )
    waits = await approvals.ask(services, principal, wanted)
    if waits is None:
        tools = Tools(services.engine, services.ledger, services.settings)
        return Response(await describe(services.engine, await _start(tools, principal, job)))
    waiting = update(jobs).where(jobs.c.job_no == job.job_no).values(approval_no=waits.approval_no)
    async with services.engine.begin() as connection:
        await connection.execute(waiting)
    return accepted(waits)


def _start_request(job: Job, campaign: str | None) -> StartRequest:
    assert job.lines_hash is not None
    return StartRequest(
        correction=job.id,
        reason=job.reason,
        campaign=campaign,
        lines=job.to_do,
        customers=job.customers,
        taken=job.expected_taken,
        given=job.expected_given,
        shortfall=job.expected_shortfall,
        lines_sha256=job.lines_hash.hex(),
    )


async def _require_startable(services: Services, principal: Principal, job: Job) -> None:
    _require_maker(principal, await find_principal_of_key(services.engine, job.ordered_by))
    if job.ended_at is not None:
        raise _ended(job)
    if job.status != "checked":
        raise Problem("correction_not_checked", CODES["correction_not_checked"].meaning)
    if job.refused:
        raise Problem(
            "correction_has_refusals", f"{job.refused} of its lines are wrong: GET .../lines?state=refused lists them."
        )
    if job.campaign_no is not None and await _is_outdated(services.engine, job):
        raise Problem("correction_outdated", CODES["correction_outdated"].meaning)
    await _require_budget(Tools(services.engine, services.ledger, services.settings), principal, job)


def _require_maker(principal: Principal, maker: Principal) -> None:
    """Raise a problem unless it is the key that ordered the job, or another one of the same person."""
    is_person = principal.person_id is not None and principal.person_id == maker.person_id
    if principal.api_key_id != maker.api_key_id and not is_person:
        raise Problem("another_maker", CODES["another_maker"].meaning)


async def _is_outdated(engine: AsyncEngine, job: Job) -> bool:
    """Whether another job has corrected the same campaign's grants since this one began to look at them."""
    others = (
        select(jobs.c.job_no)
        .where(jobs.c.brand_id == job.brand_id, jobs.c.campaign_no == job.campaign_no, jobs.c.job_no != job.job_no)
        .where(jobs.c.started_at.is_not(None), jobs.c.ended_at.is_(None) | (jobs.c.ended_at > job.ordered_at))
    )
    async with engine.connect() as connection:
        return (await connection.execute(others.limit(1))).first() is not None


async def _require_budget(tools: Tools, principal: Principal, job: Job) -> None:
    """Raise a problem if the budget that pays has less than is to be given."""
    reason = await find_reason(tools.engine, job.brand_id, job.reason)
    if not job.expected_given:
        return
    assert reason.campaign is not None
    campaign = await paying_campaign(tools.engine, job.brand_id, reason.campaign)
    funded, granted = await tools.ledger.budget(principal.brand.book, campaign.campaign_no)
    if funded - granted < job.expected_given:
        raise Problem("budget_exhausted", f"The budget has {funded - granted} points, which is less.")


async def _parts(engine: AsyncEngine, job_no: int) -> Sequence[Part]:
    """What a job is to each customer."""
    amount = func.sum(lines.c.expected + lines.c.expected_shortfall)
    summed = (
        select(case((lines.c.kind == "clawback", CLAW_BACK.name), else_=ADJUST.name).label("limited"), lines.c.customer, amount)
        .where(lines.c.job_no == job_no, lines.c.state == "checked")
        .group_by("limited", lines.c.customer)
        .order_by("limited", lines.c.customer)
    )
    async with engine.connect() as connection:
        return [Part(kind, customer, int(points)) for kind, customer, points in await connection.execute(summed)]


async def _start(tools: Tools, maker: Principal, job: Job, approval_no: int | None = None) -> Job:
    """Hand a job over to the worker, if its lines are what was checked."""
    if await fingerprint(tools.engine, job.job_no) != job.lines_hash:
        raise Problem("correction_changed", CODES["correction_changed"].meaning)
    started = (
        update(jobs)
        .where(jobs.c.job_no == job.job_no, jobs.c.status == "checked")
        .values(status="running", started_at=func.clock_timestamp(), started_by=maker.api_key_id, leased_until=None)
        .returning(jobs)
    )
    async with tools.engine.begin() as connection:
        if approval_no is not None:
            await approvals.claim(connection, approval_no)
        row = (await connection.execute(started)).mappings().one_or_none()
        if row is None:
            (there,) = await queries.read(connection, select(jobs).where(jobs.c.job_no == job.job_no))
            if there.started_at is None:
                raise _ended(there)
            return there
        after = {"lines": job.to_do, "taken": job.expected_taken, "given": job.expected_given, "reason": job.reason}
        await record(connection, maker, "correction.start", job.id, after=after)
        return queries.of_row(row)


def _ended(job: Job) -> Problem:
    return Problem("correction_ended", f"It is {job.status}: order a new one.")


async def _execute(tools: Tools, maker: Principal, approved: Approved[StartRequest]) -> CorrectionJobResponse:
    job_no = parse_correction_job_id(approved.subject)
    assert job_no is not None
    job = await queries.find_job(tools.engine, maker.brand.brand_id, job_no)
    assert job is not None
    if job.started_at is None:
        if job.lines_hash is None or job.lines_hash.hex() != approved.body.lines_sha256:
            raise Problem("correction_changed", CODES["correction_changed"].meaning)
        job = await _start(tools, maker, job, approved.approval_no)
    return await describe(tools.engine, job)


CORRECT: Kind[StartRequest] = Kind(name="correction", request=StartRequest, execute=_execute)


async def cancel(services: Services, principal: Principal, job: Job) -> Job:
    """Carry out no more of a job. What was done stays; the lines that were begun are finished first."""
    is_running = jobs.c.status == "running"
    cancelled = (
        update(jobs)
        .where(jobs.c.job_no == job.job_no, text(OPEN), jobs.c.status != "cancelling")
        .values(
            status=case((is_running, literal("cancelling")), else_=literal("cancelled")),
            ended_at=case((is_running, None), else_=func.clock_timestamp()),
            attempt=jobs.c.attempt + case((is_running, 0), else_=1),
        )
        .returning(jobs)
    )
    async with services.engine.begin() as connection:
        row = (await connection.execute(cancelled)).mappings().one_or_none()
        if row is None:
            return job
        await record(connection, principal, "correction.cancel", job.id, before={"status": job.status, "made": job.made})
        return queries.of_row(row)
