"""The console's routes: those of its rooms, its files, and what a browser is answered where one refuses."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from litestar import HttpMethod, Request, Response, Router, get, route
from litestar.exceptions import HTTPException
from litestar.params import FromPath

from service.console import page
from service.console.forms import FormFromElsewhere
from service.console.guard import NotSignedIn, session_or_none
from service.console.money import routes as money
from service.console.overview import routes as overview
from service.console.rooms import HOME
from service.console.sign_in import account, provider_routes
from service.console.sign_in import routes as sign_in
from service.console.sign_in.routes import SIGN_IN
from service.http import problems
from service.http.problems import not_found
from service.pages.brand_colors import palette

_templates = page.templates_of(Path(__file__).parent)
_ACCENT = re.compile(r"[0-9a-f]{6}")
_FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}


@get("/static/{name:str}", sync_to_thread=False)
def read_static(name: FromPath[str], request: Request[Any, Any, Any]) -> Response[bytes]:
    """Return a file that pages are made of. Under the address that a page gives it, it never changes."""
    if name not in page.STATIC:
        raise not_found("file")
    is_named = page.static_address(name).endswith(f"?v={request.query_params.get('v', '')}")
    media_type = page.MEDIA_TYPES[name.rpartition(".")[2]]
    return Response(page.STATIC[name], media_type=media_type, headers=page.HEADERS | (_FOR_EVER if is_named else {}))


@get("/colors/{accent:str}", sync_to_thread=False)
def read_colors(accent: FromPath[str]) -> Response[str]:
    """Return the colours that follow from a brand's one, as a stylesheet: so that no page needs a style of its own."""
    if not _ACCENT.fullmatch(accent.removesuffix(".css")):
        raise not_found("file")
    colors = palette(f"#{accent.removesuffix('.css')}")
    rules = ";".join(
        (
            f"--accent:{colors.accent}",
            f"--on-accent:{colors.on_accent}",
            f"--accent-on-light:{colors.accent_on_light}",
            f"--accent-on-dark:{colors.accent_on_dark}",
        )
    )
    return Response(f":root{{{rules}}}\n", media_type="text/css", headers=page.HEADERS | _FOR_EVER)


@route("/{rest:path}", http_method=[HttpMethod.GET, HttpMethod.POST])
async def find_nothing(rest: FromPath[Path], request: Request[Any, Any, Any]) -> Response[bytes]:
    """Say that there is no such page."""
    raise not_found("page")


def refuse(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Answer with a page that says why not; or, to somebody who is not signed in, with the way to sign in."""
    if isinstance(error, NotSignedIn):
        asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        here = asked if request.method in {"GET", "HEAD"} else HOME
        return page.back(request, SIGN_IN if here == HOME else f"{SIGN_IN}?{urlencode({'next': here})}")
    if isinstance(error, FormFromElsewhere):
        return _refused(request, 403, "This form is not from your page", "Open the page again and send its form from there.")
    problem, document = problems.describe(request.scope, error)
    is_forbidden = problem.code == "missing_scope"
    title, detail = _FORBIDDEN if is_forbidden else (document.title, document.detail)
    return _refused(request, document.status, title, detail, request_id=document.request_id)


_FORBIDDEN = ("Not part of your role", "Your roles do not include this page. Ask the operator if they should.")


def _refused(request: Request[Any, Any, Any], status: int, title: str, detail: str, request_id: str = "") -> Response[bytes]:
    return page.show(
        request,
        _templates,
        "refused.html",
        title=title,
        status=status,
        tables=None,
        detail=detail,
        request_id=request_id,
        is_signed_in=session_or_none(request) is not None,
    )


route_handlers: list[Any] = [
    Router(
        HOME,
        route_handlers=[
            read_static,
            read_colors,
            *sign_in.route_handlers,
            *account.route_handlers,
            *provider_routes.route_handlers,
            *overview.route_handlers,
            *money.route_handlers,
            find_nothing,
        ],
        exception_handlers={HTTPException: refuse, Exception: refuse},
        include_in_schema=False,
    )
]
