"""``GET /``: a page for people who open the service's address in a browser. Programs get a 404 problem."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from litestar import HttpMethod, Request, Response, route
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from service.auth.routes import VERSION
from service.customer_pages.access import sent
from service.http.injection import Injected
from service.http.problems import Problem
from service.link_pages.pages import Page, respond
from service.pages.rendering import environment, render, words_for

if TYPE_CHECKING:
    from service.services import Services

_templates = environment(Path(__file__).parent / "templates")


async def only_for_browsers(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Answer 404 to programs: an address alone means the path got lost."""
    if "text/html" not in connection.headers.get("accept", ""):
        raise Problem("not_found", "There is nothing at this path; the API is described at /openapi.json.")


@route("/", http_method=[HttpMethod.GET, HttpMethod.HEAD], guards=[only_for_browsers], include_in_schema=False)
async def show_start_page(request: Request[Any, Any, Any], services: Injected[Services]) -> Response[bytes]:
    """Show what this service is and where to go next; on a brand's own host, that a link was cut off."""
    brand = services.link_hosts.brand_at(dict(request.headers))
    answer = (
        render(
            _templates,
            "start.html",
            brand=None,
            words=words_for(None),
            title="Atomic Rewards",
            version=VERSION,
            is_demo=services.settings.demo,
        )
        if brand is None
        else respond(Page.NOT_FOUND, brand=brand)
    )
    return sent(request, answer)


route_handlers: list[Any] = [show_start_page]
