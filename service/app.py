"""The application, wired: routes in, dependencies open, errors mapped, everything observed.

``create_app`` is what a server runs; ``operator_app`` is what listens on the operator's own port.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import asyncpg
import structlog
from litestar import Litestar, Response, get
from litestar.datastructures import State
from litestar.di import Provide
from litestar.events import BaseEventEmitterBackend
from litestar.openapi import OpenAPIConfig

from ledger import Ledger
from service.admission.in_flight import InFlight
from service.admission.limits import SINGLE_BYTES_MAX, Bounds
from service.api_reference import document as openapi
from service.api_reference import page as docs
from service.attention import routes as attention_routes
from service.auth import routes as auth_routes
from service.auth.guards import provide_principal
from service.auth.key_use import KeyUse
from service.auth.queries import Principals
from service.auth.quotas import Quotas
from service.brand_settings import routes as brand_settings_routes
from service.brands.book_clocks import BookClocks
from service.brands.queries import BrandDirectory
from service.campaigns import routes as campaign_routes
from service.campaigns.queries import CampaignDirectory
from service.campaigns.under_way import UnderWay
from service.concurrency.batch_loader import NaturalBatches
from service.concurrency.fairness import Room, small_requests
from service.consents import routes as consent_routes
from service.customers import routes as customer_routes
from service.customers.directory import CustomerDirectory
from service.customers.fast_path import thin_reads
from service.demo_shop import routes as demo_shop_routes
from service.egress.resolving import Resolver
from service.evidence.click_log import Touches, agent_key
from service.feed import routes as feed_routes
from service.finance import routes as finance_routes
from service.grants import routes as grant_routes
from service.grants.fast_path import thin_route
from service.http import health, problems
from service.http.bodies import BodyRequest, StrictBody
from service.http.health import DatabaseWatch
from service.http.idempotency import provide_idempotency_key
from service.http.middleware import observe, release
from service.http.pagination import LIMIT_DEFAULT
from service.http.request_target import read_address, read_paths, tell_apart
from service.link_pages.deferred_settling import open_late_acts
from service.links import administration as link_administration
from service.links import routes as link_routes
from service.links.link_host import open_link_host
from service.observability import metrics
from service.preferences import routes as preferences_routes
from service.redemptions import routes as redemption_routes
from service.redemptions.fast_path import thin_redemptions
from service.settings import Secrets, Settings
from service.start_page import routes as start_page_routes
from service.storage import database, disk_space
from service.storage.spool import Spool
from service.storage.spool import names as spool_files
from service.storage.spool_seals import NOTE as SEALS_NOTE
from service.storage.spool_seals import open_seals
from service.test_clock import routes as test_clock_routes
from service.tokens.sealing import sealing_keys
from service.wallet import routes as wallet_routes

POOL_SIZE = 10
STATEMENTS_AT_ONCE = 16
"""So many are read together, of at most a hundred lines each: the event loop stands still while they come off the wire."""
BATCH_ITEMS_IN_HAND = 4_000
"""So many items of batches are unpacked at the same time, as many as keep the ledger busy; it bounds memory."""
ENGINE_SIZE = 4
CLOSE_TIMEOUT_S = 10
"""Longer than the longest statement; what is still open then is never coming back."""

_LENT = (
    "ledger",
    "engine",
    "pool",
    "settings",
    "secrets",
    "brands",
    "clocks",
    "link_host",
    "database_watch",
    "describe",
    "in_flight",
)
"""What routes may take from the application's state, by name, as a ``NamedDependency``."""


route_handlers: list[Any] = [
    *health.route_handlers,
    *docs.route_handlers,
    *auth_routes.route_handlers,
    *brand_settings_routes.route_handlers,
    *campaign_routes.route_handlers,
    *customer_routes.route_handlers,
    *consent_routes.route_handlers,
    *attention_routes.route_handlers,
    *grant_routes.route_handlers,
    *link_routes.route_handlers,
    *link_administration.route_handlers,
    *redemption_routes.route_handlers,
    *finance_routes.route_handlers,
    *feed_routes.route_handlers,
    *demo_shop_routes.route_handlers,
    *start_page_routes.route_handlers,
    *test_clock_routes.route_handlers,
    *wallet_routes.route_handlers,
    *preferences_routes.route_handlers,
]


class Parts(State):
    """The application's state, whose parts are attributes of their own too: the framework's looks each up by a call."""

    def __setitem__(self, key: str, value: Any) -> None:
        """Keep a part."""
        super().__setitem__(key, value)
        self.__dict__[key] = value

    def __delitem__(self, key: str) -> None:
        """Forget a part."""
        super().__delitem__(key)
        self.__dict__.pop(key, None)

    __setattr__ = __setitem__
    __delattr__ = __delitem__


def create_app(
    settings: Settings, secrets: Secrets, *, bounds: Bounds | None = None, openapi_config: OpenAPIConfig | None = None
) -> Litestar:
    """Make the application. It opens its connections when it is started, and starts while the database is away.

    ``openapi_config`` is for ``describe``; the application that is served shows the finished description, at ``/docs``.
    """
    app = Litestar(
        route_handlers=route_handlers,
        state=Parts({"settings": settings, "secrets": secrets, "describe": describe, "in_flight": InFlight(bounds)}),
        lifespan=[_resources],
        dependencies={
            **{name: Provide(_lend(name)) for name in _LENT},
            "principal": Provide(provide_principal),
            "idempotency_key": Provide(provide_idempotency_key),
        },
        exception_handlers=problems.exception_handlers,
        before_request=read_address,
        request_class=BodyRequest,
        request_max_body_size=SINGLE_BYTES_MAX,
        dto=StrictBody,
        return_dto=None,
        openapi_config=openapi_config,
        logging_config=None,
        event_emitter_backend=NoEvents,
    )
    general = link_routes.link_pages(app.state, tell_apart(app.asgi_handler, app))
    thin = thin_route(app.state, thin_redemptions(app.state, thin_reads(app.state, general)))
    app.asgi_handler = observe(read_paths(small_requests(thin)), app.state.in_flight)
    return app


class NoEvents(BaseEventEmitterBackend):
    """We have no events; the framework's emitter would wrap the reason why we cannot start into a group of one."""

    def emit(self, event_id: str, *args: Any, **kwargs: Any) -> None:
        """Refuse: nobody listens."""
        raise NotImplementedError(event_id)

    async def __aexit__(self, *_: object) -> None:
        """Nothing was opened."""


@functools.cache
def describe() -> dict[str, Any]:
    """Return the OpenAPI document of the API."""
    nothing = Secrets(identity_keys=(), link_keys=())
    return openapi.document_of(create_app(Settings(), nothing, openapi_config=openapi.config()))


@contextlib.asynccontextmanager
async def _resources(app: Litestar) -> AsyncGenerator[None]:
    settings: Settings = app.state.settings
    async with contextlib.AsyncExitStack() as opened:
        pool = await database.create_pool(settings.database_url, database.APPLICATION_ROLE, size=POOL_SIZE)
        opened.push_async_callback(_close, pool)
        kept = database.KeptConnection(settings.database_url, database.APPLICATION_ROLE)
        opened.push_async_callback(kept.close)
        engine = database.create_engine(settings.database_url, database.APPLICATION_ROLE, size=ENGINE_SIZE)
        opened.push_async_callback(engine.dispose)
        disk_space.measure(settings.directories)
        watch = DatabaseWatch(pool, settings.directories)
        await watch.start()
        opened.push_async_callback(watch.stop)
        ledger = await opened.enter_async_context(Ledger(pool))
        for queue in ledger.waiting:
            metrics.waiting.labels(queue).set_function(functools.partial(_waiting, ledger, queue))
        app.state.update(
            {
                "pool": pool,
                "engine": engine,
                "database_watch": watch,
                "principals": Principals(engine),
                "quotas": Quotas(pool),
                "key_use": await opened.enter_async_context(KeyUse(pool)),
                "brands": BrandDirectory(engine),
                "campaigns": CampaignDirectory(engine),
                "under_way": UnderWay(),
                "customers": CustomerDirectory(pool, app.state.secrets.identity_keys, kept=kept),
                "ledger": ledger,
                "events": NaturalBatches(ledger.events),
                "balances": NaturalBatches(ledger.balances),
                "statements": NaturalBatches(
                    functools.partial(ledger.statements, limit=LIMIT_DEFAULT + 1), batch_max=STATEMENTS_AT_ONCE
                ),
                "clocks": BookClocks(ledger),
                "resolver": Resolver(settings.dns_resolver),
                "room": Room(BATCH_ITEMS_IN_HAND),
                "touches": await opened.enter_async_context(Touches(pool, agent_key(app.state.secrets.link_keys))),
                "link_host": await opened.enter_async_context(open_link_host(settings, app.state.secrets, pool, engine)),
            }
        )
        seals = open_seals(
            sealing_keys(app.state.secrets.link_keys, "spool record 1"),
            spool_files(settings.spool_path),
            Path(settings.data_dir) / SEALS_NOTE,
        )
        spool = Spool(settings.spool_path, bytes_max=settings.spool_bytes, seals=seals)
        app.state.late_acts = await opened.enter_async_context(open_late_acts(app.state, spool))
        structlog.get_logger().info("started")
        yield
        structlog.get_logger().info("stopping")


async def _close(pool: asyncpg.Pool[Any]) -> None:
    try:
        await asyncio.wait_for(pool.close(), CLOSE_TIMEOUT_S)
    except TimeoutError:
        pool.terminate()


def _waiting(ledger: Ledger, queue: str) -> int:
    return ledger.waiting[queue]


def _lend(name: str) -> Any:
    async def lend(state: State) -> Any:
        return state[name]

    return lend


@get("/metrics", sync_to_thread=False)
def read_metrics() -> Response[bytes]:
    """Return all metrics, for Prometheus."""
    return Response(metrics.render(), headers={"Content-Type": metrics.CONTENT_TYPE})


def operator_app(app: Litestar) -> Litestar:
    """Make what the operator's port serves: ``/metrics``, and the health of ``app``, which must be running."""

    def lend(name: str) -> Provide:
        async def lent() -> Any:
            return app.state[name]

        return Provide(lent)

    served = Litestar(
        route_handlers=[read_metrics, *health.route_handlers],
        dependencies={name: lend(name) for name in ("database_watch", "in_flight", "ledger")},
        exception_handlers=problems.exception_handlers,
        openapi_config=None,
        logging_config=None,
    )
    served.asgi_handler = release(served.asgi_handler)
    return served
