"""Which requests bypass the framework: one table. Everything else goes to the routes that ``service.app`` lists.

The framework's routing, requests and responses would cost as much as all the rest of these. Of the API's requests only the
plain ones are taken here (``service.auth.fast_path``); pages are no part of the API that is described.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from litestar.types import Receive, Send

from service.code_batches import claims as code_claims
from service.code_batches import displays, qr_codes
from service.customer_pages import live_images
from service.customers import fast_path as customers
from service.grants import fast_path as grants
from service.http.dispatch import Route
from service.ingest import intake
from service.link_pages import app_links, visits
from service.link_pages.script_claims import claim_without_key
from service.link_pages.serving import page, serve
from service.redemptions import fast_path as redemptions
from service.tokens.code import code_in

if TYPE_CHECKING:
    from service.services import Services


def code_page(services: Services, scope: Any, receive: Receive, send: Send, typed: str) -> Awaitable[None] | None:
    """Serve the page of a printed code; what is no code may be a link."""
    code = code_in(typed)
    if code is None:
        return None
    claim = functools.partial(code_claims.claim_page, receive=receive)
    return serve(services, scope, send, code, {"GET": code_claims.look, "HEAD": code_claims.look, "POST": claim})


def framework_page(services: Services, scope: Any, receive: Receive, send: Send, token: str) -> None:
    """Leave a page to the framework, under its path without the signs that followed the link."""
    scope["path"] = f"/{scope['path'].strip('/').partition('/')[0]}/{token}"


link_page = page(visits.look, visits.claim)

routes = [
    Route("POST", "/v1/grants", grants.report_event),
    Route("POST", "/v1/redemptions", redemptions.authorize),
    Route("POST", "/v1/redemptions/{redemption_id}/capture", redemptions.capture),
    Route("GET", "/v1/customers/{customer_id}/balance", customers.balance),
    Route("GET", "/v1/customers/{customer_id}/statement", customers.statement),
    Route("POST", "/v1/claims", claim_without_key),
    Route(None, "/v1/ingest/{source_id}", intake.take),
    Route(None, "/{code}", code_page),
    Route(None, "/r/{code}", code_page, called="/{code}"),
    Route(None, "/R/{code}", code_page, called="/{code}"),  # a QR code's address may be in capitals throughout
    Route(None, "/r/{token}", link_page),
    Route(None, "/R/{token}", link_page, called="/r/{token}"),
    Route(None, "/r/done/{receipt}", page(visits.review)),
    Route(None, "/qr/{code}", page(qr_codes.draw)),
    Route(None, "/display/{code}", page(displays.show)),
    Route(None, "/o/{token}.gif", page(visits.show)),
    Route(None, "/live/{token}.png", page(live_images.show)),
    Route(None, "/.well-known/apple-app-site-association", page(app_links.apple_file)),
    Route(None, "/.well-known/assetlinks.json", page(app_links.android_file)),
    Route(None, "/wallet/{token}", framework_page),
    Route(None, "/preferences/{token}", framework_page),
]
