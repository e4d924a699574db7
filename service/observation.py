"""The outermost layer: every request gets an id, one log line, its metrics, and the headers that every answer carries.

What comes while more is in hand than can be done soon is refused here, before anything is done for it. A server that can refuse
it before it asks the application does so in the same words (``refuse``, ``refusal``).

It stands around the router, so that what no route takes (404, 405) is observed too. The log names the route's template and
never the path, because the path of a reward link is a secret.
"""

from __future__ import annotations

import asyncio
import collections
import functools
import time
from collections.abc import Iterable
from typing import Any

import structlog
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from prometheus_client import Counter, Histogram

from ledger import Overloaded
from service import identifiers, log, metrics
from service.problems import RETRY_AFTER_S, Headers, problem_of, send_problem, wire

UNMATCHED = "unmatched"

REQUESTS_MAX = 1_000
BODY_BYTES_MAX = 64 * 1024 * 1024
"""So many requests, and bytes of their bodies, are in hand at once; who comes then is refused, and nothing is done for her."""
_BODY_BYTES_UNSAID = 1024 * 1024
ALWAYS_ANSWERED = "/health/"

_OVERLOADED = problem_of(Overloaded(RETRY_AFTER_S))

_refused: collections.Counter[str] = collections.Counter()

_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})

_ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    # Pages that need more send their own policy; nothing else is ever rendered.
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
_ALWAYS_NAMES = frozenset(dict(_ALWAYS))


class InHand:
    """What the process works on, whatever it is."""

    __slots__ = ("body_bytes", "requests")

    def __init__(self) -> None:
        self.requests = 0
        self.body_bytes = 0

    @property
    def is_too_much(self) -> bool:
        """Whether the request that came last is to be refused."""
        return self.requests > REQUESTS_MAX or self.body_bytes > BODY_BYTES_MAX

    def has_room_beside(self, requests: int) -> bool:
        """Whether one more can be taken, where so many have come."""
        return requests < REQUESTS_MAX and self.body_bytes < BODY_BYTES_MAX


def observe(app: ASGIApp, in_hand: InHand) -> ASGIApp:
    """Wrap the application. What it works on is counted in ``in_hand``."""
    metrics.in_flight.set_function(lambda: in_hand.requests)

    async def observed(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        request_id, body_bytes = _read_headers(scope["headers"])
        state: Any = scope.setdefault("state", {})
        state["request_id"] = request_id
        status = 500

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                given = dict(message["headers"])
                missing = _ALWAYS if _ALWAYS_NAMES.isdisjoint(given) else [each for each in _ALWAYS if each[0] not in given]
                headers = [*message["headers"], *missing, (b"x-request-id", request_id.encode())]
                if answer_headers := state.get("answer_headers"):
                    headers += [(name.lower().encode(), value.encode()) for name, value in answer_headers.items()]
                message["headers"] = headers
            await send(message)

        in_hand.requests += 1
        in_hand.body_bytes += body_bytes
        started_at = time.perf_counter()
        try:
            if in_hand.is_too_much and not scope["path"].startswith(ALWAYS_ANSWERED):
                await send_problem(scope, send_marked, _OVERLOADED)
            else:
                await app(scope, receive, send_marked)
        finally:
            took_s = time.perf_counter() - started_at
            in_hand.requests -= 1
            in_hand.body_bytes -= body_bytes
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


def refuse(method: str, headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Record that a server refuses a request because too much is in hand, before the application sees it; return its id.

    There may be many, and they are to cost little: what is refused in one turn of the event loop is one line of the log.
    """
    if not _refused:
        asyncio.get_running_loop().call_soon(_record_refused)
    _refused[method] += 1
    proposed = next((value.decode("latin-1") for name, value in headers if name == b"x-request-id"), None)
    return identifiers.request_id(proposed)


def refusal(request_id: str) -> tuple[int, Headers, bytes]:
    """The answer to such a request: status, headers, body."""
    headers, body = wire(_OVERLOADED, _OVERLOADED.document(request_id))
    return _OVERLOADED.status, [*headers, *_ALWAYS, (b"x-request-id", request_id.encode())], body


def _record_refused() -> None:
    for method, count in _refused.items():
        known = _known(method)
        metrics.requests.labels(UNMATCHED, known, str(_OVERLOADED.status)).inc(count)
        structlog.get_logger().info(
            "requests_refused", method=known, status=_OVERLOADED.status, code=_OVERLOADED.code, count=count
        )
    _refused.clear()


def _read_headers(headers: Iterable[tuple[bytes, bytes]]) -> tuple[str, int]:
    """The request's id, and how long its body says it is."""
    proposed: str | None = None
    body_bytes = 0
    for name, value in headers:
        if name == b"x-request-id" and proposed is None:
            proposed = value.decode("latin-1")
        elif name == b"content-length":
            body_bytes = int(value) if value.isdigit() else 0
        elif name == b"transfer-encoding":
            body_bytes = _BODY_BYTES_UNSAID
    return identifiers.request_id(proposed), body_bytes


def _record(
    route: str, method: str, status: int, took_s: float, request_id: str, code: str | None, principal: Any = None
) -> None:
    method = _known(method)
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
