"""What the log moved, added up by accounting date, verb, accounts, campaign and event.

It is read in pieces, each a short statement of its own, and what the pieces moved is added up here. So however long the log is,
no statement takes long and no snapshot stays open.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from ledger.chart import Kind
from ledger.read_models import Movement
from ledger.types import AccountClass, Book, Verb

LOG_ROWS = 500_000
LOG_ROWS_WITH_EVENTS = 100_000
"""What one statement reads: it takes a fraction of the five seconds that it may take, even under load."""

_MOVEMENTS = (Path(__file__).with_name("sql") / "movements.sql").read_text()
_PERSONAL = frozenset((Kind.LOT, Kind.PENDING, Kind.HELD, Kind.SPENT))


async def movements(pool: asyncpg.Pool[Any], book: Book, *, after: int, until: int, with_events: bool = True) -> list[Movement]:
    """What the transfers with ``after < seq <= until`` moved, in no order. ``with_events`` costs most of the time."""
    found: dict[tuple[Any, ...], Movement] = {}
    step = LOG_ROWS_WITH_EVENTS if with_events else LOG_ROWS
    for begin in range(after, until, step):
        piece = (begin, min(begin + step, until), with_events)
        for row in await pool.fetch(_MOVEMENTS, book.book_id, book.brand_id, *piece):
            name = tuple(row.values())[:8]
            movement, known = _movement(row), found.get(name)
            found[name] = movement if known is None else _sum(known, movement)
    return list(found.values())


def _movement(row: asyncpg.Record) -> Movement:
    debit, credit = Kind(row["debit"] >> 4), Kind(row["credit"] >> 4)
    return Movement(
        day=row["day"],
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
    )


def _sum(one: Movement, other: Movement) -> Movement:
    return msgspec.structs.replace(
        one,
        transfers=one.transfers + other.transfers,
        points=one.points + other.points,
        first_seq=min(one.first_seq, other.first_seq),
        last_seq=max(one.last_seq, other.last_seq),
    )
