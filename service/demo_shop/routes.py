"""What a demo serves beside the API: a shop, and entry points that need no message and no key.

/demo/link     a fresh reward link, as the next message would carry it
/demo/wallet   the customer's wallet, as the brand's app would open it
/demo/shop     the shop, which takes points
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Request, Response, get, post
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.response import Redirect

from service.admission.limits import FORM_BYTES_MAX
from service.demo_shop import actions
from service.demo_shop.demo_file import SHOP_PATH
from service.demo_shop.goods import GOODS
from service.http.injection import Injected
from service.http.problems import not_found

if TYPE_CHECKING:
    from service.services import Services

_page = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined
).get_template("shop.html")


async def only_in_a_demo(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Answer 404 unless this is a demo."""
    if not connection.app.state.services.settings.demo:
        raise not_found("page")


@get(SHOP_PATH, guards=[only_in_a_demo], include_in_schema=False)
async def show_shop(request: Request[Any, Any, Any], services: Injected[Services]) -> Response[str]:
    """Show the shop that the demo's links lead to, and the visitor's balance."""
    nonce = secrets.token_urlsafe(16)
    paid = next((good for good in GOODS if good.name == request.query_params.get("paid")), None)
    return Response(
        _page.render(nonce=nonce, goods=GOODS, till=await actions.till(services), paid=paid),
        media_type="text/html",
        headers={
            "Cache-Control": "no-store",
            "Content-Security-Policy": (
                f"default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
            ),
            "Referrer-Policy": "same-origin",
        },
    )


@post(SHOP_PATH, guards=[only_in_a_demo], status_code=303, request_max_body_size=FORM_BYTES_MAX, include_in_schema=False)
async def pay_in_shop(request: Request[Any, Any, Any], services: Injected[Services]) -> Redirect:
    """Take points for an item, and show the shop again."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    good = await actions.pay(services, headers, await request.body())
    return _redirect(f"{SHOP_PATH}?{urlencode({'paid': good.name})}")


@get("/demo/link", guards=[only_in_a_demo], include_in_schema=False)
async def open_link(services: Injected[Services]) -> Redirect:
    """Redirect to a link of a message sent just now."""
    return _redirect(await actions.fresh_link(services))


@get("/demo/wallet", guards=[only_in_a_demo], include_in_schema=False)
async def open_wallet(services: Injected[Services]) -> Redirect:
    """Redirect to the customer's wallet."""
    return _redirect(await actions.wallet(services))


def _redirect(url: str) -> Redirect:
    return Redirect(url, status_code=303, headers={"Cache-Control": "no-store"})


route_handlers: list[Any] = [show_shop, pay_in_shop, open_link, open_wallet]
