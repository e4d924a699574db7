"""The API's brand with a busy book, and the worker that makes its exports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import asyncpg
import msgspec
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import Book, sweep
from service.export_jobs import export_pruner
from service.export_jobs.exporter import Exporter
from service.export_jobs.mart.scheduler import MartScheduler
from service.settings import Settings
from service.storage.database import WORKER_ROLE, create_engine, create_pool
from tests.api_fixtures import Api
from tests.finance.conftest import Till, busy_till, make_campaign

__all__ = ["busy_till"]


@pytest.fixture
async def till(api: Api, owner: asyncpg.Connection[Any]) -> Till:
    """Posts to the book of the API's brand."""
    return Till(api.services.ledger, api.brand.book, await make_campaign(owner, api.brand))


class ExportWorker:
    """The worker's agents for exports, each to be run once."""

    def __init__(self, settings: Settings, engine: AsyncEngine) -> None:
        self.settings = settings
        self.engine = engine
        self.stop = asyncio.Event()

    async def work(self, **settings: Any) -> int:
        """Make one job's files."""
        return await Exporter(self._with(settings), self.engine, self.stop).run_once()

    async def prune(self, **settings: Any) -> int:
        """Remove what nobody is to have."""
        return await export_pruner.run_once(self._with(settings), self.engine)

    def _with(self, settings: dict[str, Any]) -> Settings:
        return msgspec.structs.replace(self.settings, **settings)


@pytest.fixture
async def export_worker(api: Api) -> AsyncGenerator[ExportWorker]:
    """Agents on the database and the directory of the API."""
    engine = create_engine(api.settings.database_url, WORKER_ROLE, size=1)
    yield ExportWorker(api.settings, engine)
    await engine.dispose()


class Mart:
    """The worker's scheduler of the data mart, and what it needs to be done before."""

    def __init__(self, settings: Settings, pool: asyncpg.Pool[Any], engine: AsyncEngine, book: Book) -> None:
        self.settings = settings
        self._pool = pool
        self._engine = engine
        self._book = book
        self._schedulers: dict[str, MartScheduler] = {}

    async def sweep(self) -> None:
        """Post what is due."""
        while await sweep(self._pool, self._book):
            pass

    async def order(self, since: str = "2000-01-01") -> int:
        """Run the scheduler of a mart that begins on a day."""
        if since not in self._schedulers:
            settings = msgspec.structs.replace(self.settings, data_mart_since=since)
            self._schedulers[since] = MartScheduler(settings, self._pool, self._engine)
        return await self._schedulers[since].run_once()

    async def __call__(self, since: str = "2000-01-01") -> int:
        """Both."""
        await self.sweep()
        return await self.order(since)

    def forget(self) -> None:
        """As after a restart of the worker."""
        self._schedulers.clear()


@pytest.fixture
async def schedule(api: Api, export_worker: ExportWorker) -> AsyncGenerator[Mart]:
    """Posts what is due and orders the day of the mart that is missing."""
    pool = await create_pool(api.settings.database_url, WORKER_ROLE, size=2)
    yield Mart(api.settings, pool, export_worker.engine, api.brand.book)
    pool.terminate()


async def order(api: Api, *, expect: int = 202, key: str | None = None, **wanted: Any) -> Any:
    """Order an export; returns the job, or the problem."""
    headers = {} if key is None else {"Idempotency-Key": key}
    body = {"formats": ["csv"]} | {name.rstrip("_"): value for name, value in wanted.items()}
    answer = await api.client("finance").post("/v1/exports", json=body, headers=headers)
    assert answer.status_code == expect, answer.text
    return answer.json()


async def look(api: Api, job: Any) -> Any:
    """The job as it is now."""
    answer = await api.client("finance").get(f"/v1/exports/{job['id']}")
    assert answer.status_code == 200, answer.text
    return answer.json()
