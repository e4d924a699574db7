"""The statements on consents. The caller of ``standing`` and ``insert`` owns the transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias

import asyncpg
import msgspec

from ledger import Position, from_unix_microseconds, unix_microseconds

Connection: TypeAlias = "asyncpg.Connection[Any] | asyncpg.pool.PoolConnectionProxy[Any]"

RefusalReason = Literal["complaint", "stop"]
"""Why a customer refuses, where that stops what is held back for them."""


class RecordedConsent(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the history of a customer and channel. ``consent_no`` ascends in the order of recording."""

    consent_no: int
    customer: int
    channel: str
    at: datetime
    refused: bool
    source: str
    recorded_at: datetime
    recorded_by: int
    link_made_by: int | None
    reason: RefusalReason | None


_SQL = Path(__file__).with_name("sql")
_STANDING = (_SQL / "standing.sql").read_text()
_INSERT = (_SQL / "insert.sql").read_text()
_CURRENT = (_SQL / "current.sql").read_text()
_HISTORY = (_SQL / "history.sql").read_text()
_COMPLAINT = (_SQL / "complaint.sql").read_text()


class NewConsent(msgspec.Struct, frozen=True):
    """A statement to record. ``number`` is the one that the name given leads to; ``customer`` is the survivor's."""

    customer: int
    number: int
    channel: str
    at: datetime
    refused: bool
    source: str
    reason: RefusalReason | None = None

    @property
    def identity(self) -> tuple[int, str, datetime, bool, str]:
        """What makes two statements the same, whichever of the customer's names was given."""
        return (self.customer, self.channel, self.at, self.refused, self.source)


async def standing(connection: Connection, wanted: Sequence[NewConsent]) -> list[tuple[bool, RecordedConsent | None]]:
    """For each of ``wanted``, whether any of the customer's numbers has it already, and what holds for the channel so far."""
    # Why somebody refuses does not make it another statement.
    rows = await connection.fetch(_STANDING, *_columns(wanted)[:-1])
    return [(row["was_said"], None if row["consent_no"] is None else _recorded(row)) for row in rows]


async def insert(
    connection: Connection,
    brand_id: int,
    wanted: Sequence[NewConsent],
    *,
    recorded_at: datetime,
    api_key_id: int,
    link_made_by: int | None,
) -> dict[NewConsent, RecordedConsent]:
    """Append to the history, in order, and return each statement as it is stored."""
    rows = await connection.fetch(_INSERT, brand_id, recorded_at, api_key_id, link_made_by, *_columns(wanted))
    stored = {(each.customer, each.channel, each.at, each.refused, each.source): each for each in map(_recorded, rows)}
    return {each: stored[each.number, each.channel, each.at, each.refused, each.source] for each in wanted}


async def current(pool: asyncpg.Pool[Any], numbers: Sequence[int]) -> list[RecordedConsent]:
    """What holds for each channel, given all numbers of a customer, ordered by channel."""
    return [_recorded(row) for row in await pool.fetch(_CURRENT, numbers)]


async def history(
    pool: asyncpg.Pool[Any], numbers: Sequence[int], *, before: Position | None, limit: int
) -> list[RecordedConsent]:
    """The history, newest first; ``before`` is the ``cursor`` of the previous page's last entry."""
    at = None if before is None else from_unix_microseconds(before.seq)
    place = None if before is None else before.place
    return [_recorded(row) for row in await pool.fetch(_HISTORY, numbers, at, place, limit)]


async def complaint(
    pool: asyncpg.Pool[Any], numbers: Sequence[int], channels: Sequence[str], *, since: datetime
) -> RefusalReason | None:
    """Why a customer complained about one of ``channels`` at or after ``since``, given all their numbers; ``None`` if they
    did not.
    """
    return await pool.fetchval(_COMPLAINT, numbers, channels, since)


def cursor(consent: RecordedConsent) -> Position:
    """Where a page of the history ends."""
    return Position(unix_microseconds(consent.at), consent.consent_no)


def _columns(wanted: Sequence[NewConsent]) -> list[list[Any]]:
    return [[getattr(each, name) for each in wanted] for name in NewConsent.__struct_fields__]


def _recorded(row: Any) -> RecordedConsent:
    return RecordedConsent(**{name: row[name] for name in RecordedConsent.__struct_fields__})
