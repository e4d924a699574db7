"""Watching sources: all of them are known while the database is away, and the operator is told which went silent or fail.

Each API process reads all sources every half a minute, for the metrics and a line in the log when one turns bad. Secrets
that are sealed with a former link key are sealed with the one in use.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, get_args

import structlog

from service.ingest.actions import standings_of, state_of
from service.ingest.schemas import State
from service.observability import log, metrics
from service.storage.database import is_away

if TYPE_CHECKING:
    from service.services import Services

WATCHED_EVERY_S = 30.0
WATCHED_MAX = 10_000
_RETRY_AFTER_S = 2.0
_BAD = frozenset({"silent", "failing", "stopped"})


@contextlib.asynccontextmanager
async def watched(services: Services) -> AsyncGenerator[None]:
    """Watch all sources until it ends."""
    watching = asyncio.create_task(_keep_watching(services), name="sources, watched")
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def _keep_watching(services: Services) -> None:
    states: dict[int, State] = {}
    while True:
        rest_s = WATCHED_EVERY_S
        try:
            states = await look(services, states)
        except Exception as error:
            if not is_away(error):
                log.error_with_frames("sources_not_watched", error)
            rest_s = _RETRY_AFTER_S
        await asyncio.sleep(rest_s)


async def look(services: Services, before: dict[int, State]) -> dict[int, State]:
    """See how all sources stand, say what turned bad since, and return the states by number."""
    now = datetime.now(UTC)
    async with services.engine.connect() as connection:
        found = await services.sources.read(connection, limit=WATCHED_MAX)
        standings = await standings_of(connection, [each.source_no for each in found], None)
    services.sources.learn(found)
    await services.sources.seal_again(found)
    states: dict[int, State] = {each.source_no: state_of(each, standings[each.source_no], now) for each in found}
    counts = Counter(states.values())
    for state in get_args(State):
        metrics.sources.labels(state).set(counts[state])
    metrics.envelopes_waiting.set(sum(each.last_no - each.read_no for each in standings.values()))
    for each in found:
        state = states[each.source_no]
        if state in _BAD and before.get(each.source_no) != state:
            structlog.get_logger().warning("source_turned", state=state, source=each.id, brand=each.brand.code)
    return states
