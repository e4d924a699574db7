"""Having envelopes read again, or only seeing what would become of them.

order          a replay or a dry run; what was paid is paid once all the same
list_replays   what was asked for, and how far it has come
show           one of them
differences    what a dry run has found
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import func, insert, select

from service.auth.audit_trail import record
from service.auth.principal import Principal
from service.http.pagination import Page
from service.http.problems import invalid_field, not_found
from service.ingest.deliveries import read_no_of
from service.ingest.replays import queries
from service.ingest.replays.comparing import Change
from service.ingest.replays.queries import Replay, StoredLine, find_replay, replay_of
from service.ingest.replays.schemas import ReplayRequest
from service.ingest.tables import source as sources
from service.ingest.tables import source_replay as replays

if TYPE_CHECKING:
    from service.services import Services

REPLAYS_MAX = 10
"""Replays of a source that are under way."""


async def order(services: Services, principal: Principal, source_no: int, wanted: ReplayRequest) -> Replay:
    """Have envelopes read again, by the source as it is set up now."""
    read_no = await read_no_of(services, principal, source_no)
    last = wanted.first if wanted.last is None else wanted.last
    if not wanted.first <= last <= read_no:
        raise invalid_field(
            "/last" if wanted.last is not None else "/first", f"must lie between first and {read_no}, the last that was read"
        )
    async with services.engine.begin() as connection:
        is_open = (replays.c.source_no == source_no, replays.c.done_at.is_(None))
        if (await connection.execute(select(func.count()).where(*is_open))).scalar_one() >= REPLAYS_MAX:
            raise invalid_field("", f"{REPLAYS_MAX} replays of this source are under way: wait for one of them")
        mapping = select(sources.c.mapping).where(sources.c.source_no == source_no)
        values = {
            "source_no": source_no,
            "first_no": wanted.first,
            "last_no": last,
            "read_no": wanted.first - 1,
            "asked_by": principal.api_key_id,
            "mode": "dry_run" if wanted.dry_run else "replay",
            "mapping": mapping.scalar_subquery(),
        }
        made = replay_of((await connection.execute(insert(replays).values(values).returning(*replays.c))).mappings().one())
        after = msgspec.to_builtins(made.response())
        await record(connection, principal, "source.replay", f"src_{source_no}", after=after)
    return made


async def list_replays(services: Services, principal: Principal, source_no: int, *, after: int, limit: int) -> Sequence[Replay]:
    """Replays of a source, oldest first."""
    await read_no_of(services, principal, source_no)
    found = (
        select(replays)
        .where(replays.c.source_no == source_no, replays.c.replay_no > after)
        .order_by(replays.c.replay_no)
        .limit(limit)
    )
    async with services.engine.connect() as connection:
        return [replay_of(row) for row in (await connection.execute(found)).mappings()]


async def show(services: Services, principal: Principal, source_no: int, replay_no: int) -> Replay:
    """A replay of a source. Raises the problem of none."""
    found = await find_replay(services.engine, principal.brand.brand_id, source_no, replay_no)
    if found is None:
        raise not_found("replay")
    return found


async def differences(
    services: Services,
    principal: Principal,
    source_no: int,
    replay_no: int,
    *,
    changes: Collection[Change],
    after: tuple[int, int],
    limit: int,
) -> Page[StoredLine]:
    """A page of what a dry run has found, in the order of the events."""
    await show(services, principal, source_no, replay_no)
    found = await queries.list_lines(services.engine, replay_no, changes=changes, after=after, limit=limit + 1)
    following = "{}.{}".format(*found[limit - 1].place) if len(found) > limit else None
    return Page(found[:limit], following)
