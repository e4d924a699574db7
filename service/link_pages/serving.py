"""Serving pages: what is sent for what a visit of a page answers.

    serve         answer a request by the visit of its method
    in_its_place  a page in place of the problem that there is nothing at a path
    send_answer   send what a visit answered

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
from litestar.types import Send

from service.http.problems import Problem, send_problem
from service.link_pages.lookup import Visitor
from service.link_pages.pages import Answer, Page, page_of_error, respond

if TYPE_CHECKING:
    from service.services import Services

Visit: TypeAlias = Callable[["Services", str, Visitor], Awaitable[Answer]]
Visits: TypeAlias = Mapping[str, Visit]
"""What a page does, by method."""


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


def accepts_pages(scope: Any) -> bool:
    """Whether it is a browser that asks."""
    return any(name == b"accept" and b"text/html" in value for name, value in scope["headers"])


def in_its_place(services: Services, scope: Any, send: Send) -> Send:
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
