"""Requests straight to the application: a client costs more than most of what is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.api_fixtures import Api


async def status_of(
    api: Api, method: str, path: str, headers: Mapping[str, str], *, body: bytes = b"", address: str = "203.0.113.7"
) -> int:
    """Make one request and return the status of its answer."""
    named = {"host": "rewards.test", **headers}
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in named.items() if value],
        "client": (address, 4711),
        "server": ("rewards.test", 80),
        "scheme": "http",
    }
    status = 0

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(answer: Any) -> None:
        nonlocal status
        status = answer.get("status", status)

    app: Any = api.served or api.app
    await app(scope, receive, send)
    return status
