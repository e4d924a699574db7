"""The dispatch table: which handler a request goes to before the framework, and what is left to the framework."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import pytest

from service.http.dispatch import Handler, Route, dispatch

SERVICES: Any = "services"
NOTHING: Any = None


def takes(name: str, *, unless: str | None = None) -> Handler:
    """A handler that answers with its name and the path's value, and leaves one value to others."""

    def handle(services: Any, scope: Any, receive: Any, send: Any, value: str) -> Awaitable[None] | None:
        assert services is SERVICES
        return None if value == unless else send(f"{name} {value}".strip())

    return handle


ROUTES = [
    Route("POST", "/v1/grants", takes("report")),
    Route("GET", "/v1/customers/{customer_id}/balance", takes("balance", unless="odd")),
    Route("POST", "/v1/customers/{customer_id}/balance", takes("write")),
    Route(None, "/r/done/{receipt}", takes("receipt")),
    Route(None, "/r/{code}", takes("code", unless="token")),
    Route(None, "/r/{token}", takes("link")),
    Route(None, "/live/{token}.png", takes("picture")),
    Route(None, "/{code}", takes("code alone", unless="docs")),
]


async def answer_of(method: str, path: str, scope_type: str = "http") -> tuple[str, str | None]:
    """What answers, and what the route is called in logs."""
    answers: list[str] = []

    async def send(answer: Any) -> None:
        answers.append(answer)

    async def framework(scope: Any, receive: Any, send: Any) -> None:
        answers.append("framework")

    scope: Any = {"type": scope_type, "method": method, "path": path}
    await dispatch(ROUTES, SERVICES, framework)(scope, NOTHING, send)
    (answer,) = answers
    return answer, scope.get("path_template")


@pytest.mark.parametrize(
    ("method", "path", "answer", "template"),
    [
        ("POST", "/v1/grants", "report", "/v1/grants"),
        ("POST", "/v1/grants/", "report", "/v1/grants"),
        ("GET", "/v1/customers/c-1/balance", "balance c-1", "/v1/customers/{customer_id}/balance"),
        ("POST", "/v1/customers/odd/balance", "write odd", "/v1/customers/{customer_id}/balance"),
        ("GET", "/r/done/abc", "receipt abc", "/r/done/{receipt}"),
        ("GET", "/r/abc", "code abc", "/r/{code}"),
        ("PUT", "/r/token", "link token", "/r/{token}"),
        ("GET", "/r/done", "code done", "/r/{code}"),
        ("GET", "//r//abc/", "code abc", "/r/{code}"),
        ("GET", "/r/abc/).,/-", "code abc", "/r/{code}"),
        ("GET", "/live/abc.png", "picture abc", "/live/{token}.png"),
        ("GET", "/live/.png", "picture", "/live/{token}.png"),
        ("GET", "/abc", "code alone abc", "/{code}"),
    ],
)
async def test_the_first_route_that_takes_a_request_answers_it(method: str, path: str, answer: str, template: str) -> None:
    assert await answer_of(method, path) == (answer, template)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/grants"),
        ("POST", "/v1/grants/more"),
        ("POST", "/v1/grants/."),
        ("POST", "/V1/grants"),
        ("GET", "/v1/customers/odd/balance"),
        ("PUT", "/v1/customers/c-1/balance"),
        ("GET", "/v1/customers/balance"),
        ("GET", "/live/abc.gif"),
        ("GET", "/docs"),
        ("GET", "/"),
    ],
)
async def test_what_no_route_takes_is_left_to_the_framework(method: str, path: str) -> None:
    assert await answer_of(method, path) == ("framework", None)


async def test_what_is_no_request_is_left_to_the_framework() -> None:
    assert await answer_of("POST", "/v1/grants", "websocket") == ("framework", None)
