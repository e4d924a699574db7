"""Wallets over HTTP: a page for the customer, by a short-lived link; the same as JSON for the brand's systems."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from litestar import HttpMethod, Request, Response, get, route
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath

from service.auth.guards import requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.links.link_host import LinkHost
from service.links.own_pages import Headers, address_of, answered, open_page, wants_json
from service.links.person_tokens import LIFE_S, PersonKind
from service.pages.rendering import Answer
from service.pagination import AfterSeq
from service.wallet import actions
from service.wallet.pages import wallet_page
from service.wallet.schemas import WalletResponse


@get("/v1/customers/{customer_id:str}/wallet", guards=[requires(Scope.CUSTOMERS_READ)], tags=["customers"])
async def get_wallet(
    customer_id: FromPath[str], principal: NamedDependency[Principal], state: State, after: AfterSeq = None
) -> WalletResponse:
    """What a customer's wallet shows: her balance and its worth, what expires when, what happened, and her next reward."""
    return await actions.wallet_of(state, principal.brand, customer_id, after=after)


@route("/wallet/{token:str}", http_method=[HttpMethod.GET, HttpMethod.HEAD], include_in_schema=False)
async def show_wallet(
    token: FromPath[str], state: State, request: Request[Any, Any, Any], after: AfterSeq = None
) -> Response[Any]:
    """Show a customer her wallet."""

    async def show(headers: Headers, now: datetime) -> Answer | msgspec.Struct:
        page = await open_page(state, token, PersonKind.WALLET, headers, now=now)
        wallet = await actions.wallet(state, page.brand, page.known, after=after)
        if wants_json(headers):
            return wallet
        host: LinkHost = state.link_host
        # It may be open as long as this page is, and no longer: it was asked for from here.
        preferences_url = address_of(host, page, PersonKind.PREFERENCES, now=now, life_s=LIFE_S[PersonKind.WALLET])
        preferences_url = preferences_url if page.may_write else None
        return await wallet_page(state, page.brand, wallet, is_newest=after is None, preferences_url=preferences_url)

    return await answered(request, show)


route_handlers: list[Any] = [get_wallet, show_wallet]
