"""How many processes of each kind the tests run against: ``REWARDS_TEST_PROCESSES=2 make test`` is two on one database.

Each has an application of its own, with pools, caches and ledger queues of which the others know nothing, and requests go to
them in turns. As many workers run beside them. A process remembers configuration for a moment, which is documented; here the
moment is short, and after each change it is waited out. A test that looks inside one process says so and why:

    @pytest.mark.one_process("counts what this process asks of the database")
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest
from litestar import Litestar

from service import worker
from service.app import create_app
from service.auth import queries as auth_queries
from service.brands import book_clocks
from service.brands import queries as brand_queries
from service.campaigns import queries as campaign_queries
from service.finance.due_poster import DuePoster
from service.ingest import sources
from service.settings import Secrets, Settings
from service.storage import database

PROCESSES = int(os.environ.get("REWARDS_TEST_PROCESSES", "1"))
REMEMBERED_S = 0.05
WORKER_RESTS_S = 0.1
_stopped: list[Litestar] = []
"""Applications whose test is over, to be started again by another: making one takes as long as most tests do."""
CONFIGURATION = ("/v1/brand", "/v1/campaigns", "/v1/keys", "/v1/sources", "/v1/test/clock")


class InTurns:
    """Gives each request to the next of several applications."""

    def __init__(self, apps: Sequence[Litestar]) -> None:
        self._next = itertools.cycle(apps)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""
        await next(self._next)(scope, receive, send)
        changes = scope["method"] not in {"GET", "HEAD"}
        if changes and (scope["path"].startswith(CONFIGURATION) or "/consents" in scope["path"]):
            await asyncio.sleep(REMEMBERED_S)


def processes(request: pytest.FixtureRequest) -> int:
    """How many the test that asks for a fixture is to be run against."""
    return 1 if request.node.get_closest_marker("one_process") else PROCESSES


@contextlib.asynccontextmanager
async def serving(settings: Settings, secrets: Secrets, count: int) -> AsyncGenerator[list[Litestar]]:
    """Run ``count`` applications, and beside several of them as many workers."""
    async with contextlib.AsyncExitStack() as running:
        if count > 1:
            remember_shortly(running.enter_context(pytest.MonkeyPatch.context()))
        apps = [_application(settings, secrets) for _ in range(count)]
        for app in apps:
            await running.enter_async_context(app.lifespan())
        for _ in range(count if count > 1 else 0):
            await running.enter_async_context(_working(settings))
        yield apps
    _stopped.extend(apps)


def _application(settings: Settings, secrets: Secrets) -> Litestar:
    """One that was stopped, which opens all it works with when it starts again, or a new one."""
    if not _stopped:
        return create_app(settings, secrets)
    app = _stopped.pop()
    app.state.update({"settings": settings, "secrets": secrets})
    return app


def remember_shortly(patch: pytest.MonkeyPatch) -> None:
    """Let applications that start from now on remember configuration for ``REMEMBERED_S``."""
    for module in (auth_queries, book_clocks, brand_queries, campaign_queries, sources):
        patch.setattr(module, "_TTL_S", REMEMBERED_S)


@contextlib.asynccontextmanager
async def _working(settings: Settings) -> AsyncGenerator[None]:
    """A worker that rests shortly."""
    stop = asyncio.Event()
    pool = await database.create_pool(settings.database_url, database.WORKER_ROLE, size=1)
    engine = database.create_engine(settings.database_url, database.WORKER_ROLE, size=1)
    agent = worker.Agent("due_poster", DuePoster(pool, engine).run_once, rest_s=WORKER_RESTS_S)
    working = asyncio.create_task(worker.keep_running([agent], stop=stop))
    yield
    stop.set()
    await working
    pool.terminate()
    await engine.dispose()
