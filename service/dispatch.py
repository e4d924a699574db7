"""The pages of links, by their paths: in front of the framework, whose routing would cost more than the page."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from litestar.types import ASGIApp, Receive, Send

from service.code_batches import claims as code_claims
from service.code_batches import qr_codes
from service.customer_pages import live_images
from service.http.request_target import API
from service.link_pages import app_links, visits
from service.link_pages.script_claims import confirm_for_script, has_key
from service.link_pages.serving import Visits, accepts_pages, in_its_place, serve
from service.tokens.code import code_in

if TYPE_CHECKING:
    from service.services import Services

_LINK: Visits = {"GET": visits.look, "HEAD": visits.look, "POST": visits.claim}
_PICTURE: Visits = {"GET": visits.show, "HEAD": visits.show}
_RECEIPT: Visits = {"GET": visits.review, "HEAD": visits.review}
_ASSOCIATION: Visits = {"GET": app_links.associate, "HEAD": app_links.associate}
_QR_CODE: Visits = {"GET": qr_codes.draw, "HEAD": qr_codes.draw}
_LIVE_IMAGE: Visits = {"GET": live_images.show, "HEAD": live_images.show}


def link_pages(services: Services, general: ASGIApp) -> ASGIApp:
    """Put the pages of links in front of ``general``, the whole application, whose ``state`` they share.

    They are pages for people and no part of the API that is described. The framework's routing, requests and responses would
    cost a claim as much as all else but its signature.
    """

    async def served(scope: Any, receive: Receive, send: Send) -> None:
        parts = _parts_of(scope["path"]) if scope["type"] == "http" else []
        # A QR code may be in capitals throughout.
        match parts:
            case ["r", "done", receipt]:
                scope["path_template"] = "/r/done/{receipt}"
                await serve(services, scope, send, receipt, _RECEIPT)
            case [typed] if (code := code_in(typed)) is not None:
                await _serve_code(services, scope, receive, send, code)
            case ["r" | "R", typed] if (code := code_in(typed)) is not None:
                await _serve_code(services, scope, receive, send, code)
            case ["r" | "R", token]:
                scope["path_template"] = "/r/{token}"
                await serve(services, scope, send, token, _LINK)
            case ["qr", name]:
                scope["path_template"] = "/qr/{code}"
                await serve(services, scope, send, name, _QR_CODE)
            case [".well-known", ("apple-app-site-association" | "assetlinks.json") as name]:
                scope["path_template"] = f"/.well-known/{name}"
                await serve(services, scope, send, name, _ASSOCIATION)
            case ["o", name] if name.endswith(".gif"):
                scope["path_template"] = "/o/{token}.gif"
                await serve(services, scope, send, name.removesuffix(".gif"), _PICTURE)
            case ["live", name] if name.endswith(".png"):
                scope["path_template"] = "/live/{token}.png"
                await serve(services, scope, send, name.removesuffix(".png"), _LIVE_IMAGE)
            case ["v1", "claims"] if scope["method"] == "POST" and not has_key(scope):
                scope["path_template"] = "/v1/claims"
                await confirm_for_script(services, scope, receive, send)
            case [("wallet" | "preferences") as page, token]:
                scope["path"] = f"/{page}/{token}"
                await general(scope, receive, send)
            case [first, *_] if first != API and scope["method"] in {"GET", "HEAD"} and accepts_pages(scope):
                await general(scope, receive, in_its_place(services, scope, send))
            case _:
                await general(scope, receive, send)

    return served


def _parts_of(path: str) -> list[str]:
    """The parts of a path, without those at its end that are nothing but signs: they stood behind a link in a message."""
    parts = [part for part in path.split("/") if part]
    while len(parts) > 1 and not any(map(str.isalnum, parts[-1])):
        parts.pop()
    return parts


async def _serve_code(services: Services, scope: Any, receive: Receive, send: Send, code: str) -> None:
    scope["path_template"] = "/{code}"
    claim = functools.partial(code_claims.claim_page, receive=receive)
    await serve(services, scope, send, code, {"GET": code_claims.look, "HEAD": code_claims.look, "POST": claim})
