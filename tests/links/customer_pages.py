"""Pages of a customer's own, as a test opens them."""

from __future__ import annotations

import time

from service.tokens.customer import LIFE_S, CustomerTokenClaims, CustomerTokenKind, sign
from tests.api_fixtures import Api

FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html"}


def own_page(api: Api, kind: CustomerTokenKind, customer: int = 1, *, brand: str | None = None, age_s: int = 0) -> str:
    """The path of a page, as if it had been made so long ago."""
    services = api.services
    made_at = int(time.time()) - age_s
    message_id = "newsletter-0412" if kind is CustomerTokenKind.LIVE_IMAGE else ""
    claims = CustomerTokenClaims(
        kind, brand or api.brand.code, services.link_hosts.host, customer, made_at, made_at + LIFE_S[kind], message_id
    )
    return f"/{kind}/{sign(claims, services.token_keys.links)}"
