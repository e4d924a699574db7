"""Calls of the API in this process. What a general client does around each of 100,000 would take most of the time."""

from __future__ import annotations

from typing import Any

import msgspec

from tests.api_fixtures import Api


class Wire:
    """Sends requests to an application as a server would, and reads its answers."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def post(self, client: str, path: str, body: Any, *, key: str | None = None) -> tuple[int, Any]:
        """Send a body with a client's API key; returns the answer's status and body."""
        sent = b"" if body is None else msgspec.json.encode(body)
        answers: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": sent, "more_body": False}

        async def send(message: Any) -> None:
            answers.append(message)

        await self._api.app(self._scope(client, path, len(sent), key), receive, send)
        told = b"".join([message.get("body", b"") for message in answers[1:]])
        return answers[0]["status"], msgspec.json.decode(told)

    def _scope(self, client: str, path: str, length: int, key: str | None) -> Any:
        headers = [
            (b"host", b"rewards.test"),
            (b"authorization", f"Bearer {self._api.keys[client]}".encode()),
            (b"content-length", str(length).encode()),
        ]
        headers += [(b"content-type", b"application/json")] if length else []
        headers += [] if key is None else [(b"idempotency-key", key.encode())]
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": headers,
            "server": ("rewards.test", None),
            "client": ("127.0.0.1", 123),
        }
