"""Wallets over HTTP: a page behind a customer's short-lived link, and the same as JSON for the brand's systems."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
from litestar import HttpMethod, Request, Response, get, post, route
from litestar.params import FromPath, JSONBody

from service.api_reference.document import problems
from service.auth.guards import requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.customer_pages.access import Headers, address_of, answered, open_page, wants_json
from service.http.injection import Injected
from service.http.pagination import AfterSeq
from service.pages.rendering import Answer
from service.tokens.customer import LIFE_S, CustomerTokenKind
from service.wallet import actions
from service.wallet.pages import wallet_page
from service.wallet.schemas import WalletRequest, WalletResponse

if TYPE_CHECKING:
    from service.services import Services


@get(
    "/v1/customers/{customer_id:str}/wallet",
    guards=[requires(Scope.CUSTOMERS_READ)],
    tags=["customers"],
    responses=problems("not_found"),
)
async def get_wallet(
    customer_id: FromPath[str],
    principal: Injected[Principal],
    services: Injected[Services],
    after: AfterSeq = None,
) -> WalletResponse:
    """Get a customer's wallet: balance and its worth, expiry, history, and the next reward."""
    return await actions.wallet_of(services, principal.brand, customer_id, after=after)


@post(
    "/v1/customers/wallet",
    guards=[requires(Scope.CUSTOMERS_READ)],
    status_code=200,
    tags=["customers"],
    responses=problems("not_found"),
)
async def get_wallet_by_name(
    data: JSONBody[WalletRequest], principal: Injected[Principal], services: Injected[Services]
) -> WalletResponse:
    """Get the wallet of a customer known only by email, phone or device. The name stays out of the URL."""
    return await actions.wallet_by_name(services, principal.brand, data)


@route("/wallet/{token:str}", http_method=[HttpMethod.GET, HttpMethod.HEAD], include_in_schema=False)
async def show_wallet(
    token: FromPath[str], services: Injected[Services], request: Request[Any, Any, Any], after: AfterSeq = None
) -> Response[Any]:
    """Show a customer their wallet."""

    async def show(headers: Headers, now: datetime) -> Answer | msgspec.Struct:
        page = await open_page(services, token, CustomerTokenKind.WALLET, headers, now=now)
        wallet = await actions.wallet(services, page.brand, page.known, after=after)
        if wants_json(headers):
            return wallet
        preferences_url = None
        if page.may_write:
            # It may be open as long as this page is, and no longer: it was asked for from here.
            preferences_url = address_of(
                services, page, CustomerTokenKind.PREFERENCES, now=now, life_s=LIFE_S[CustomerTokenKind.WALLET]
            )
        answer = await wallet_page(services, page.brand, wallet, after=after, preferences_url=preferences_url)
        # It closes by itself: a browser asks for it again when its link opens it no more, and is told so.
        answer.headers["Refresh"] = str(page.closes_in_s + 1)
        return answer

    return await answered(request, show)


route_handlers: list[Any] = [get_wallet, get_wallet_by_name, show_wallet]
