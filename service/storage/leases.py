"""Work in a table that one worker at a time takes, and has until its lease is over.

    take_one   the first row that is free, leased to the caller: another attempt at it
    leased     until when a worker has what it takes or renews now

Such a table has the columns ``attempt`` and ``leased_until``. Whoever writes a row names the attempt, so that a worker who has
lost it is not listened to any more.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import Column, ColumnElement, RowMapping, Table, TextClause, func, literal, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

LEASE = timedelta(seconds=60)


async def take_one(
    engine: AsyncEngine,
    table: Table,
    key: Column[Any],
    *free: ColumnElement[bool] | TextClause,
    first: tuple[Any, ...],
    **columns: Any,
) -> RowMapping | None:
    """Lease the first row, by ``first``, that is ``free`` and that nobody else is taking. ``columns`` are written to it.

    ``None``: there is none.
    """
    found = select(key).where(*free).order_by(*first).limit(1).with_for_update(skip_locked=True)
    taken = (
        update(table)
        # Of a scalar, once: within IN it may be asked for every row, and would take another each time.
        .where(key == found.scalar_subquery())
        .values(attempt=table.c.attempt + 1, leased_until=leased(), **columns)
        .returning(table)
    )
    async with engine.begin() as connection:
        return (await connection.execute(taken)).mappings().one_or_none()


def leased() -> ColumnElement[Any]:
    """Until when a worker has what it takes now."""
    return func.clock_timestamp() + literal(LEASE)
