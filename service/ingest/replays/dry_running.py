"""The agent's part of a dry run: what was and would be, stored batch by batch; and in the end what all of it comes to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from ledger import Event
from service.http.identifiers import parse_grant_id
from service.ingest.deciding import ReadEvent
from service.ingest.replays import queries
from service.ingest.replays.comparing import CORRECTED, Line, Now, compared
from service.ingest.replays.posted import NOTHING, posted_for
from service.ingest.replays.previews import previews
from service.ingest.sources import Source

if TYPE_CHECKING:
    from service.services import Services

LINES_MAX = 100_000
TOO_MANY = f"there are more than {LINES_MAX:,} events: order dry runs of parts of the range"

_READ = "UPDATE rewards.source_replay SET read_no = $2 WHERE replay_no = $1 AND read_no = $3 AND done_at IS NULL"
_DONE = """
UPDATE rewards.source_replay SET read_no = last_no, totals = $2, lines_hash = $3, done_at = clock_timestamp()
WHERE replay_no = $1 AND done_at IS NULL
"""
_GIVEN_UP = "UPDATE rewards.source_replay SET error = $2, done_at = clock_timestamp() WHERE replay_no = $1 AND done_at IS NULL"
_COUNT = "SELECT count(*) FROM rewards.replayed_event WHERE replay_no = $1"


async def lines_of(services: Services, source: Source, envelopes: Sequence[int], read: Sequence[ReadEvent]) -> list[Line]:
    """The lines of envelopes. ``read`` are the events that are in them now."""
    posted, paid = await posted_for(services, source, envelopes)
    found = await previews(services, source, read)
    by_envelope: dict[int, list[Now]] = {envelope_no: [] for envelope_no in envelopes}
    for each, preview in zip(read, found, strict=True):
        by_envelope[each.envelope_no].append(Now(each.index, each.event.kind.value, preview))
    lines = [
        line
        for envelope_no, events in by_envelope.items()
        for line in compared(envelope_no, events, posted.get(envelope_no, NOTHING), paid)
    ]
    return await _with_what_is_left(services, source, lines, paid)


async def _with_what_is_left(
    services: Services, source: Source, lines: Sequence[Line], paid: Mapping[str, Event]
) -> list[Line]:
    """The lines with what could be taken back of the grants that this source has reported first."""
    own = {
        grant: parsed
        for line in lines
        if line.change in CORRECTED
        and (grant := line.then_grant) is not None
        and paid[grant].source == source.id
        and (parsed := parse_grant_id(grant)) is not None
    }
    quotes = await services.ledger.claw_back_quotes(source.brand.book, list(own.values())) if own else []
    left = {grant: 0 if each is None else max(0, each.left) for grant, each in zip(own, quotes, strict=True)}
    return [
        msgspec.structs.replace(line, left_points=left.get(line.then_grant or "")) if line.change in CORRECTED else line
        for line in lines
    ]


async def look(
    services: Services, source: Source, replay_no: int, envelopes: Sequence[int], read: Sequence[ReadEvent], *, since: int
) -> None:
    """Look at a batch of a dry run, which goes on after envelope ``since``."""
    pool = services.pool
    lines = await lines_of(services, source, envelopes, read)
    if await pool.fetchval(_COUNT, replay_no) + len(lines) > LINES_MAX:
        await pool.execute(_GIVEN_UP, replay_no, TOO_MANY)
        return
    async with pool.acquire() as connection, connection.transaction():
        await queries.store(connection, replay_no, lines)
        await connection.execute(_READ, replay_no, envelopes[-1], since)


async def end(services: Services, replay_no: int) -> None:
    """Say what all of a dry run comes to."""
    pool = services.pool
    await pool.execute(queries.TAKEN_BACK, replay_no)
    [totals] = await pool.fetch(queries.TOTALS, replay_no)
    await pool.execute(_DONE, replay_no, dict(totals), await queries.fingerprint(services.engine, replay_no))
