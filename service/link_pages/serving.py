"""Serving pages: what is sent for what a visit of a page answers.

    page            a page's handler, as the dispatch table takes it
    serve           answer a request by the visit of its method
    send_answer     send what a visit answered
    not_found_page  a page in place of the problem that there is nothing at a path

These are pages for people and no part of the API that is described. The framework's routing, requests and responses would cost
a claim as much as all else but its signature.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from litestar.exceptions import HTTPException, MethodNotAllowedException
from litestar.status_codes import HTTP_404_NOT_FOUND
from litestar.types import ASGIApp, Receive, Send

from service.http.dispatch import Handler
from service.http.problems import Problem, send_problem
from service.http.request_target import is_of_api
from service.link_pages.lookup import Visitor
from service.link_pages.pages import Answer, Page, page_of_error, respond

if TYPE_CHECKING:
    from service.services import Services

Visit: TypeAlias = Callable[["Services", str, Visitor], Awaitable[Answer]]
Visits: TypeAlias = Mapping[str, Visit]
"""What a page does, by method."""


def page(look: Visit, claim: Visit | None = None) -> Handler:
    """A page that is looked at and, with ``claim``, sent in."""
    visits: Visits = {"GET": look, "HEAD": look} | ({} if claim is None else {"POST": claim})

    def handle(services: Services, scope: Any, receive: Receive, send: Send, subject: str) -> Awaitable[None]:
        return serve(services, scope, send, subject, visits)

    return handle


async def serve(services: Services, scope: Any, send: Send, subject: str, visits: Visits) -> None:
    """Answer a request for a page; ``subject`` is the part of its path that says of what."""
    visit = visits.get(scope["method"])
    try:
        if visit is not None:
            visitor = Visitor(scope["method"], headers_of(scope), address_of(scope), datetime.now(UTC))
            answer = await visit(services, subject, visitor)
        else:
            answer = _allowed_methods(scope["method"], ", ".join([*visits, "OPTIONS"]))
    except (Problem, HTTPException) as error:
        await send_problem(scope, send, error)
        return
    except Exception as error:
        answer = page_of_error(error)
    await send_answer(scope, send, answer)


async def send_answer(scope: Any, send: Send, answer: Answer) -> None:
    """Send what a visit answered."""
    body = answer.content.encode() if answer.data is None else answer.data
    sent = [(_sent_name(name), value.encode()) for name, value in answer.headers.items()]
    sent.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": answer.status_code, "headers": sent})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body, "more_body": False})


@functools.cache
def _sent_name(name: str) -> bytes:
    """A header's name as it is sent. Names are our own, so there are a few."""
    return name.lower().encode()


def _allowed_methods(method: str, allowed: str) -> Answer:
    if method != "OPTIONS":
        raise MethodNotAllowedException(headers={"allow": allowed})
    return Answer(204, "", {"Allow": allowed})


def not_found_page(services: Services, app: ASGIApp) -> ASGIApp:
    """Wrap an application: outside the API, a browser is shown a page where there is nothing."""

    def served(scope: Any, receive: Receive, send: Send) -> Awaitable[None]:
        is_page = scope["type"] == "http" and scope["method"] in {"GET", "HEAD"} and not is_of_api(scope["path"])
        return app(scope, receive, _replacing(services, scope, send) if is_page and _accepts_pages(scope) else send)

    return served


def _accepts_pages(scope: Any) -> bool:
    return any(name == b"accept" and b"text/html" in value for name, value in scope["headers"])


def _replacing(services: Services, scope: Any, send: Send) -> Send:
    """Send a page in place of the problem that there is nothing at a path. What else is answered stays as it is."""
    is_replaced = False

    async def replaced(message: Any) -> None:
        nonlocal is_replaced
        if message["type"] == "http.response.start" and message["status"] == HTTP_404_NOT_FOUND:
            is_replaced = (b"content-type", b"application/problem+json") in message["headers"]
            if is_replaced:
                headers = headers_of(scope)
                brand = services.link_hosts.brand_at(headers)
                language = headers.get("accept-language", "")
                await send_answer(scope, send, respond(Page.NOT_FOUND, brand=brand, accept_language=language))
        if not is_replaced:
            await send(message)

    return replaced


def headers_of(scope: Any) -> dict[str, str]:
    """Headers by their lower-case names. Of several of one name the first counts."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])}


def address_of(scope: Any) -> str:
    """The address that a request comes from; empty if the server does not say."""
    client: tuple[str, int] | None = scope.get("client")
    return "" if client is None else client[0]
