"""Tidying up: timed-out holds and dead lots. Every posting does this for the wallet it touches, so nobody waits for it.

    holds, held-back points   by their deadlines, in an index that settled rows leave
    dead lots                 after a day on which lots died, all wallets of the book are walked through once, by customer

A dead lot stays in its index when its points are gone (otherwise no balance could be changed in place), so finding the next one
there would pass over all before it: a million lots would cost their number squared. The walk reads each wallet's row once and
locks nothing; only what it finds is posted under the book's lock. At its end the book records through which day it is swept:
points are never paid to a lot that is dead, so none are left behind its back.
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from ledger.types import Book

WALLETS_AT_ONCE = 20_000
"""How many wallets one statement reads, in some 20 ms."""

_SQL = Path(__file__).with_name("sql")
_SWEEP = "SELECT ledger.sweep_v1($1, $2, $3, $4)"
_EXPIRE = "SELECT ledger.expire_v1($1, $2, $3, $4)"
_SWEPT_THROUGH = "SELECT ledger.swept_through_v1($1, $2, $3, $4, $5)"
_BEGIN = (_SQL / "sweep_begin.sql").read_text()
_ANY_LOT_DIED = (_SQL / "any_lot_died.sql").read_text()
_WALK = (_SQL / "sweep_wallets.sql").read_text()


class _Walk(msgspec.Struct):
    """How far a book's wallets have been walked through, and which were found to have dead lots."""

    seq: int
    through: date
    walked_to: int | None = -1
    found: deque[int] = msgspec.field(default_factory=deque[int])


class Sweeper:
    """Sweeps one book, a little at a time. It remembers only how far it has come. Needs the worker's role."""

    def __init__(self, pool: asyncpg.Pool[Any], book: Book) -> None:
        self._pool = pool
        self._book = book
        self._walk: _Walk | None = None

    async def run_once(self, *, limit: int) -> int:
        """Post what is due on at most ``limit`` wallets, in one commit. Returns how many there were; 0 when nothing is due.

        The book is locked during the posting, so keep ``limit`` small.
        """
        swept = await self._pool.fetchval(_SWEEP, *self._now, limit)
        if swept:
            return swept
        walk = self._walk = self._walk or await self._begin()
        if walk is None:
            return 0
        while not walk.found and walk.walked_to is not None:
            await self._walk_on(walk)
        if walk.found:
            customers = [walk.found.popleft() for _ in range(min(limit, len(walk.found)))]
            return await self._pool.fetchval(_EXPIRE, *self._now, customers)
        await self._finish(walk)
        return 0

    @property
    def _now(self) -> tuple[int, int, datetime]:
        return self._book.brand_id, self._book.book_id, datetime.now(UTC)

    async def _begin(self) -> _Walk | None:
        """A walk, if a lot may have died since the last one."""
        head = await self._pool.fetchrow(_BEGIN, self._book.book_id, self._book.brand_id)
        if head is None:
            return None
        walk = _Walk(*head)
        if not await self._pool.fetchval(_ANY_LOT_DIED, self._book.book_id, walk.through):
            walk.walked_to = None
        return walk

    async def _walk_on(self, walk: _Walk) -> None:
        row = await self._pool.fetchrow(_WALK, self._book.book_id, walk.walked_to, WALLETS_AT_ONCE, walk.through)
        assert row is not None
        found: list[int] = row["customers"]
        walk.walked_to = row["walked_to"]
        walk.found.extend(found)

    async def _finish(self, walk: _Walk) -> None:
        self._walk = None
        await self._pool.fetchval(_SWEPT_THROUGH, *self._now, walk.seq, walk.through)


async def sweep(pool: asyncpg.Pool[Any], book: Book, *, limit: int = 100) -> int:
    """Post what is due on at most ``limit`` wallets, as a ``Sweeper`` does that has just begun."""
    return await Sweeper(pool, book).run_once(limit=limit)
