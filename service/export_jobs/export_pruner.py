"""The export pruner: an agent that removes the files of exports that were deleted or cancelled, have failed, or are too old."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import Select, func, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from service.export_jobs import queries
from service.export_jobs.store import open_store
from service.export_jobs.tables import export_job as table
from service.settings import Settings

JOBS_AT_ONCE = 100


async def run_once(settings: Settings, engine: AsyncEngine) -> int:
    """Remove the files of some exports; says of how many."""
    store = open_store(settings)
    over = await queries.read(engine, _over(timedelta(days=settings.exports_days)))
    for job in over:
        await store.remove(job.id)
        removed = (
            update(table)
            .where(table.c.export_no == job.export_no)
            .values(stored=False, files=[], deleted_at=func.coalesce(table.c.deleted_at, func.clock_timestamp()))
        )
        async with engine.begin() as connection:
            await connection.execute(removed)
    return len(over)


def _over(kept: timedelta) -> Select[Any]:
    now = func.clock_timestamp()
    # What seems lost may be there again, once a disk is.
    kept_for_long = table.c.status.in_(("done", "lost"))
    return (
        select(table)
        .where(
            table.c.stored,
            table.c.ended_at.is_not(None),
            # Whoever was at it when it was cancelled may still be writing.
            or_(kept_for_long, table.c.leased_until.is_(None), table.c.leased_until < now),
            or_(~kept_for_long, table.c.deleted_at.is_not(None), table.c.ended_at < now - literal(kept)),
        )
        .order_by(table.c.export_no)
        .limit(JOBS_AT_ONCE)
    )
