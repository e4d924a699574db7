"""The exporter: an agent that makes the files of export jobs, one job at a time.

A job is leased to a worker, who renews the lease while it works. One whose worker is gone is taken on by another: it has the
files that are whole, and starts the one that is not over. A worker that has lost its job is not listened to any more.

    take      the oldest job that nobody is at
    renew     say how far it has come; False when it is not ours any more, or was cancelled
    end       done, or failed with its reason
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import msgspec
import structlog
from sqlalchemy import Update, func, text, type_coerce, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncEngine

from service.brands.queries import find_brand_by_id
from service.export_jobs import queries
from service.export_jobs.making import book_at_cut
from service.export_jobs.queries import ExportJob
from service.export_jobs.store import open_store
from service.export_jobs.tables import UNDER_WAY
from service.export_jobs.tables import export_job as table
from service.exports import bundle
from service.exports.account_codes import account_codes
from service.exports.book_at_cut import READERS, BookAtCut
from service.exports.bundle import ExportedFile, ExportFormat, Room, RoomExceeded, Writer
from service.settings import Settings
from service.storage import database
from service.storage.leases import leased, take_one

RENEWED_EVERY_S = 2.0
ATTEMPTS_MAX = 10
"""A job that has brought so many workers down does so with the next."""

_BRAND_BYTES = (Path(__file__).with_name("brand_bytes.sql")).read_text()


class JobLost(Exception):
    """The job was cancelled, or another worker has it."""


class Exporter:
    """Makes the files of jobs. It ends in the middle of one when ``stop`` is set; another worker goes on."""

    def __init__(self, settings: Settings, engine: AsyncEngine, stop: asyncio.Event) -> None:
        self._settings = settings
        self._engine = engine
        self._stop = stop
        self._store = open_store(settings)

    async def run_once(self) -> int:
        """Make one job's files; 0 when there is none."""
        job = await take(self._engine)
        if job is None:
            return 0
        if job.attempt > ATTEMPTS_MAX:
            await self._fail(job, f"it was given up after {ATTEMPTS_MAX} attempts")
            return 1
        try:
            await self._make_watched(job)
        except JobLost:
            structlog.get_logger().info("export_job_lost", export=job.id)
        except (OSError, RoomExceeded, ExceptionGroup) as error:
            await self._fail(job, _reason(error))
        return 1

    async def _make_watched(self, job: ExportJob) -> None:
        """Make the files, and say every moment how far they have come."""
        progress = _Progress()
        making = asyncio.create_task(self._make(job, progress))
        stopping = asyncio.create_task(self._stop.wait())
        try:
            while not making.done():
                await asyncio.wait({making, stopping}, timeout=RENEWED_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
                if self._stop.is_set() and not making.done():
                    await _change(self._engine, job, status="queued", leased_until=None)
                    return
                if not making.done() and not await renew(self._engine, job, progress.rows):
                    raise JobLost
            await making
        finally:
            stopping.cancel()
            making.cancel()
            await asyncio.gather(making, stopping, return_exceptions=True)

    async def _make(self, job: ExportJob, progress: _Progress) -> None:
        writers = _writers_of(job)
        have = {file.name: file for file in job.files if file.name in writers}
        span = job.cut.seq - (0 if job.since is None else job.since.seq)
        progress.rows = span * sum(writers[name].reads_log for name in have)
        await _keep(self._engine, job, rows_of=span * sum(writer.reads_log for writer in writers.values()))
        await self._store.begin(job.id)
        async with self._reading(job, progress) as book:
            manifest = await bundle.write(
                book, writers, self._store.place(job.id), have=have, made=self.made(job), room=await self._room(job)
            )
        if manifest.balanced:
            await _keep(self._engine, job, status="done", ended_at=func.clock_timestamp(), rows_read=progress.rows)
        else:
            await self._fail(job, "debits and credits differ: the operator is to run `rewards audit`")

    def made(self, job: ExportJob) -> Callable[[ExportedFile], Awaitable[None]]:
        """Note each file of a job as soon as it is whole."""

        async def made(file: ExportedFile) -> None:
            await self._store.keep(job.id, file.name)
            lines = type_coerce([msgspec.to_builtins(file)], JSONB)
            await _keep(self._engine, job, files=table.c.files.op("||")(lines))

        return made

    @contextlib.asynccontextmanager
    async def _reading(self, job: ExportJob, progress: _Progress) -> AsyncGenerator[BookAtCut]:
        """The job's book, read in the reader's role over connections of its own."""
        url = self._settings.database_url
        engine = database.create_engine(url, database.READER_ROLE, size=1)
        pool = await database.create_pool(url, database.READER_ROLE, size=READERS)
        try:
            brand = await find_brand_by_id(engine, job.brand_id)
            assert brand is not None
            yield await book_at_cut(
                pool,
                engine,
                brand,
                job.cut,
                since=job.since,
                sub_accounts=job.sub_accounts,
                codes=account_codes(job.account_codes),
                restated=job.restatements,
                on_rows=progress.add,
            )
        finally:
            pool.terminate()
            await engine.dispose()

    async def _room(self, job: ExportJob) -> Room:
        async with self._engine.connect() as connection:
            used: int = (await connection.execute(text(_BRAND_BYTES), {"brand_id": job.brand_id})).scalar_one()
        return Room(self._settings.exports_bytes - used)

    async def _fail(self, job: ExportJob, reason: str) -> None:
        structlog.get_logger().warning("export_job_failed", export=job.id, reason=reason)
        await _change(self._engine, job, status="failed", error=reason, files=[], ended_at=func.clock_timestamp())
        with contextlib.suppress(OSError):
            await self._store.remove(job.id)


def _writers_of(job: ExportJob) -> dict[str, Writer]:
    if job.business_date is None:
        formats = [ExportFormat(each) for each in job.formats]
        return bundle.writers_of(formats, details=job.details, customers=job.customers)
    # Loading Arrow takes a tenth of a second and 40 MB.
    from service.export_jobs.mart.facts import Day, writers_of_day

    return writers_of_day(Day(job.business_date, job.counts_from))


class _Progress:
    """How many rows of the log were read."""

    def __init__(self) -> None:
        self.rows = 0

    def add(self, rows: int) -> None:
        """Count a page."""
        self.rows += rows


async def take(engine: AsyncEngine) -> ExportJob | None:
    """The oldest job that nobody is at, leased to the caller."""
    is_free = (table.c.status == "queued") | (table.c.leased_until < func.clock_timestamp())
    oldest = (table.c.export_no,)
    row = await take_one(
        engine, table, table.c.export_no, text(UNDER_WAY), is_free, first=oldest, status="running", stored=True
    )
    return None if row is None else queries.of_row(row)


async def renew(engine: AsyncEngine, job: ExportJob, rows: int) -> bool:
    """Keep a job for another while, and say how far it has come."""
    return await _change(engine, job, rows_read=rows, leased_until=leased())


async def _keep(engine: AsyncEngine, job: ExportJob, **columns: Any) -> None:
    if not await _change(engine, job, **columns):
        raise JobLost


async def _change(engine: AsyncEngine, job: ExportJob, **columns: Any) -> bool:
    """Write what has become of a job, as long as it is this attempt's."""
    async with engine.begin() as connection:
        return (await connection.execute(_ours(job).values(**columns))).rowcount == 1


def _ours(job: ExportJob) -> Update:
    return update(table).where(table.c.export_no == job.export_no, table.c.attempt == job.attempt, table.c.status == "running")


def _reason(error: Exception) -> str:
    """Why a job has failed, without the server's paths. What is not a job's own failing is raised again."""
    cause: BaseException = error
    while isinstance(cause, ExceptionGroup):
        cause = cast("ExceptionGroup[Exception]", cause).exceptions[0]
    if isinstance(cause, RoomExceeded):
        return str(cause)
    if isinstance(cause, OSError) and not database.is_away(cause):
        return f"the store of exports: {cause.strerror or type(cause).__name__}"
    raise error
