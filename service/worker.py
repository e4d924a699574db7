"""The worker: runs the agents that tidy up behind the API.

An agent is one ``run_once``, which does a little and says how much; this module owns the loop. An agent that fails is tried
again after a while, so the worker outlives the database's restarts. Several workers may run at once: they find less to do.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import msgspec
import structlog

from service import database, log
from service.finance import due_poster
from service.settings import Settings

FAILURE_REST_MAX_S = 30.0


class Agent(msgspec.Struct, frozen=True):
    """``run_once`` returns how much it did. It rests ``busy_rest_s`` when it may have left something, else ``rest_s``."""

    name: str
    run_once: Callable[[], Awaitable[int]]
    rest_s: float
    busy_rest_s: float = 0.02


async def run(settings: Settings, *, stop: asyncio.Event) -> None:
    """Run all agents until ``stop`` is set; what an agent has begun it finishes."""
    pool = await database.create_pool(settings.database_url, database.WORKER_ROLE, size=2)
    engine = database.create_engine(settings.database_url, database.WORKER_ROLE, size=1)
    structlog.get_logger().info("worker_started")
    try:
        await keep_running([Agent("due_poster", partial(due_poster.run_once, pool, engine), rest_s=5.0)], stop=stop)
    finally:
        pool.terminate()
        await engine.dispose()
        structlog.get_logger().info("worker_stopped")


async def keep_running(agents: Sequence[Agent], *, stop: asyncio.Event) -> None:
    """Run ``agents`` side by side until ``stop`` is set."""
    async with asyncio.TaskGroup() as group:
        for agent in agents:
            group.create_task(_keep_running(agent, stop), name=agent.name)


async def _keep_running(agent: Agent, stop: asyncio.Event) -> None:
    failures = 0
    while not stop.is_set():
        try:
            done = await agent.run_once()
        except Exception as error:
            failures += 1
            rest_s = min(FAILURE_REST_MAX_S, 0.5 * 2**failures)
            log.error_with_frames("agent_failed", error, agent=agent.name, failures=failures, rest_s=rest_s)
        else:
            failures = 0
            rest_s = agent.busy_rest_s if done else agent.rest_s
            if done:
                structlog.get_logger().info("agent_ran", agent=agent.name, done=done)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), rest_s)
