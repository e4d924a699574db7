"""The agent that gathers, checks and carries out corrections of many, a stretch of one job at a time.

It gives a job back after a stretch, so that a long one keeps no other waiting. If it dies, the job is free once its lease is
over.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping

from service.approvals.kinds import Tools
from service.brands.brand import Brand
from service.brands.queries import find_brand_by_id
from service.corrections.jobs import queries
from service.corrections.jobs.carrying_out import carry_out
from service.corrections.jobs.checking import check
from service.corrections.jobs.gathering import gather
from service.corrections.jobs.queries import Job

STRETCH_S = 2.0


async def _carry_out(tools: Tools, _: Brand, job: Job) -> bool:
    return await carry_out(tools, job)


_STEPS: Mapping[str, Callable[[Tools, Brand, Job], Awaitable[bool]]] = {
    "gathering": gather,
    "checking": check,
    "running": _carry_out,
    "cancelling": _carry_out,
}


async def run_once(tools: Tools, *, stretch_s: float = STRETCH_S) -> int:
    """Work on one job for a while. Returns how many steps were taken; 0 when there is none."""
    job = await queries.take(tools.engine)
    if job is None:
        return 0
    brand = await find_brand_by_id(tools.engine, job.brand_id)
    assert brand is not None
    try:
        return await _work(tools, brand, job, stretch_s)
    except Exception:
        # The others go first.
        await queries.release(tools.engine, job)
        raise


async def _work(tools: Tools, brand: Brand, job: Job, stretch_s: float) -> int:
    began, steps = time.monotonic(), 0
    while (step := _STEPS.get(job.status)) is not None:
        steps += 1
        if not await step(tools, brand, job):
            # It was cancelled, or another worker has it.
            await queries.release(tools.engine, job)
            return steps
        again = await queries.find_job(tools.engine, job.brand_id, job.job_no)
        assert again is not None
        if again.attempt != job.attempt:
            return steps
        job = again
        if time.monotonic() - began >= stretch_s:
            await queries.release(tools.engine, job)
            break
    return steps
