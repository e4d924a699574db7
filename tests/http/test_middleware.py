"""So much is in hand at once, over the whole process; who comes then is told so at once."""

from __future__ import annotations

import asyncio
import io
import json
from typing import Any

from service.admission.in_flight import InFlight, Refusal
from service.admission.limits import Bounds
from service.http import middleware
from service.http.middleware import observe
from service.http.problems import REFUSALS
from service.observability import log, metrics


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


async def test_more_requests_than_the_bound_are_refused_before_anything_is_done() -> None:
    slow = Slow()
    app: Any = observe(slow, InFlight(Bounds(requests_max=2)))
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


async def test_what_a_server_refuses_in_a_turn_is_counted_and_is_one_line_of_the_log() -> None:
    lines = io.BytesIO()
    log.configure("info", lines)
    try:
        before = _refused("POST")
        ids = [
            middleware.refuse("POST", [(b"x-request-id", b"theirs"), (b"host", b"rewards.test")], REFUSALS[Refusal.OVERLOADED])
        ]
        ids += [middleware.refuse(method, [], REFUSALS[Refusal.OVERLOADED]) for method in ("POST", "BREW")]
        await asyncio.sleep(0)
        middleware.refuse("POST", [], REFUSALS[Refusal.OVERLOADED])
        await asyncio.sleep(0)
    finally:
        log.configure()
    assert ids[0] == "theirs"
    assert all(each.startswith("req_") for each in ids[1:])
    told = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert [(each["event"], each["method"], each["count"], each["code"], each["status"]) for each in told] == [
        ("requests_refused", "POST", 2, "overloaded", 503),
        ("requests_refused", "OTHER", 1, "overloaded", 503),
        ("requests_refused", "POST", 1, "overloaded", 503),
    ]
    assert _refused("POST") == before + 3


def _refused(method: str) -> float:
    labels = {"route": "unmatched", "method": method, "status": "503"}
    return metrics.REGISTRY.get_sample_value("rewards_http_requests_total", labels) or 0.0
