"""The application, wired: routes in, dependencies open, errors mapped, everything observed.

``create_app`` is what a server runs; ``operator_app`` is what listens on the operator's own port.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncGenerator
from typing import Any

import structlog
from litestar import Litestar, Response, get
from litestar.datastructures import State
from litestar.di import Provide
from litestar.events import BaseEventEmitterBackend
from litestar.openapi import OpenAPIConfig

from service.admission.in_flight import InFlight
from service.admission.limits import SINGLE_BYTES_MAX, Bounds
from service.api_reference import document as openapi
from service.api_reference import page as docs
from service.app_receipts import routes as app_receipt_routes
from service.approvals import routes as approval_routes
from service.attention import routes as attention_routes
from service.auth import looks
from service.auth import routes as auth_routes
from service.auth.guards import provide_principal
from service.brand_settings import routes as brand_settings_routes
from service.campaigns import routes as campaign_routes
from service.closes import routes as close_routes
from service.code_batches import routes as code_batch_routes
from service.concurrency.fairness import count_small_requests
from service.consents import routes as consent_routes
from service.console import routes as console_routes
from service.corrections import routes as correction_routes
from service.corrections.jobs import routes as correction_job_routes
from service.customer_pages import routes as customer_page_routes
from service.customers import routes as customer_routes
from service.customers.merges import routes as merge_routes
from service.customers.verification import routes as verification_routes
from service.demo_shop import routes as demo_shop_routes
from service.dispatch import routes as bypassing
from service.erasure import routes as erasure_routes
from service.estimates import routes as estimate_routes
from service.evidence import routes as evidence_routes
from service.export_jobs import routes as export_routes
from service.feed import routes as feed_routes
from service.finance import routes as finance_routes
from service.finance.layers import routes as layer_routes
from service.grants import routes as grant_routes
from service.grants.quotes import routes as quote_routes
from service.http import problems
from service.http.bodies import BodyRequest, StrictBody
from service.http.dispatch import dispatch
from service.http.idempotency import provide_idempotency_key
from service.http.middleware import observe, release
from service.http.request_target import check_path_and_query, decode_paths, mark_ambiguous_values
from service.ingest import routes as ingest_routes
from service.ingest.replays import routes as replay_routes
from service.link_checks import routes as link_check_routes
from service.link_pages import routes as link_page_routes
from service.link_pages.serving import not_found_page
from service.links import routes as link_routes
from service.messages import routes as message_routes
from service.observability import metrics
from service.offers import routes as offer_routes
from service.page_previews import routes as page_preview_routes
from service.personal_data import routes as personal_data_routes
from service.persons import routes as person_routes
from service.preferences import routes as preferences_routes
from service.redemptions import routes as redemption_routes
from service.reports import routes as report_routes
from service.reports.customers import routes as customer_report_routes
from service.restatements import routes as restatement_routes
from service.revocations import routes as revocation_routes
from service.server import health
from service.services import Services, open_services
from service.settings import Secrets, Settings
from service.start_page import routes as start_page_routes
from service.statements import routes as statement_routes
from service.test_clock import routes as test_clock_routes
from service.wallet import routes as wallet_routes

route_handlers: list[Any] = [
    *health.route_handlers,
    *docs.route_handlers,
    *auth_routes.route_handlers,
    *person_routes.route_handlers,
    *approval_routes.route_handlers,
    *brand_settings_routes.route_handlers,
    *campaign_routes.route_handlers,
    *customer_routes.route_handlers,
    *merge_routes.route_handlers,
    *erasure_routes.route_handlers,
    *personal_data_routes.route_handlers,
    *statement_routes.route_handlers,
    *verification_routes.route_handlers,
    *consent_routes.route_handlers,
    *attention_routes.route_handlers,
    *grant_routes.route_handlers,
    *quote_routes.route_handlers,
    *link_routes.route_handlers,
    *link_page_routes.route_handlers,
    *evidence_routes.route_handlers,
    *code_batch_routes.route_handlers,
    *customer_page_routes.route_handlers,
    *revocation_routes.route_handlers,
    *link_check_routes.route_handlers,
    *ingest_routes.route_handlers,
    *app_receipt_routes.route_handlers,
    *replay_routes.route_handlers,
    *message_routes.route_handlers,
    *offer_routes.route_handlers,
    *redemption_routes.route_handlers,
    *correction_routes.route_handlers,
    *correction_job_routes.route_handlers,
    *finance_routes.route_handlers,
    *close_routes.route_handlers,
    *report_routes.route_handlers,
    *customer_report_routes.route_handlers,
    *estimate_routes.route_handlers,
    *restatement_routes.route_handlers,
    *export_routes.route_handlers,
    *layer_routes.route_handlers,
    *feed_routes.route_handlers,
    *demo_shop_routes.route_handlers,
    *page_preview_routes.route_handlers,
    *start_page_routes.route_handlers,
    *test_clock_routes.route_handlers,
    *wallet_routes.route_handlers,
    *preferences_routes.route_handlers,
    *console_routes.route_handlers,
]


def create_app(
    settings: Settings, secrets: Secrets, *, bounds: Bounds | None = None, openapi_config: OpenAPIConfig | None = None
) -> Litestar:
    """Make the application. It opens its connections when it is started, and starts while the database is away.

    Its state is what it is made of, and from its start on ``services``. ``openapi_config`` is for ``describe``; the application
    that is served shows the finished description, at ``/docs``.
    """
    app = Litestar(
        route_handlers=route_handlers,
        state=State({"settings": settings, "secrets": secrets, "in_flight": InFlight(bounds)}),
        lifespan=[_started],
        dependencies={
            "services": Provide(_services, sync_to_thread=False),
            "principal": Provide(provide_principal),
            "idempotency_key": Provide(provide_idempotency_key),
        },
        signature_namespace={"Services": Services},
        exception_handlers=problems.exception_handlers,
        before_request=check_path_and_query,
        after_request=_record_looks,
        request_class=BodyRequest,
        request_max_body_size=SINGLE_BYTES_MAX,
        dto=StrictBody,
        return_dto=None,
        openapi_config=openapi_config,
        logging_config=None,
        event_emitter_backend=NoEvents,
    )
    app.state.framework = mark_ambiguous_values(app.asgi_handler, app)
    return app


async def _record_looks(response: Any) -> Any:
    await looks.record()
    return response


def bind(app: Litestar, services: Services) -> None:
    """Let an application work with ``services``, its routes and what is in front of them."""
    app.state.services = services
    dispatched = dispatch(bypassing, services, not_found_page(services, app.state.framework))
    app.asgi_handler = observe(decode_paths(count_small_requests(dispatched)), services.in_flight)


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
async def _started(app: Litestar) -> AsyncGenerator[None]:
    async with open_services(app.state.settings, app.state.secrets, app.state.in_flight, describe) as services:
        bind(app, services)
        structlog.get_logger().info("started")
        yield
        structlog.get_logger().info("stopping")


def _services(state: State) -> Services:
    return state.services


@get("/metrics", sync_to_thread=False)
def read_metrics() -> Response[bytes]:
    """Return all metrics, for Prometheus."""
    return Response(metrics.render(), headers={"Content-Type": metrics.CONTENT_TYPE})


def operator_app(app: Litestar) -> Litestar:
    """Make what the operator's port serves: ``/metrics``, and the health of ``app``, which must be running."""

    def services() -> Services:
        return app.state.services

    served = Litestar(
        route_handlers=[read_metrics, *health.route_handlers],
        dependencies={"services": Provide(services, sync_to_thread=False)},
        signature_namespace={"Services": Services},
        exception_handlers=problems.exception_handlers,
        openapi_config=None,
        logging_config=None,
    )
    served.asgi_handler = release(served.asgi_handler)
    return served
