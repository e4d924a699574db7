"""What the log moved, added up by accounting date, verb, accounts, campaign and event.

It is read in pieces, each a short statement of its own, and what the pieces moved is added up here. So however long the log is,
no statement takes long and no snapshot stays open.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from ledger.chart import Kind
from ledger.read_models import Movement, StageEarned
from ledger.types import AccountClass, Book, Verb

LOG_ROWS = 150_000
LOG_ROWS_WITH_EVENTS = 100_000
LOG_ROWS_WITH_ACTS_BEFORE = 50_000
LAYERS_ISSUED = 20_000
"""What one statement reads; layers as often as they were moved. It takes a fraction of the five seconds that it may take, even
under load.
"""

_SQL = Path(__file__).with_name("sql")
_MOVEMENTS = (_SQL / "movements.sql").read_text()
_LAYERS = (_SQL / "layer_movements.sql").read_text()
_LIFECYCLE = (_SQL / "lifecycle.sql").read_text()
# Rows are many and groups are few, which the planner cannot know of expressions: it would sort the rows, on disk. And a plan
# for any piece looks up row by row what one for this piece leaves out.
_PLANNED = "SET LOCAL enable_sort = off; SET LOCAL plan_cache_mode = force_custom_plan"
_LAYERS_READ = "SELECT reader.seq FROM ledger.layer_reader AS reader WHERE reader.book_id = $1 AND NOT reader.clearing"
_PERSONAL = frozenset((Kind.LOT, Kind.PENDING, Kind.HELD, Kind.SPENT))


async def movements(
    pool: asyncpg.Pool[Any], book: Book, *, after: int, until: int, with_events: bool = True, with_acts: bool = False
) -> list[Movement]:
    """What the transfers with ``after < seq <= until`` moved, in no order. ``with_events`` costs most of the time."""
    step = LOG_ROWS if not with_events else LOG_ROWS_WITH_EVENTS
    pieces = [(begin, min(begin + step, until), with_events, with_acts) for begin in range(after, until, step)]
    return await _added_up(pool, book, _MOVEMENTS, pieces)


async def layer_movements(pool: asyncpg.Pool[Any], book: Book, *, after: int, until: int) -> list[Movement]:
    """What the same transfers moved of layers, so far as these have been read."""
    step = LOG_ROWS_WITH_EVENTS
    return await _added_up(
        pool, book, _LAYERS, [(begin, min(begin + step, until), None) for begin in range(after, until, step)]
    )


async def uses_of_issued(pool: asyncpg.Pool[Any], book: Book, *, after: int, until: int, used_until: int) -> list[Movement]:
    """What the log up to ``used_until`` moved of the layers that the same transfers brought in."""
    step = LAYERS_ISSUED
    pieces = [(begin, min(begin + step, until), used_until) for begin in range(after, until, step)]
    return await _added_up(pool, book, _LAYERS, pieces)


async def lifecycle(
    pool: asyncpg.Pool[Any], book: Book, *, after: int, until: int, since: date, to: date, lapsed_after: timedelta
) -> list[StageEarned]:
    """What the same transfers gave customers on the days from ``since`` to ``to``, by where the customer was, in no order."""
    found: list[StageEarned] = []
    for begin in range(after, until, LOG_ROWS_WITH_ACTS_BEFORE):
        piece = (begin, min(begin + LOG_ROWS_WITH_ACTS_BEFORE, until), since, to, lapsed_after)
        for row in await pool.fetch(_LIFECYCLE, book.book_id, book.brand_id, *piece):
            stage = (row["stage"], row["acts"], row["points"])
            found.append(StageEarned(row["day"], row["campaign_no"], AccountClass(row["class"]), *stage))
    return found


async def layers_read(pool: asyncpg.Pool[Any], book: Book) -> int | None:
    """The last transfer whose layers are known; ``None`` while they are built."""
    return await pool.fetchval(_LAYERS_READ, book.book_id)


async def _added_up(pool: asyncpg.Pool[Any], book: Book, statement: str, pieces: Sequence[tuple[Any, ...]]) -> list[Movement]:
    found: dict[tuple[Any, ...], Movement] = {}
    for piece in pieces:
        for row in await _piece(pool, statement, book, piece):
            movement = movement_of(row, day=row["day"])
            name = msgspec.structs.astuple(msgspec.structs.replace(movement, transfers=0, points=0, first_seq=0, last_seq=0))
            known = found.get(name)
            found[name] = movement if known is None else _sum(known, movement)
    return list(found.values())


async def _piece(pool: asyncpg.Pool[Any], statement: str, book: Book, piece: tuple[Any, ...]) -> list[asyncpg.Record]:
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        await connection.execute(_PLANNED)
        return await connection.fetch(statement, book.book_id, book.brand_id, *piece)


def movement_of(row: asyncpg.Record, *, day: date) -> Movement:
    """A movement as the statements return it."""
    debit, credit = Kind(row["debit"] >> 4), Kind(row["credit"] >> 4)
    return Movement(
        day=day,
        verb=Verb(row["verb"]),
        debit=debit,
        credit=credit,
        account_class=AccountClass((row["credit"] if credit in _PERSONAL else row["debit"]) & 15),
        campaign_no=row["campaign_no"],
        channel=row["channel"],
        action=row["action"],
        grade=row["grade"],
        transfers=row["transfers"],
        points=row["points"],
        first_seq=row["first_seq"],
        last_seq=row["last_seq"],
        issued_on=row.get("issued_on"),
        occurred_on=row.get("occurred_on"),
    )


def _sum(one: Movement, other: Movement) -> Movement:
    return msgspec.structs.replace(
        one,
        transfers=one.transfers + other.transfers,
        points=one.points + other.points,
        first_seq=min(one.first_seq, other.first_seq),
        last_seq=max(one.last_seq, other.last_seq),
    )
