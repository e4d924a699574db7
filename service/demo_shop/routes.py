"""What a demo serves beside the API: the shop that its links lead to, and ways in for who has no message and no key.

/demo/link     a reward link that nobody has followed, as the next message would carry it
/demo/wallet   the customer's wallet, as the brand's app would open it
/demo/shop     the shop
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Response, get
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.handlers import BaseRouteHandler
from litestar.response import Redirect

from service.auth.api_keys import hash_key
from service.auth.principal import Principal
from service.customers.schemas import CustomerRef
from service.demo_shop import demo_file
from service.demo_shop.goods import GOODS
from service.links import actions, own_pages
from service.links.schemas import LinkBatch, LinkRequest, PageLinkRequest
from service.problems import Problem, not_found

_page = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined
).get_template("shop.html")
_link_decoder = msgspec.json.Decoder(LinkRequest)


async def only_in_a_demo(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Elsewhere there is nothing at this path."""
    if not connection.app.state.settings.demo:
        raise not_found("page")


@get(demo_file.SHOP_PATH, guards=[only_in_a_demo], include_in_schema=False)
async def show_shop() -> Response[str]:
    """Show the shop that the demo's links lead to."""
    nonce = secrets.token_urlsafe(16)
    return Response(
        _page.render(nonce=nonce, goods=GOODS),
        media_type="text/html",
        headers={
            "Content-Security-Policy": f"default-src 'none'; style-src 'nonce-{nonce}'; base-uri 'none'; frame-ancestors 'none'"
        },
    )


@get("/demo/link", guards=[only_in_a_demo], include_in_schema=False)
async def open_link(state: State) -> Redirect:
    """Lead on to a link of a message that was sent just now."""
    demo, messaging = await _messaging_system(state)
    now = await state.clocks.now(messaging.brand)
    item = {
        "campaign": demo.campaign,
        "message_id": f"again-{datetime.now(UTC):%Y%m%d-%H%M%S}",
        "customer": {"id": demo_file.CUSTOMER},
        "action": "click",
        "channel": "email",
        "destination": demo.base_url + demo_file.SHOP_PATH,
    }
    raw = msgspec.json.encode(item)
    batch = LinkBatch([raw], _link_decoder, len(raw))
    (minted,) = await actions.mint(state, messaging, batch, now=now)
    return _redirect(minted)


@get("/demo/wallet", guards=[only_in_a_demo], include_in_schema=False)
async def open_wallet(state: State) -> Redirect:
    """Lead on to the customer's wallet."""
    _, messaging = await _messaging_system(state)
    now = await state.clocks.now(messaging.brand)
    wanted = PageLinkRequest(customer=CustomerRef(id=demo_file.CUSTOMER), kind="wallet")
    (minted,) = await own_pages.mint(state, messaging, [wanted], now=now)
    return _redirect(minted)


async def _messaging_system(state: State) -> tuple[demo_file.Demo, Principal]:
    """The demo, and its messaging system as the API knows it by its key."""
    demo = demo_file.read(demo_file.path_of(state.settings))
    principal: Principal | None = None if demo is None else await state.principals.by_hash(hash_key(demo.keys["messaging"]))
    if demo is None or principal is None:
        raise not_found("demo")
    return demo, principal


def _redirect(minted: actions.MintedLink | own_pages.MintedPage | Problem) -> Redirect:
    if isinstance(minted, Problem):
        raise minted
    return Redirect(minted.url, status_code=303, headers={"Cache-Control": "no-store"})


route_handlers: list[Any] = [show_shop, open_link, open_wallet]
