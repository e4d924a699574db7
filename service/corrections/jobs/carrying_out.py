"""Carrying out the lines of a job that was started: each once, in its order, as it would be alone.

A page of lines is noted as begun before anything of it is posted, and as settled together with what came of it. Whoever finds
it begun and not settled posts it again: under the keys of its lines, what was posted is found again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import groupby

import msgspec
from sqlalchemy import bindparam, update

from ledger import Adjust, AdjustResult, ClawBack, ClawBackResult
from service.approvals.kinds import Tools
from service.auth.principal import Principal
from service.auth.queries import find_principal_of_key
from service.corrections import actions, adjustments
from service.corrections.jobs import queries
from service.corrections.jobs.queries import Job, Line
from service.corrections.jobs.tables import correction_job as jobs
from service.corrections.jobs.tables import correction_line as lines
from service.http.problems import Problem
from service.storage.leases import leased

AT_ONCE = 100
_SETTLED = ("state", "moved", "shortfall", "correction_no", "seq", "code", "detail")
"""What is said of a line once its turn has come."""


async def carry_out(tools: Tools, job: Job) -> bool:
    """Carry out a page of lines, or end the job; and say whether it is still the caller's.

    Of a job that is being cancelled only what was begun is carried out.
    """
    page = await queries.list_lines(tools.engine, job.job_no, after=job.settled, limit=AT_ONCE)
    if job.status == "cancelling":
        page = [line for line in page if line.line_no <= job.begun]
    if not page:
        ended = "done" if job.status == "running" else "cancelled"
        return await queries.change(tools.engine, job, status=ended, ended_at=queries.NOW, leased_until=None)
    until = page[-1].line_no
    if job.begun < until and not await queries.begin(tools.engine, job, until):
        return False
    settled = await _post(tools, job, [line for line in page if line.state == "checked"])
    return await _keep(tools, job, settled, until)


async def _post(tools: Tools, job: Job, page: Sequence[Line]) -> list[Line]:
    """Post lines in their order; claw-backs that follow on each other are looked up together."""
    assert job.started_by is not None
    maker = await find_principal_of_key(tools.engine, job.started_by)
    settled: list[Line] = []
    for kind, stretch in groupby(page, key=lambda line: line.kind):
        post = _claw_back if kind == "clawback" else _adjust
        settled += await post(tools, maker, job, list(stretch))
    return settled


def _key(job: Job, line: Line) -> str:
    """A name that no caller can send: it begins with a control character."""
    return f"\0correction {job.job_no} {line.line_no}"


def _request(job: Job, line: Line) -> bytes:
    return hashlib.sha256(msgspec.json.encode([job.job_no, line.line_no, line.kind, line.customer, line.points])).digest()


async def _claw_back(tools: Tools, maker: Principal, job: Job, stretch: Sequence[Line]) -> list[Line]:
    book = maker.brand.book
    asked = [
        ClawBack(
            book=book,
            campaign_no=line.campaign_no or 0,
            event_key=line.event_key or b"",
            key=_key(job, line),
            request_hash=_request(job, line),
            reason=job.reason,
            points=line.points,
            reference=job.id,
            principal=maker.api_key_id,
        )
        for line in stretch
    ]
    results = await tools.ledger.claw_backs(book, asked)
    return [_clawed_back(line, result) for line, result in zip(stretch, results, strict=True)]


def _clawed_back(line: Line, result: ClawBackResult) -> Line:
    refused = actions.refusal(result.outcome, left=result.left)
    if refused is not None:
        return _failed(line, refused)
    return msgspec.structs.replace(
        line,
        state="done",
        moved=result.clawed_back,
        shortfall=result.shortfall,
        correction_no=result.correction,
        seq=result.seq,
    )


async def _adjust(tools: Tools, maker: Principal, job: Job, stretch: Sequence[Line]) -> list[Line]:
    """Adjust customers one after the other; what is given is paid by the budget as it stands now."""
    blank = Adjust(
        book=maker.brand.book,
        customer=0,
        points=0,
        key="",
        request_hash=b"",
        reason=job.reason,
        reference=job.id,
        principal=maker.api_key_id,
    )
    paid = await _paid(tools, maker, job, blank) if any((line.points or 0) > 0 for line in stretch) else blank
    settled: list[Line] = []
    for line in stretch:
        base = paid if (line.points or 0) > 0 else blank
        if isinstance(base, Problem):
            settled.append(_failed(line, base))
            continue
        named = {"customer": line.customer, "points": line.points, "key": _key(job, line), "request_hash": _request(job, line)}
        settled.append(_adjusted(line, await tools.ledger.adjust(msgspec.structs.replace(base, **named))))
    return settled


async def _paid(tools: Tools, maker: Principal, job: Job, blank: Adjust) -> Adjust | Problem:
    """What points are given out of; the problem of a budget that does not pay now."""
    try:
        reason = await adjustments.find_reason(tools.engine, job.brand_id, job.reason)
        assert reason.campaign is not None
        campaign = await adjustments.paying_campaign(tools.engine, job.brand_id, reason.campaign)
    except Problem as problem:
        return problem
    return await adjustments.out_of_budget(tools, maker.brand, blank, campaign)


def _adjusted(line: Line, result: AdjustResult) -> Line:
    refused = adjustments.refusal(result)
    if refused is not None:
        return _failed(line, refused)
    assert line.points is not None
    moved = abs(line.points)
    return msgspec.structs.replace(
        line, state="done", moved=moved, shortfall=0, correction_no=result.correction, seq=result.seq
    )


def _failed(line: Line, why: Problem) -> Line:
    return msgspec.structs.replace(line, state="failed", code=why.code, detail=why.detail)


async def _keep(tools: Tools, job: Job, settled: Sequence[Line], until: int) -> bool:
    says = (
        update(lines)
        .where(lines.c.job_no == job.job_no, lines.c.line_no == bindparam("number"))
        .values({name: bindparam(f"new_{name}") for name in _SETTLED})
    )
    rows = [{"number": line.line_no} | {f"new_{name}": getattr(line, name) for name in _SETTLED} for line in settled]
    done = [line for line in settled if line.state == "done"]
    given = sum(line.moved or 0 for line in done if line.kind == "adjustment" and (line.points or 0) > 0)
    changed = queries.ours(job).where(jobs.c.settled == job.settled)
    async with tools.engine.begin() as connection:
        counted = changed.values(
            settled=until,
            made=jobs.c.made + len(done),
            failed=jobs.c.failed + len(settled) - len(done),
            taken=jobs.c.taken + sum(line.moved or 0 for line in done) - given,
            given=jobs.c.given + given,
            shortfall=jobs.c.shortfall + sum(line.shortfall or 0 for line in done),
            leased_until=leased(),
        )
        if (await connection.execute(counted)).rowcount != 1:
            return False
        if rows:
            await connection.execute(says, rows)
    return True
