"""The agent that reads on: it decides what is in envelopes, source by source, a batch at a time, and stores what became of it.

    1. begin   the batch's beginning is stored, in the brand's time, before anything is posted
    2. decide  its events are reported
    3. end     outcomes, the new cursor and what was paid today, in one transaction

A source is locked for it by a lock of the database's session, which ends with the connection however that ends: whoever comes
next takes up the same batch, and what was posted is found by its event keys. Two agents at one source would do no harm but
twice the work: the cursor is moved only from where it was.

A batch is bounded in envelopes, bytes and time, so memory stays flat however much waits.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec
import structlog

from service.egress import fetching
from service.egress.fetching import FetchFailed
from service.ingest.deciding import ReadEvent, confirmation_outcome, decide, fault_outcome
from service.ingest.envelopes import Envelope, request_of
from service.ingest.intake import checked
from service.ingest.outcomes import EventOutcome, counts_of, packed, points_of
from service.ingest.replays import correcting, dry_running
from service.ingest.replays.posted import NOTHING, posted_for
from service.ingest.replays.queries import Replay, StoredLine, replay_of
from service.ingest.sources import Source
from service.observability import log
from service.providers.adapter import parse
from service.providers.types import Parsed, Trust, Verdict

if TYPE_CHECKING:
    from service.services import Services

SOURCES_AT_ONCE = 100
ENVELOPES_AT_ONCE = 500
BYTES_AT_ONCE = 2 * 1024 * 1024
EVENTS_AT_ONCE = 2_000
SPREAD_MAX = timedelta(seconds=60)
"""What came within so much is reported as if it had come at once, at the earliest of it."""
TURN_S = 1.0
"""After so long it is another source's turn."""

_LOCK = 1768842355  # "inge"
_TRY_LOCK = "SELECT pg_try_advisory_lock($1, $2)"
_UNLOCK = "SELECT pg_advisory_unlock($1, $2)"

_SQL = Path(__file__).with_name("sql")
_WAITING = (_SQL / "waiting_sources.sql").read_text()
NEXT = (_SQL / "next_envelopes.sql").read_text()
_STORE = (_SQL / "store_outcomes.sql").read_text()
_READER = "SELECT read_no, began_at, day, points FROM rewards.source_reader WHERE source_no = $1"
_BEGIN = "UPDATE rewards.source_reader SET began_at = coalesce(began_at, $2) WHERE source_no = $1"
_MOVE = """
UPDATE rewards.source_reader SET read_no = $2, began_at = NULL, day = $3, points = $4
WHERE source_no = $1 AND read_no = $5
"""
_REPLAY = "SELECT * FROM rewards.source_replay WHERE source_no = $1 AND done_at IS NULL ORDER BY replay_no LIMIT 1"
_REPLAYED = """
UPDATE rewards.source_replay SET read_no = $2, done_at = CASE WHEN $3 THEN clock_timestamp() END
WHERE replay_no = $1 AND read_no = $4
"""
_SPENT = "UPDATE rewards.source_reader SET began_at = NULL, day = $2, points = $3 WHERE source_no = $1"

_END_OF_LOG = 2**63 - 1


class _Reader(msgspec.Struct, frozen=True):
    """How far a source is read, when the batch began that was not ended, and what was paid on which day."""

    read_no: int
    began_at: datetime | None
    day: date | None
    points: int


class _Cursor(msgspec.Struct, frozen=True):
    """Where reading goes on, until where, and for which replay; ``None``: for none, as they came."""

    read_no: int
    last_no: int = _END_OF_LOG
    replay: Replay | None = None

    @property
    def replay_no(self) -> int:
        """The number of the replay; 0 is none."""
        return 0 if self.replay is None else self.replay.replay_no

    @property
    def is_dry_run(self) -> bool:
        """Whether nothing is posted."""
        return self.replay is not None and self.replay.mode == "dry_run"


class _Stored(msgspec.Struct, frozen=True):
    """An envelope as it is stored."""

    slot: int
    envelope_no: int
    id: bytes
    received_at: datetime
    verdict: Verdict
    key_day: date
    sealed: bytes | None


class _Opened(msgspec.Struct, frozen=True):
    """An envelope and what is in it; ``parsed`` is ``None`` if it was refused or cannot be opened."""

    stored: _Stored
    parsed: Parsed | None


class EnvelopeReader:
    """Reads on."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def run_once(self) -> int:
        """Decide some of what waits. Returns how many envelopes were read."""
        done = 0
        for row in await self._services.pool.fetch(_WAITING, SOURCES_AT_ONCE):
            try:
                done += await self._read_source(row["source_no"])
            except Exception as error:
                # The others are not to wait for it.
                log.error_with_frames("source_not_read", error, source=f"src_{row['source_no']}")
        return done

    async def _read_source(self, source_no: int) -> int:
        done, ends_at = 0, time.monotonic() + TURN_S
        async with self._locked(source_no) as is_ours:
            while is_ours and time.monotonic() < ends_at:
                source = await self._services.sources.find(source_no)
                read = 0 if source is None else await self._read_batch(source)
                done += read
                if not read:
                    break
        return done

    @contextlib.asynccontextmanager
    async def _locked(self, source_no: int) -> AsyncGenerator[bool]:
        async with self._services.pool.acquire() as connection:
            is_ours: bool = await connection.fetchval(_TRY_LOCK, _LOCK, source_no)
            try:
                yield is_ours
            finally:
                if is_ours and not connection.is_closed():
                    await connection.execute(_UNLOCK, _LOCK, source_no)

    async def _read_batch(self, source: Source) -> int:
        """Read one batch; returns how many envelopes."""
        now = await self._services.clocks.now(source.brand)
        if not source.reports_at(now):
            return 0
        [reader] = [_Reader(*row) for row in await self._services.pool.fetch(_READER, source.source_no)]
        row = await self._services.pool.fetchrow(_REPLAY, source.source_no)
        replay = None if row is None else replay_of(row)
        if replay is None or replay.mode == "dry_run":
            # Nobody's points wait for somebody who only wants to look.
            read = await self._read_from(source, _Cursor(reader.read_no), reader, now)
            if read or replay is None:
                return read
        return await self._read_again(source, _Cursor(replay.read_no, replay.last_no, replay), reader, now)

    async def _read_again(self, source: Source, cursor: _Cursor, reader: _Reader, now: datetime) -> int:
        """Read one batch of a replay, by the mapping with which it was asked for or a later one; or end it."""
        assert cursor.replay is not None
        if source.mapping < cursor.replay.mapping:
            await self._services.sources.refresh(source.source_no)
            source = await self._services.sources.find(source.source_no) or source
        if cursor.replay.mode == "correction" and source.mapping != cursor.replay.mapping:
            await correcting.give_up(self._services, cursor.replay)
            return 0
        read = await self._read_from(source, cursor, reader, now)
        if not read and cursor.is_dry_run:
            await dry_running.end(self._services, cursor.replay_no)
        elif not read:
            await self._services.pool.execute(_REPLAYED, cursor.replay_no, cursor.read_no, True, cursor.read_no)
        return read

    async def _read_from(self, source: Source, cursor: _Cursor, reader: _Reader, now: datetime) -> int:
        """Read one batch from where reading goes on; returns how many envelopes, 0 if there is none."""
        opened = await self._next(source, cursor)
        if not opened:
            return 0
        read = _events(opened)
        if cursor.is_dry_run:
            envelopes = [each.stored.envelope_no for each in opened]
            await dry_running.look(self._services, source, cursor.replay_no, envelopes, read, since=cursor.read_no)
            return len(opened)
        await self._services.pool.execute(_BEGIN, source.source_no, now)
        today = source.brand.calendar.day(now)
        spent = reader.points if reader.day == today else 0
        remaining = None if source.daily_points_max is None else max(0, source.daily_points_max - spent)
        if cursor.replay is not None:
            read = await self._as_posted(source, cursor.replay, opened, read)
            # What was approved by another person is no longer this source's own to limit.
            remaining = None if cursor.replay.mode == "correction" else remaining
        outcomes = await self._decide(source, opened, read, remaining, reader.began_at)
        spent += sum(points_of(each) for each in outcomes)
        await self._end(source, cursor, opened, outcomes, today, spent)
        return len(opened)

    async def _as_posted(
        self, source: Source, replay: Replay, opened: Sequence[_Opened], read: Sequence[ReadEvent]
    ) -> list[ReadEvent]:
        """The events with what was posted for them. What a correction takes back it takes back now, and counts no more."""
        services, envelopes = self._services, [each.stored.envelope_no for each in opened]
        lines: list[StoredLine] = []
        if replay.corrects is not None:
            lines = await correcting.begin(services, source, replay.corrects, envelopes, read)
            await correcting.take(services, source, replay, lines)
        posted, _ = await posted_for(services, source, envelopes)
        known = [msgspec.structs.replace(each, posted=posted.get(each.envelope_no, NOTHING).of(each.index)) for each in read]
        return correcting.released(known, lines)

    async def _decide(
        self,
        source: Source,
        opened: Sequence[_Opened],
        read: Sequence[ReadEvent],
        remaining: int | None,
        since: datetime | None,
    ) -> list[list[EventOutcome]]:
        """What became of the events of each envelope."""
        decided = await decide(self._services, source, read, remaining=remaining, since=since)
        outcomes = {each.stored.envelope_no: await self._told_first(each.parsed) for each in opened}
        for each, outcome in zip(read, decided, strict=True):
            outcomes[each.envelope_no].append(outcome)
        return [sorted(each, key=lambda outcome: outcome.index) for each in outcomes.values()]

    async def _told_first(self, parsed: Parsed | None) -> list[EventOutcome]:
        """What could not be read, and whether a subscription is confirmed: again is harmless."""
        if parsed is None:
            return []
        outcomes = [fault_outcome(fault) for fault in parsed.faults]
        if parsed.confirm_url is None:
            return outcomes
        try:
            await fetching.get(self._services.resolver, parsed.confirm_url)
        except FetchFailed as failed:
            return [*outcomes, confirmation_outcome(f"not confirmed: {failed}")]
        return [*outcomes, confirmation_outcome(None)]

    async def _end(
        self,
        source: Source,
        cursor: _Cursor,
        opened: Sequence[_Opened],
        outcomes: Sequence[Sequence[EventOutcome]],
        today: date,
        spent: int,
    ) -> None:
        source_no, last_no = source.source_no, opened[-1].stored.envelope_no
        told = [(each.stored, of_each) for each, of_each in zip(opened, outcomes, strict=True) if each.parsed is not None]
        async with self._services.pool.acquire() as connection, connection.transaction():
            await _store(connection, source, cursor.replay_no, told)
            if cursor.replay_no:
                is_last = last_no >= cursor.last_no
                await connection.execute(_REPLAYED, cursor.replay_no, last_no, is_last, cursor.read_no)
                await connection.execute(_SPENT, source_no, today, spent)
            else:
                await connection.execute(_MOVE, source_no, last_no, today, spent, cursor.read_no)

    async def _next(self, source: Source, cursor: _Cursor) -> list[_Opened]:
        """The next envelopes, opened; so many as are a batch."""
        limits = (cursor.last_no, ENVELOPES_AT_ONCE, BYTES_AT_ONCE)
        rows = await self._services.pool.fetch(NEXT, source.source_no, cursor.read_no, *limits)
        batch: list[_Opened] = []
        events = 0
        for row in rows:
            stored = _Stored(*row.values())
            if batch and (stored.received_at - batch[0].stored.received_at > SPREAD_MAX or events >= EVENTS_AT_ONCE):
                break
            opened = _Opened(stored, await self._parsed(source, stored, again=cursor.replay_no > 0))
            events += 0 if opened.parsed is None else len(opened.parsed.events)
            batch.append(opened)
        return batch

    async def _parsed(self, source: Source, stored: _Stored, *, again: bool) -> Parsed | None:
        """What is in an envelope that was accepted; one that is read ``again`` is checked with the secrets there are now."""
        if stored.sealed is None or (stored.verdict not in _ACCEPTED and not again):
            return None
        verdict = Verdict(stored.verdict)
        envelope = Envelope(stored.id, source.source_no, stored.received_at, verdict, "", 0, b"")
        content = await self._services.intake.store.content(envelope, stored.key_day, stored.sealed)
        if content is None:
            structlog.get_logger().error("envelope_not_opened", source=source.id, envelope=stored.envelope_no)
            return None
        request = request_of(content)
        if verdict not in _ACCEPTED:
            found = await checked(self._services.intake.certificates, source, request, stored.received_at)
            if not found.accepted or (found.verdict is Verdict.UNVERIFIED and source.trust is not Trust.NONE):
                return None
        return parse(source.adapter, request)


def _events(opened: Sequence[_Opened]) -> list[ReadEvent]:
    return [
        ReadEvent(index, event, each.stored.received_at, each.stored.envelope_no)
        for each in opened
        if each.parsed is not None
        for index, event in enumerate(each.parsed.events)
    ]


_ACCEPTED = frozenset({Verdict.VERIFIED, Verdict.UNVERIFIED})


async def _store(
    connection: asyncpg.pool.PoolConnectionProxy[Any],
    source: Source,
    replay_no: int,
    told: Sequence[tuple[_Stored, Sequence[EventOutcome]]],
) -> None:
    if told:
        await connection.execute(
            _STORE,
            source.source_no,
            replay_no,
            [stored.slot for stored, _ in told],
            [stored.envelope_no for stored, _ in told],
            [len(outcomes) for _, outcomes in told],
            [points_of(outcomes) for _, outcomes in told],
            [counts_of(outcomes) for _, outcomes in told],
            [packed(outcomes) for _, outcomes in told],
            source.mapping,
        )
