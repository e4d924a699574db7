"""The rows of what was said. The caller of ``standing`` and ``insert`` owns the transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import msgspec

from ledger import Position

Connection: TypeAlias = "asyncpg.Connection[Any] | asyncpg.pool.PoolConnectionProxy[Any]"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """What was said of one customer and channel. ``consent_no`` is its place in the order in which we were told."""

    consent_no: int
    customer: int
    channel: str
    at: datetime
    refused: bool
    source: str
    recorded_at: datetime
    recorded_by: int
    link_made_by: int | None


_SQL = Path(__file__).with_name("sql")
_STANDING = (_SQL / "standing.sql").read_text()
_INSERT = (_SQL / "insert.sql").read_text()
_CURRENT = (_SQL / "current.sql").read_text()
_HISTORY = (_SQL / "history.sql").read_text()


class Said(msgspec.Struct, frozen=True):
    """What somebody tells us of a customer. ``number`` is the one that the name given leads to: it is said of that."""

    customer: int
    number: int
    channel: str
    at: datetime
    refused: bool
    source: str

    @property
    def words(self) -> tuple[int, str, datetime, bool, str]:
        """What is said, under whichever name of hers."""
        return (self.customer, self.channel, self.at, self.refused, self.source)


async def standing(connection: Connection, wanted: Sequence[Said]) -> list[tuple[bool, Statement | None]]:
    """Of each of ``wanted`` whether it was said before, under any of her numbers, and what holds for the channel so far."""
    rows = await connection.fetch(_STANDING, *_columns(wanted))
    return [(row["was_said"], None if row["consent_no"] is None else _statement(row)) for row in rows]


async def insert(
    connection: Connection, brand_id: int, wanted: Sequence[Said], *, recorded_at: datetime, told_by: tuple[int, int | None]
) -> dict[Said, Statement]:
    """Add to the history, in order; give each as it is stored. ``told_by``: the key, and the key that made the link."""
    rows = await connection.fetch(_INSERT, brand_id, recorded_at, *told_by, *_columns(wanted))
    stored = {(said.customer, said.channel, said.at, said.refused, said.source): said for said in map(_statement, rows)}
    return {said: stored[said.number, said.channel, said.at, said.refused, said.source] for said in wanted}


async def current(pool: asyncpg.Pool[Any], numbers: Sequence[int]) -> list[Statement]:
    """What holds for each channel, given all numbers of a customer; by channel."""
    return [_statement(row) for row in await pool.fetch(_CURRENT, numbers)]


async def history(pool: asyncpg.Pool[Any], numbers: Sequence[int], *, before: Position | None, limit: int) -> list[Statement]:
    """All that was said, latest first; ``before`` is the ``cursor`` of the last of the page before."""
    at = None if before is None else _EPOCH + before.seq * _MICROSECOND
    place = None if before is None else before.place
    return [_statement(row) for row in await pool.fetch(_HISTORY, numbers, at, place, limit)]


def cursor(said: Statement) -> Position:
    """Where a page of the history ends."""
    return Position((said.at - _EPOCH) // _MICROSECOND, said.consent_no)


def _columns(wanted: Sequence[Said]) -> list[list[Any]]:
    return [[getattr(each, name) for each in wanted] for name in Said.__struct_fields__]


def _statement(row: Any) -> Statement:
    return Statement(**{name: row[name] for name in Statement.__struct_fields__})
