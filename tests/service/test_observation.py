"""So much is in hand at once, over the whole process; who comes then is told so at once."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from service import observation
from service.observation import observe


class Slow:
    """An application that answers when it is told to."""

    def __init__(self) -> None:
        self.reached = 0
        self.answer = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.reached += 1
        await self.answer.wait()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})


async def ask(app: Any, path: str = "/v1/grants", *headers: tuple[bytes, bytes]) -> tuple[int, dict[bytes, bytes], bytes]:
    messages: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        messages.append(message)

    await app({"type": "http", "method": "POST", "path": path, "headers": list(headers)}, receive, send)
    return messages[0]["status"], dict(messages[0]["headers"]), messages[1]["body"]


async def test_more_requests_than_the_bound_are_refused_before_anything_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observation, "REQUESTS_MAX", 2)
    slow = Slow()
    app: Any = observe(slow)
    taken = [asyncio.create_task(ask(app)) for _ in range(2)]
    await asyncio.sleep(0)
    status, headers, body = await ask(app)
    assert (status, headers[b"retry-after"], slow.reached) == (503, b"1", 2)
    assert headers[b"content-type"] == b"application/problem+json"
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert json.loads(body) | {"request_id": ""} == json.loads(body) | {
        "request_id": "",
        "code": "overloaded",
        "retryable": True,
    }
    asking = asyncio.create_task(ask(app, "/health/ready"))
    await asyncio.sleep(0)
    assert slow.reached == 3
    slow.answer.set()
    assert [answer[0] for answer in await asyncio.gather(*taken, asking)] == [204, 204, 204]
    assert (await ask(app))[0] == 204


@pytest.mark.parametrize("said", [(b"content-length", b"60"), (b"transfer-encoding", b"chunked")])
async def test_more_bytes_than_the_bound_are_refused(monkeypatch: pytest.MonkeyPatch, said: tuple[bytes, bytes]) -> None:
    monkeypatch.setattr(observation, "BODY_BYTES_MAX", 100)
    slow = Slow()
    app: Any = observe(slow)
    taken = asyncio.create_task(ask(app, "/v1/grants/batch", (b"content-length", b"50")))
    await asyncio.sleep(0)
    assert (await ask(app, "/v1/grants/batch", said))[0] == 503
    slow.answer.set()
    assert (await taken)[0] == 204
