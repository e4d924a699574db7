"""Correcting what was paid by a mapping that was wrong, as a dry run has found it and another person has approved.

    ask     for a correction by a dry run that is done: it always waits
    begin   of a batch of the correction, what may be carried out: that which is still as it was approved
    give_up what is left, once the source has another mapping
    take    back what the grants of those lines have left; what the events are now is paid by reading them

What is begun is carried out however often it is tried: a claw-back has the line's own key, and a grant its act's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence, Set
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import ClawBack
from service.approvals import actions as approvals
from service.approvals.kinds import Approved, Kind, Tools, Wanted
from service.auth.audit_trail import record
from service.auth.principal import Principal
from service.http.identifiers import parse_grant_id
from service.http.problems import CODES, Problem, invalid_field, not_found
from service.ingest.deciding import ReadEvent
from service.ingest.replays import dry_running, queries
from service.ingest.replays.comparing import Line
from service.ingest.replays.queries import Replay, StoredLine, find_replay
from service.ingest.replays.schemas import CorrectReplay, ReplayCorrectionRequest, ReplayResponse
from service.ingest.sources import Source
from service.ingest.tables import source as sources
from service.ingest.tables import source_replay as replays

if TYPE_CHECKING:
    from service.services import Services


_LOCK = 1919706213  # "rlpe"
"""The first half of an advisory lock; the second is the source. A dry run is corrected by once."""
BEGUN = "begun"
OTHER_MAPPING = "the source's mapping was changed: order another dry run for what is left"

_GIVE_UP = "UPDATE rewards.source_replay SET error = $2, done_at = clock_timestamp() WHERE replay_no = $1 AND done_at IS NULL"
_NOTHING_BEGUN = "UPDATE rewards.source_reader SET began_at = NULL WHERE source_no = $1"


async def wanted_correction(
    services: Services, principal: Principal, source_no: int, replay_no: int, wanted: ReplayCorrectionRequest
) -> Wanted[CorrectReplay]:
    """What is asked for. Raises the problem of a dry run that cannot be corrected by."""
    dry_run = await find_replay(services.engine, principal.brand.brand_id, source_no, replay_no)
    if dry_run is None:
        raise not_found("replay")
    if dry_run.mode != "dry_run" or dry_run.error is not None:
        raise invalid_field("", "is no dry run that came to its end: order one, and correct by it")
    if dry_run.totals is None or dry_run.lines_hash is None:
        raise Problem("replay_not_done", CODES["replay_not_done"].meaning)
    if not dry_run.totals.rekeyed + dry_run.totals.no_longer:
        raise invalid_field("", "has nothing to correct: a replay posts what was never paid")
    await _require_current(services.engine, dry_run)
    body = CorrectReplay(
        source=f"src_{source_no}",
        dry_run=replay_no,
        first=dry_run.first_no,
        last=dry_run.last_no,
        mapping=dry_run.mapping,
        reason=wanted.reason,
        rekeyed=dry_run.totals.rekeyed,
        no_longer=dry_run.totals.no_longer,
        taken_points=dry_run.totals.taken_points,
        given_points=dry_run.totals.given_points,
        lines_sha256=dry_run.lines_hash.hex(),
    )
    amount = body.taken_points + body.given_points
    return Wanted(kind=CORRECT_REPLAY, subject=f"src_{source_no} replay {replay_no}", body=body, amount=amount)


async def _require_current(engine: AsyncEngine, dry_run: Replay) -> None:
    """Raise a problem if the source's mapping is another one by now, or the correction was made."""
    mapping = select(sources.c.mapping).where(sources.c.source_no == dry_run.source_no)
    made = select(replays.c.replay_no).where(replays.c.corrects == dry_run.replay_no)
    async with engine.connect() as connection:
        is_current = (await connection.execute(mapping)).scalar_one() == dry_run.mapping
        is_made = (await connection.execute(made)).first() is not None
    if is_made or not is_current:
        raise Problem("replay_outdated", CODES["replay_outdated"].meaning)


async def _execute(tools: Tools, maker: Principal, approved: Approved[CorrectReplay]) -> ReplayResponse:
    """Hand the correction over to the worker, if it is what was approved."""
    body = approved.body
    source_no = int(body.source.removeprefix("src_"))
    made = select(replays.c.replay_no).where(replays.c.corrects == body.dry_run)
    async with tools.engine.connect() as connection:
        replay_no = (await connection.execute(made)).scalar_one_or_none()
    if replay_no is None:
        replay_no = await _order(tools, maker, approved, source_no)
    there = await find_replay(tools.engine, maker.brand.brand_id, source_no, replay_no)
    assert there is not None
    return there.response()


async def _order(tools: Tools, maker: Principal, approved: Approved[CorrectReplay], source_no: int) -> int:
    body = approved.body
    dry_run = await find_replay(tools.engine, maker.brand.brand_id, source_no, body.dry_run)
    assert dry_run is not None
    await _require_current(tools.engine, dry_run)
    # The lines as they are, not what was noted of them.
    if await queries.fingerprint(tools.engine, dry_run.replay_no) != bytes.fromhex(body.lines_sha256):
        raise Problem("replay_outdated", CODES["replay_outdated"].meaning)
    values = {
        "source_no": source_no,
        "first_no": dry_run.first_no,
        "last_no": dry_run.last_no,
        "read_no": dry_run.first_no - 1,
        "asked_by": maker.api_key_id,
        "mode": "correction",
        "mapping": dry_run.mapping,
        "corrects": dry_run.replay_no,
        "reason": body.reason,
    }
    async with tools.engine.begin() as connection:
        await connection.execute(select(func.pg_advisory_xact_lock(_LOCK, source_no)))
        made = select(replays.c.replay_no).where(replays.c.corrects == dry_run.replay_no)
        there: int | None = (await connection.execute(made)).scalar_one_or_none()
        if there is not None:
            return there
        await approvals.claim(connection, approved.approval_no)
        replay_no: int = (await connection.execute(insert(replays).values(values).returning(replays.c.replay_no))).scalar_one()
        await record(connection, maker, "source.correct", body.source, after=msgspec.to_builtins(body))
    return replay_no


CORRECT_REPLAY: Kind[CorrectReplay] = Kind(name="source.correct", request=CorrectReplay, execute=_execute, always=True)


async def begin(
    services: Services, source: Source, dry_run: int, envelopes: Sequence[int], read: Sequence[ReadEvent]
) -> list[StoredLine]:
    """The lines of a batch, of which those that are begun are carried out. What is not as it was is left out for good."""
    stored = await queries.lines_of(services.pool, dry_run, envelopes)
    if any(each.state is None for each in stored):
        now = {(each.envelope_no, each.line): each for each in await dry_running.lines_of(services, source, envelopes, read)}
        fresh = [each for each in stored if each.state is None]
        same = [each for each in fresh if _is_as_it_was(each.line, now.get(each.place))]
        await queries.mark(services.pool, dry_run, same, BEGUN)
        await queries.mark(services.pool, dry_run, [each for each in fresh if each not in same], "outdated")
        stored = await queries.lines_of(services.pool, dry_run, envelopes)
    return stored


def _is_as_it_was(then: Line, now: Line | None) -> bool:
    return now is not None and _told(then) == _told(now)


def _told(line: Line) -> tuple[object, ...]:
    return line.change, line.index, line.then_grant, line.act, line.now_outcome, line.now_points


async def take(services: Services, source: Source, correction: Replay, lines: Sequence[StoredLine]) -> None:
    """Take back what is left of the grants of lines that are begun."""
    book = source.brand.book
    asked = [
        ClawBack(
            book=book,
            campaign_no=grant[0],
            event_key=grant[1],
            # A name that no caller can send.
            key=f"\0replay {correction.corrects} {each.line.envelope_no} {each.line.line}",
            request_hash=hashlib.sha256(f"{correction.corrects} {each.place} {each.line.then_grant}".encode()).digest(),
            reason=correction.reason or "",
            reference=f"{source.id} replay {correction.replay_no}",
            principal=correction.asked_by,
        )
        for each in lines
        if each.takes and each.state == BEGUN and (grant := parse_grant_id(each.line.then_grant or "")) is not None
    ]
    if asked:
        await services.ledger.claw_backs(book, asked)


async def give_up(services: Services, correction: Replay) -> None:
    """End a correction whose source has another mapping by now: nobody has approved of what that would pay."""
    async with services.pool.acquire() as connection, connection.transaction():
        await connection.execute(_GIVE_UP, correction.replay_no, OTHER_MAPPING)
        await connection.execute(_NOTHING_BEGUN, correction.source_no)


def released(read: Sequence[ReadEvent], lines: Sequence[StoredLine]) -> list[ReadEvent]:
    """The events of which those that are corrected may be paid, as if nothing had been posted for them."""
    begun = {(each.line.envelope_no, each.line.index) for each in lines if each.state == BEGUN}
    left_out = {(each.line.envelope_no, each.line.index) for each in lines} - begun
    gone = {(each.line.envelope_no, each.line.then_grant) for each in lines if each.state == BEGUN}
    return [
        msgspec.structs.replace(each, posted=frozenset()) if _is_released(each, begun, left_out, gone) else each
        for each in read
    ]


def _is_released(
    event: ReadEvent,
    begun: Set[tuple[int, int | None]],
    left_out: Set[tuple[int, int | None]],
    gone: Set[tuple[int, str | None]],
) -> bool:
    place = (event.envelope_no, event.index)
    return place in begun or (place not in left_out and all((event.envelope_no, grant) in gone for grant in event.posted))
