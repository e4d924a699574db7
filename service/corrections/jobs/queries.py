"""Reading corrections of many and their lines, and taking a job to work on it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import BigInteger, RowMapping, Select, Update, bindparam, cast, func, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from service.brands.brand import Brand
from service.corrections.jobs.schemas import (
    CorrectionJobResponse,
    CorrectionLineResponse,
    GrantSelection,
    LineKind,
    LineState,
    Made,
    Points,
    Status,
)
from service.corrections.jobs.tables import WORKED_ON
from service.corrections.jobs.tables import correction_job as jobs
from service.corrections.jobs.tables import correction_line as lines
from service.http import identifiers
from service.storage.leases import leased, take_one

NOW: Any = func.clock_timestamp()
_LOG_ROWS = 150_000
"""How much of the log one statement sums up."""


class Job(msgspec.Struct, frozen=True):
    """A job as it is stored."""

    job_no: int
    brand_id: int
    status: Status
    reason: str
    reference: str | None
    campaign_no: int | None
    selection: GrantSelection | None
    request_hash: bytes
    ordered_at: datetime
    ordered_by: int
    lines: int
    gathered_to: str | None
    checked: int
    checked_at: datetime | None
    refused: int
    skipped: int
    customers: int
    expected_taken: int
    expected_given: int
    expected_shortfall: int
    lines_hash: bytes | None
    approval_no: int | None
    started_at: datetime | None
    started_by: int | None
    begun: int
    settled: int
    made: int
    failed: int
    taken: int
    given: int
    shortfall: int
    error: str | None
    ended_at: datetime | None
    attempt: int

    @property
    def id(self) -> str:
        """Its public id."""
        return identifiers.correction_job_id(self.job_no)

    @property
    def to_do(self) -> int:
        """How many lines are to be carried out."""
        return self.lines - self.skipped

    def response(self, campaigns: Mapping[int, str]) -> CorrectionJobResponse:
        """The job as the API shows it; ``campaigns`` names campaigns by number."""
        return CorrectionJobResponse(
            id=self.id,
            status=self.status,
            reason=self.reason,
            reference=self.reference,
            campaign=None if self.campaign_no is None else campaigns[self.campaign_no],
            grants=self.selection,
            lines=self.lines,
            checked=self.checked,
            refused=self.refused,
            skipped=self.skipped,
            customers=self.customers,
            expected=Points(self.expected_taken, self.expected_given, self.expected_shortfall),
            lines_sha256=None if self.lines_hash is None else self.lines_hash.hex(),
            approval=None if self.approval_no is None else identifiers.approval_id(self.approval_no),
            made=Made(self.made, self.failed, Points(self.taken, self.given, self.shortfall)),
            error=self.error,
            ordered_by=identifiers.key_id(self.ordered_by),
            ordered_at=self.ordered_at,
            checked_at=self.checked_at,
            started_at=self.started_at,
            ended_at=self.ended_at,
        )


class Line(msgspec.Struct, frozen=True):
    """A line as it is stored."""

    line_no: int
    kind: LineKind | None
    campaign_no: int | None
    event_key: bytes | None
    customer: int | None
    points: int | None
    state: LineState = "new"
    expected: int | None = None
    expected_shortfall: int | None = None
    moved: int | None = None
    shortfall: int | None = None
    correction_no: int | None = None
    seq: int | None = None
    code: str | None = None
    detail: str | None = None

    @property
    def grant(self) -> tuple[int, bytes] | None:
        """The grant it is about."""
        return None if self.campaign_no is None or self.event_key is None else (self.campaign_no, self.event_key)

    def response(self, brand: Brand) -> CorrectionLineResponse:
        """The line as the API shows it."""
        number = self.correction_no
        return CorrectionLineResponse(
            line=self.line_no,
            kind=self.kind,
            grant_id=None if self.grant is None else identifiers.grant_id(*self.grant),
            customer=self.customer,
            points=self.points,
            state=self.state,
            expected=self.expected,
            expected_shortfall=self.expected_shortfall,
            moved=self.moved,
            shortfall=self.shortfall,
            correction_id=None if number is None else identifiers.correction_id(brand.book.book_id, number),
            seq=self.seq,
            code=self.code,
            detail=self.detail,
        )


_LINE = [lines.c[name] for name in Line.__struct_fields__]


def of_row(row: RowMapping) -> Job:
    """Make a job of its row."""
    columns: dict[str, Any] = {name: row[name] for name in Job.__struct_fields__}
    columns["selection"] = msgspec.convert(columns["selection"], GrantSelection | None)
    return Job(**columns)


def stored(selection: GrantSelection) -> Any:
    """A selection as it is stored."""
    return msgspec.to_builtins(selection)


async def read(connection: AsyncConnection, wanted: Select[Any]) -> list[Job]:
    """The jobs that a statement finds."""
    return [of_row(row) for row in (await connection.execute(wanted)).mappings()]


async def find_job(engine: AsyncEngine, brand_id: int, job_no: int) -> Job | None:
    """The brand's job of this number."""
    async with engine.connect() as connection:
        found = await read(connection, select(jobs).where(jobs.c.brand_id == brand_id, jobs.c.job_no == job_no))
    return found[0] if found else None


async def find_by_key(engine: AsyncEngine, brand_id: int, key: bytes) -> Job | None:
    """The brand's job that was ordered under an idempotency key, by its hash."""
    async with engine.connect() as connection:
        found = await read(connection, select(jobs).where(jobs.c.brand_id == brand_id, jobs.c.idempotency_key == key))
    return found[0] if found else None


async def list_jobs(engine: AsyncEngine, brand_id: int, *, before: int | None, limit: int) -> list[Job]:
    """A page of the brand's jobs, newest first; ``before`` is the last number of the page before."""
    found = select(jobs).where(jobs.c.brand_id == brand_id).order_by(jobs.c.job_no.desc()).limit(limit)
    async with engine.connect() as connection:
        return await read(connection, found if before is None else found.where(jobs.c.job_no < before))


async def list_lines(
    engine: AsyncEngine, job_no: int, *, state: LineState | None = None, after: int = 0, limit: int
) -> list[Line]:
    """A page of a job's lines, by number."""
    found = select(*_LINE).where(lines.c.job_no == job_no, lines.c.line_no > after)
    if state is not None:
        # As it is written in the condition of the index: a parameter would not match it.
        found = found.where(lines.c.state == text(f"'{state}'"))
    async with engine.connect() as connection:
        return [Line(*row) for row in await connection.execute(found.order_by(lines.c.line_no).limit(limit))]


async def take(engine: AsyncEngine) -> Job | None:
    """The job that nobody has worked on for the longest time, leased to the caller."""
    is_free = jobs.c.leased_until.is_(None) | (jobs.c.leased_until < func.clock_timestamp())
    longest = (jobs.c.leased_until.asc().nulls_first(), jobs.c.job_no)
    row = await take_one(engine, jobs, jobs.c.job_no, text(WORKED_ON), is_free, first=longest)
    return None if row is None else of_row(row)


async def jobs_of(engine: AsyncEngine, brand_id: int, seqs: Collection[int]) -> dict[int, str]:
    """The ids of the jobs whose lines began with these transfers."""
    if not seqs:
        return {}
    found = (
        select(lines.c.seq, lines.c.job_no)
        .join(jobs, jobs.c.job_no == lines.c.job_no)
        .where(jobs.c.brand_id == brand_id, lines.c.seq == func.any(bindparam("seqs", list(seqs), ARRAY(BigInteger))))
    )
    async with engine.connect() as connection:
        return {seq: identifiers.correction_job_id(job_no) for seq, job_no in await connection.execute(found)}


class JobSum(msgspec.Struct, frozen=True):
    """What lines of one kind of a job moved; ``gives`` is of adjustments."""

    job_no: int
    reason: str
    kind: str
    gives: bool
    lines: int
    points: int

    @property
    def id(self) -> str:
        """The job's public id."""
        return identifiers.correction_job_id(self.job_no)


async def sums_of_jobs(engine: AsyncEngine, brand_id: int, *, after: int, until: int) -> list[JobSum]:
    """What jobs moved by lines with ``after < seq <= until``, each piece of the log apart."""
    gives = ((lines.c.kind == "adjustment") & (lines.c.points > 0)).label("gives")
    of_job = (jobs.c.job_no, jobs.c.reason, lines.c.kind, gives)
    summed = (
        select(*of_job, func.count(), cast(func.sum(lines.c.moved), BigInteger))
        .join(jobs, jobs.c.job_no == lines.c.job_no)
        .where(jobs.c.brand_id == brand_id)
        .group_by(*of_job)
    )
    found: list[JobSum] = []
    for begin in range(after, until, _LOG_ROWS):
        piece = (lines.c.seq > begin) & (lines.c.seq <= min(begin + _LOG_ROWS, until))
        async with engine.connect() as connection:
            found += [JobSum(*row) for row in await connection.execute(summed.where(piece))]
    return found


def ours(job: Job) -> Update:
    """An update of a job, as long as it is this attempt's."""
    return update(jobs).where(jobs.c.job_no == job.job_no, jobs.c.attempt == job.attempt)


async def change(engine: AsyncEngine, job: Job, **columns: Any) -> bool:
    """Write what has become of a job, as long as it is this attempt's and is as it was read."""
    async with engine.begin() as connection:
        changed = ours(job).where(jobs.c.status == job.status).values(**columns)
        return (await connection.execute(changed)).rowcount == 1


async def release(engine: AsyncEngine, job: Job) -> None:
    """Give a job back, as long as it is this attempt's."""
    async with engine.begin() as connection:
        await connection.execute(ours(job).values(leased_until=NOW))


async def begin(engine: AsyncEngine, job: Job, until: int) -> bool:
    """Note that lines up to ``until`` may be posted from now on, unless the job was cancelled."""
    return await change(engine, job, begun=until, leased_until=leased())


def numbers(found: Sequence[Line]) -> list[int]:
    """The numbers of lines."""
    return [line.line_no for line in found]
