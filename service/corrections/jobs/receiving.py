"""A list's lines, read and stored part by part. Names are looked up now, and none is kept.

A line that is wrong is stored as refused, with its number and what is wrong: so all of them are found at once. If the process
dies meanwhile, the same request again goes on.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert

from service.auth.principal import Principal
from service.corrections.adjustments import find_reason
from service.corrections.jobs import actions, queries
from service.corrections.jobs.queries import Job, Line
from service.corrections.jobs.schemas import LineBatch, LineRequest
from service.corrections.jobs.tables import correction_job as jobs
from service.corrections.jobs.tables import correction_line as lines
from service.customers import actions as customers
from service.customers.queries import Customer
from service.http.identifiers import parse_grant_id
from service.http.problems import Problem, invalid_field, not_found

if TYPE_CHECKING:
    from service.services import Services

_AT_ONCE = 1_000
_DETAIL_CHARACTERS = 300


async def order_list(
    services: Services, principal: Principal, sent: LineBatch, idempotency_key: str, *, reason: str, reference: str | None
) -> tuple[Job, bool]:
    """Order the corrections of a list, and say whether that is new. The same again is the same job."""
    named = msgspec.json.encode(["/v1/corrections/batch", reason, reference])
    request_hash = hashlib.sha256(named + await asyncio.to_thread(sent.digest)).digest()
    job = await actions.find_ordered(services.engine, principal, idempotency_key, request_hash)
    is_new = job is None
    if job is None:
        await find_reason(services.engine, principal.brand.brand_id, reason, at="?reason")
        columns = {"status": "receiving", "reason": reason, "reference": reference, "lines": len(sent)}
        job, is_new = await actions.keep(services.engine, principal, idempotency_key, request_hash, **columns)
    return (await _receive(services, principal, job, sent) if job.status == "receiving" else job), is_new


async def _receive(services: Services, principal: Principal, job: Job, sent: LineBatch) -> Job:
    for start in range(0, len(sent), _AT_ONCE):
        async with services.batch_items.hold(_AT_ONCE):
            items = await sent.items(start, start + _AT_ONCE)
            await _store(services, job, await _read(services, principal, items, start + 1))
    received = (
        update(jobs).where(jobs.c.job_no == job.job_no, jobs.c.status == "receiving").values(status="checking").returning(jobs)
    )
    async with services.engine.begin() as connection:
        row = (await connection.execute(received)).mappings().one_or_none()
    there = queries.of_row(row) if row is not None else await queries.find_job(services.engine, job.brand_id, job.job_no)
    assert there is not None
    return there


async def _store(services: Services, job: Job, read: Sequence[Line]) -> None:
    rows = [{"job_no": job.job_no, **msgspec.structs.asdict(line)} for line in read]
    async with services.engine.begin() as connection:
        await connection.execute(insert(lines).on_conflict_do_nothing(), rows)


async def _read(services: Services, principal: Principal, items: Sequence[LineRequest | Problem], first: int) -> list[Line]:
    checked = [item if isinstance(item, Problem) else _wrong(item) or item for item in items]
    named = [item.customer for item in checked if isinstance(item, LineRequest) and item.customer is not None]
    found = iter(await customers.find_each(services, principal.brand, named))
    return [
        _refused(number, item)
        if isinstance(item, Problem)
        else _of_grant(number, item)
        if item.customer is None
        else _of_customer(number, item, next(found))
        for number, item in enumerate(checked, first)
    ]


def _wrong(item: LineRequest) -> Problem | None:
    """What is wrong with a line, whatever it names."""
    if (item.grant_id is None) == (item.customer is None):
        return invalid_field("/grant_id", "must be given, or customer, and not both")
    if item.grant_id is not None and item.points is not None and item.points < 1:
        return invalid_field("/points", "must be at least 1, or left out for all that is left of the grant")
    if item.customer is not None and not item.points:
        return invalid_field("/points", "must be given, and not 0")
    return None


def _of_grant(number: int, item: LineRequest) -> Line:
    assert item.grant_id is not None
    grant = parse_grant_id(item.grant_id)
    if grant is None:
        return _refused(number, not_found("grant"))
    return Line(number, "clawback", *grant, None, item.points)


def _of_customer(number: int, item: LineRequest, known: Customer | Problem | None) -> Line:
    if not isinstance(known, Customer):
        return _refused(number, known or not_found("customer"))
    return Line(number, "adjustment", None, None, known.customer, item.points)


def _refused(number: int, problem: Problem) -> Line:
    detail = problem.detail[:_DETAIL_CHARACTERS]
    return Line(number, None, None, None, None, None, state="refused", code=problem.code, detail=detail)
