"""The worker: runs the agents that tidy up behind the API.

An agent is one ``run_once``, which does a little and says how much; this module owns the loop. An agent that fails is tried
again after a while, so the worker outlives the database's restarts. Several workers may run at once: they find less to do.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from functools import partial

import msgspec
import structlog

from ledger import Ledger
from service.approvals import approval_finisher
from service.approvals.kinds import Tools
from service.brand_settings import link_host_checker
from service.closes.close_keeper import CloseKeeper
from service.concurrency.backoff import backoff_s
from service.corrections.jobs import corrector
from service.egress.resolving import Resolver
from service.erasure import eraser
from service.evidence import click_aggregator, click_pruner
from service.export_jobs import export_pruner
from service.export_jobs.exporter import Exporter
from service.export_jobs.mart.scheduler import MartScheduler
from service.finance.due_poster import DuePoster
from service.finance.layers import layer_tracker
from service.ingest import envelope_pruner
from service.ingest.envelope_reader import EnvelopeReader
from service.observability import log
from service.offers.offer_lapser import OfferLapser
from service.retention.retention_keeper import RetentionKeeper
from service.services import APPROVAL_KINDS, open_for_agents
from service.settings import Settings, SettingsError, load_secrets
from service.storage import database

FAILURE_REST_MAX_S = 30.0


class Agent(msgspec.Struct, frozen=True):
    """``run_once`` returns how much it did. It rests ``rest_s`` when there was nothing to do.

    When it may have left something it rests ``busy_rests`` times as long as it worked: requests go first.
    """

    name: str
    run_once: Callable[[], Awaitable[int]]
    rest_s: float
    busy_rests: float = 3.0


async def run(settings: Settings, *, stop: asyncio.Event) -> None:
    """Run all agents until ``stop`` is set; what an agent has begun it finishes."""
    pool = await database.create_pool(settings.database_url, database.WORKER_ROLE, size=3)
    engine = database.create_engine(settings.database_url, database.WORKER_ROLE, size=1)
    structlog.get_logger().info("worker_started")
    try:
        async with _approval_tools(settings) as tools, _envelope_readers(settings) as envelope_readers:
            agents = [
                *envelope_readers,
                Agent("due_poster", DuePoster(pool, engine).run_once, rest_s=5.0),
                Agent("layer_tracker", partial(layer_tracker.run_once, pool, engine), rest_s=5.0),
                Agent("close_keeper", CloseKeeper(pool, engine).run_once, rest_s=5.0),
                Agent("click_aggregator", partial(click_aggregator.run_once, pool), rest_s=5.0),
                Agent(
                    "link_host_checker",
                    partial(link_host_checker.run_once, engine, Resolver(settings.dns_resolver), settings.own_hosts),
                    rest_s=60.0,
                ),
                Agent("approval_finisher", partial(approval_finisher.run_once, tools, APPROVAL_KINDS), rest_s=5.0),
                Agent("corrector", partial(corrector.run_once, tools), rest_s=1.0, busy_rests=0.25),
                Agent("eraser", partial(eraser.run_once, settings, pool, engine, tools.ledger), rest_s=5.0),
                Agent("retention_keeper", RetentionKeeper(settings, pool, engine).run_once, rest_s=600.0),
                Agent("click_pruner", partial(click_pruner.run_once, pool, days=settings.clicks_days), rest_s=600.0),
                Agent("envelope_pruner", partial(envelope_pruner.run_once, pool, days=settings.envelopes_days), rest_s=600.0),
                Agent("exporter", Exporter(settings, engine, stop).run_once, rest_s=1.0, busy_rests=0.0),
                Agent("mart_scheduler", MartScheduler(settings, pool, engine).run_once, rest_s=60.0, busy_rests=0.0),
                Agent("export_pruner", partial(export_pruner.run_once, settings, engine), rest_s=10.0),
            ]
            await keep_running(agents, stop=stop)
    finally:
        pool.terminate()
        await engine.dispose()
        structlog.get_logger().info("worker_stopped")


@contextlib.asynccontextmanager
async def _approval_tools(settings: Settings) -> AsyncGenerator[Tools]:
    """What approved requests are carried out with: the rights are the application's."""
    pool = await database.create_pool(settings.database_url, database.APPLICATION_ROLE, size=2)
    engine = database.create_engine(settings.database_url, database.APPLICATION_ROLE, size=2)
    try:
        async with Ledger(pool) as ledger:
            yield Tools(engine, ledger, settings)
    finally:
        pool.terminate()
        await engine.dispose()


@contextlib.asynccontextmanager
async def _envelope_readers(settings: Settings) -> AsyncGenerator[Sequence[Agent]]:
    """The agent that decides on what providers sent, unless this machine has no secrets to open it with."""
    try:
        secrets = load_secrets(settings.secrets_path)
    except SettingsError as error:
        structlog.get_logger().error("envelopes_not_read", why=str(error))
        yield ()
        return
    async with open_for_agents(settings, secrets) as services:
        yield [
            Agent("envelope_reader", EnvelopeReader(services).run_once, rest_s=0.5, busy_rests=0.25),
            Agent("offer_lapser", OfferLapser(services).run_once, rest_s=5.0),
        ]


async def keep_running(agents: Sequence[Agent], *, stop: asyncio.Event) -> None:
    """Run ``agents`` side by side until ``stop`` is set."""
    async with asyncio.TaskGroup() as group:
        for agent in agents:
            group.create_task(_keep_running(agent, stop), name=agent.name)


async def _keep_running(agent: Agent, stop: asyncio.Event) -> None:
    failures = 0
    while not stop.is_set():
        began = time.monotonic()
        try:
            done = await agent.run_once()
        except Exception as error:
            failures += 1
            rest_s = backoff_s(failures, first_s=1.0, max_s=FAILURE_REST_MAX_S)
            log.error_with_frames("agent_failed", error, agent=agent.name, failures=failures, rest_s=rest_s)
        else:
            failures = 0
            rest_s = agent.busy_rests * (time.monotonic() - began) if done else agent.rest_s
            if done:
                structlog.get_logger().info("agent_ran", agent=agent.name, done=done)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), rest_s)
