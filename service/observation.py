"""The outermost layer: every request gets an id, one log line, its metrics, and the headers that every answer carries.

It stands around the router, so that what no route takes (404, 405) is observed too. The log names the route's template and
never the path, because the path of a reward link is a secret.
"""

from __future__ import annotations

import time
from typing import Any

import structlog
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from service import identifiers, metrics

UNMATCHED = "unmatched"

_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})

_ALWAYS = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cache-control": b"no-store",
    # Pages that need more send their own policy; nothing else is ever rendered.
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
}


def observe(app: ASGIApp) -> ASGIApp:
    """Wrap the application."""

    async def observed(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        request_id = _request_id(scope)
        state: Any = scope.setdefault("state", {})
        state["request_id"] = request_id
        status = 500

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = list(message["headers"])
                present = {name.lower() for name, _ in headers}
                headers += [(name, value) for name, value in _ALWAYS.items() if name not in present]
                headers.append((b"x-request-id", request_id.encode()))
                headers += [(name.lower().encode(), value.encode()) for name, value in state.get("answer_headers", {}).items()]
                message["headers"] = headers
            await send(message)

        metrics.in_flight.inc()
        started_at = time.perf_counter()
        try:
            await app(scope, receive, send_marked)
        finally:
            took_s = time.perf_counter() - started_at
            metrics.in_flight.dec()
            _record(scope, status, took_s, request_id)

    return observed


def _request_id(scope: Scope) -> str:
    proposed = next((value for name, value in scope["headers"] if name == b"x-request-id"), None)
    return identifiers.request_id(None if proposed is None else proposed.decode("latin-1"))


def _record(scope: Any, status: int, took_s: float, request_id: str) -> None:
    route = scope.get("path_template") or UNMATCHED
    # Anybody can invent a method; each would be a new time series.
    method = scope["method"] if scope["method"] in _METHODS else "OTHER"
    metrics.requests.labels(route, method, str(status)).inc()
    metrics.duration.labels(route, method).observe(took_s)
    line: dict[str, Any] = {
        "request_id": request_id,
        "method": method,
        "route": route,
        "status": status,
        "duration_ms": round(took_s * 1000, 2),
    }
    state = scope["state"]
    if code := state.get("problem_code"):
        line["code"] = code
    if principal := state.get("principal"):
        line["brand"] = principal.brand.code
        line["api_key_id"] = principal.api_key_id
    structlog.get_logger().info("request", **line)
