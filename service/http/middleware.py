"""The outermost layer: every request gets an id, one log line, its metrics, and the headers that every answer carries.

What comes while more is in flight than can be done soon is refused here, before anything is done for it. A server that can
refuse it before it asks the application does so in the same words (``refuse``, ``refusal``), and ends what takes too long
(``end``).

It stands around the router, so that what no route takes (404, 405) is observed too. The log names the route's template and
never the path, because the path of a reward link is a secret.
"""

from __future__ import annotations

import asyncio
import collections
import functools
import time
from collections.abc import Awaitable, Iterable
from typing import Any

import structlog
from litestar.types import ASGIApp, Message, Receive, Send
from prometheus_client import Counter, Histogram

from service.admission.in_flight import HEALTH, NO_RESERVATION, UNBOUNDED, InFlight, Reservation
from service.http import identifiers
from service.http.problems import REFUSALS, Headers, Problem, send_problem, wire
from service.observability import log, metrics

UNMATCHED = "unmatched"

_refused: collections.Counter[tuple[str, Problem]] = collections.Counter()

_REFUSALS = frozenset({"overloaded", "share_exceeded", "too_large", "request_timeout"})
"""What a process refuses for what it would cost, however right it may be."""

_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})

_ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    # Pages that need more send their own policy; nothing else is ever rendered.
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
_ALWAYS_NAMES = frozenset(dict(_ALWAYS))


def observe(app: ASGIApp, in_flight: InFlight) -> ASGIApp:
    """Wrap the application. A request that its server does not hold in ``in_flight`` is held here."""
    metrics.in_flight.set_function(lambda: in_flight.requests)
    metrics.connections.set_function(lambda: in_flight.connections)
    metrics.body_bytes.set_function(lambda: in_flight.body_bytes)

    async def observed(scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        request_id = identifiers.request_id(_proposed_id(scope["headers"]))
        state: Any = scope.setdefault("state", {})
        state["request_id"] = request_id
        status = 500

        # It awaits nothing: what it returns is the server's own call.
        def send_marked(message: Message) -> Awaitable[None]:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                given = dict(message["headers"])
                missing = _ALWAYS if _ALWAYS_NAMES.isdisjoint(given) else [each for each in _ALWAYS if each[0] not in given]
                headers = [*message["headers"], *missing, (b"x-request-id", request_id.encode())]
                if answer_headers := state.get("answer_headers"):
                    headers += [(name.lower().encode(), value.encode()) for name, value in answer_headers.items()]
                message["headers"] = headers
            return send(message)

        held: Reservation | None = scope.get("held")
        if held is None:
            held = NO_RESERVATION if scope["path"].startswith(HEALTH) else Reservation(in_flight, UNBOUNDED, waits=True)
            held.begin()
        started_at = time.perf_counter()
        try:
            if held.refused is not None:
                await send_problem(scope, send_marked, REFUSALS[held.refused])
            else:
                await app(scope, receive, send_marked)
        finally:
            took_s = time.perf_counter() - started_at
            held.release()
            if (refused := state.get("refused")) is not None:
                status = refused.status
                state["problem_code"] = refused.code
            _record(
                scope.get("path_template") or UNMATCHED,
                scope["method"],
                status,
                took_s,
                request_id,
                state.get("problem_code"),
                state.get("principal"),
            )

    return observed


def release(app: ASGIApp) -> ASGIApp:
    """Wrap an application that is not observed: what its server holds for a request is let go with the answer."""

    async def released(scope: Any, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        finally:
            scope.get("held", NO_RESERVATION).release()

    return released


def refuse(method: str, headers: Iterable[tuple[bytes, bytes]], problem: Problem) -> str:
    """Record that a server refuses a request before the application sees it; return its id.

    There may be many, and they are to cost little: what is refused in one turn of the event loop is one line of the log.
    """
    if not _refused:
        asyncio.get_running_loop().call_soon(_record_refused)
    _refused[method, problem] += 1
    return identifiers.request_id(_proposed_id(headers))


def end(scope: Any, problem: Problem) -> str:
    """Record that a server has ended a request that the application is at; return its id."""
    state: dict[str, Any] = scope["state"]
    state["refused"] = problem
    if "request_id" not in state:
        # The application has not begun; it shall call the request the same.
        request_id = identifiers.request_id(_proposed_id(scope["headers"]))
        scope["headers"].insert(0, (b"x-request-id", request_id.encode()))
        return request_id
    return str(state["request_id"])


def refusal(problem: Problem, request_id: str) -> tuple[int, Headers, bytes]:
    """The answer to such a request: status, headers, body."""
    headers, body = wire(problem, problem.document(request_id))
    return problem.status, [*headers, *_ALWAYS, (b"x-request-id", request_id.encode())], body


def _record_refused() -> None:
    for (method, problem), count in _refused.items():
        known = _known(method)
        metrics.requests.labels(UNMATCHED, known, str(problem.status)).inc(count)
        metrics.refused.labels(problem.code).inc(count)
        structlog.get_logger().info("requests_refused", method=known, status=problem.status, code=problem.code, count=count)
    _refused.clear()


def _proposed_id(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    for name, value in headers:
        if name == b"x-request-id":
            return value.decode("latin-1")
    return None


def _record(
    route: str, method: str, status: int, took_s: float, request_id: str, code: str | None, principal: Any = None
) -> None:
    method = _known(method)
    if code in _REFUSALS:
        metrics.refused.labels(code).inc()
    requests, duration = _series(route, method, status)
    requests.inc()
    duration.observe(took_s)
    log.request(
        request_id=request_id,
        method=method,
        route=route,
        status=status,
        duration_ms=round(took_s * 1000, 2),
        code=code,
        brand=None if principal is None else principal.brand.code,
        api_key_id=None if principal is None else principal.api_key_id,
    )


def _known(method: str) -> str:
    # Anybody can invent a method; each would be a new time series.
    return method if method in _METHODS else "OTHER"


# There are as many as there are series in the metrics.
@functools.cache
def _series(route: str, method: str, status: int) -> tuple[Counter, Histogram]:
    return metrics.requests.labels(route, method, str(status)), metrics.duration.labels(route, method)
