"""Replays; lines of dry runs, written and read; and the hash of what a correction would do."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec
from sqlalchemy import RowMapping, select, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from service.ingest.replays.comparing import CORRECTED, Change, Line
from service.ingest.replays.schemas import Mode, ReplayResponse, ReplayTotals
from service.ingest.replays.tables import replayed_event
from service.ingest.tables import source as sources
from service.ingest.tables import source_replay as replays

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

_SQL = Path(__file__).with_name("sql")
TAKEN_BACK = (_SQL / "taken_back.sql").read_text()
TOTALS = (_SQL / "totals.sql").read_text()
_STORE = (_SQL / "store_lines.sql").read_text()
_OF_ENVELOPES = (_SQL / "lines_of_envelopes.sql").read_text()
_MARK = (_SQL / "mark_lines.sql").read_text()
_HASHED_AT_ONCE = 5_000
_COLUMNS = Line.__struct_fields__


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """Envelopes of a source that are to be read again."""

    replay_no: int
    source_no: int
    first_no: int
    last_no: int
    read_no: int
    asked_by: int
    asked_at: datetime
    done_at: datetime | None
    mode: Mode
    mapping: int
    totals: ReplayTotals | None
    lines_hash: bytes | None
    error: str | None
    corrects: int | None
    reason: str | None

    def response(self) -> ReplayResponse:
        """The replay on the wire."""
        return ReplayResponse(
            replay=self.replay_no,
            mode=self.mode,
            first=self.first_no,
            last=self.last_no,
            read=self.read_no - self.first_no + 1,
            mapping=self.mapping,
            totals=self.totals,
            corrects=self.corrects,
            error=self.error,
            asked_at=self.asked_at,
            done_at=self.done_at,
        )


def replay_of(row: RowMapping | Mapping[str, Any]) -> Replay:
    """A replay as it is stored."""
    totals = row["totals"]
    named: dict[str, Any] = {name: row[name] for name in Replay.__struct_fields__}
    named["totals"] = None if totals is None else msgspec.convert(totals, ReplayTotals)
    return Replay(**named)


async def find_replay(engine: AsyncEngine, brand_id: int, source_no: int, replay_no: int) -> Replay | None:
    """A replay of a source of a brand."""
    found = (
        select(replays)
        .join(sources, sources.c.source_no == replays.c.source_no)
        .where(sources.c.brand_id == brand_id, replays.c.source_no == source_no, replays.c.replay_no == replay_no)
    )
    async with engine.connect() as connection:
        row = (await connection.execute(found)).mappings().one_or_none()
    return None if row is None else replay_of(row)


class StoredLine(msgspec.Struct, frozen=True):
    """A line as it is stored. ``takes``: a correction takes its grant back, and says by ``state`` how the line stands."""

    line: Line
    takes: bool
    state: str | None

    @property
    def place(self) -> tuple[int, int]:
        """The line's own name in its dry run."""
        return self.line.envelope_no, self.line.line


async def store(connection: PoolConnectionProxy[Any], replay_no: int, lines: Sequence[Line]) -> None:
    """Store lines; what is stored stays."""
    await connection.execute(_STORE, replay_no, *([getattr(line, name) for line in lines] for name in _COLUMNS))


async def list_lines(
    engine: AsyncEngine, replay_no: int, *, changes: Collection[Change], after: tuple[int, int], limit: int
) -> list[StoredLine]:
    """Lines of a dry run after one, in their order."""
    found = (
        select(replayed_event)
        .where(replayed_event.c.replay_no == replay_no, replayed_event.c.change.in_(changes))
        .where(tuple_(replayed_event.c.envelope_no, replayed_event.c.line) > tuple_(*after))
        .order_by(replayed_event.c.envelope_no, replayed_event.c.line)
        .limit(limit)
    )
    async with engine.connect() as connection:
        return [_stored(row) for row in (await connection.execute(found)).mappings()]


async def lines_of(pool: asyncpg.Pool[Any], replay_no: int, envelopes: Sequence[int]) -> list[StoredLine]:
    """What a correction is to change of these envelopes, in order."""
    return [_stored(row) for row in await pool.fetch(_OF_ENVELOPES, replay_no, envelopes, sorted(CORRECTED))]


async def mark(pool: asyncpg.Pool[Any], replay_no: int, lines: Sequence[StoredLine], state: str) -> None:
    """Say how lines of a correction stand."""
    if lines:
        places = [each.place for each in lines]
        await pool.execute(_MARK, replay_no, [envelope_no for envelope_no, _ in places], [line for _, line in places], state)


async def fingerprint(engine: AsyncEngine, replay_no: int) -> bytes:
    """The SHA-256 of all that a correction by a dry run would do, each line as a line of JSON."""
    digest, after = hashlib.sha256(), (0, -1)
    while page := await list_lines(engine, replay_no, changes=CORRECTED, after=after, limit=_HASHED_AT_ONCE):
        for each in page:
            line = each.line
            act = None if line.act is None else line.act.hex()
            said = [
                *each.place,
                line.change,
                line.then_grant,
                each.takes,
                line.left_points,
                act,
                line.now_outcome,
                line.now_points,
            ]
            digest.update(msgspec.json.encode(said) + b"\n")
        after = page[-1].place
    return digest.digest()


def _stored(row: Any) -> StoredLine:
    return StoredLine(Line(**{name: row[name] for name in _COLUMNS}), row["takes"], row["state"])
