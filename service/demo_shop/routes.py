"""``GET /demo/shop``: served only by a demo."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Response, get
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from service.demo_shop.goods import GOODS
from service.problems import not_found

_page = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined
).get_template("shop.html")


async def only_in_a_demo(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Elsewhere there is nothing at this path."""
    if not connection.app.state.settings.demo:
        raise not_found("page")


@get("/demo/shop", guards=[only_in_a_demo], include_in_schema=False)
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


route_handlers: list[Any] = [show_shop]
