"""An answer is one write, as far as its body is there, and is on the wire what the server would have made of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from service.server.cycle import CycleProtocol

START, BODY = "http.response.start", "http.response.body"


def start(status: int, *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"type": START, "status": status, "headers": headers}


def body(data: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": BODY, "body": data, "more_body": more}


OK = start(200, (b"content-length", b"4"), (b"x-tab", b"a\tb"))
PIECES = (body(b"do", more=True), body(b"", more=True), body(b"ne"))
HOST = b" HTTP/1.1\r\nHost: rewards.test\r\n"
REQUESTS = {
    "a question": b"GET /a%2Fb%20c?d=e" + HOST + b"\r\n",
    "a report": b"POST /" + HOST + b"Content-Length: 2\r\n\r\n{}",
    "the head alone": b"HEAD /" + HOST + b"\r\n",
    "the last one": b"GET /" + HOST + b"Connection: close\r\n\r\n",
    "an old protocol": b"GET / HTTP/1.0\r\n\r\n",
    "a body to be asked for": b"POST /" + HOST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
    "two at once": (b"GET /1" + HOST + b"\r\n") + (b"GET /2?3" + HOST + b"\r\n"),
    "an upgrade": b"GET /" + HOST + b"Upgrade: tea\r\nConnection: upgrade\r\n\r\n",
}
ANSWERS = {
    "at once": (OK, body(b"done")),
    "in pieces": (OK, *PIECES),
    "of no known length": (start(200), body(b"done")),
    "of no known length, in pieces": (start(200), *PIECES),
    "without a body": (start(204), body(b"")),
    "not modified": (start(304, (b"etag", b"1")), body(b"")),
    "nothing": (),
    "the last": (start(500, (b"content-length", b"0"), (b"connection", b"close")), body(b"")),
    "a status of nobody's": (start(299, (b"content-length", b"0")), body(b"")),
}


class Transport(asyncio.Transport):
    """Remembers what was written, call by call."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 4), "sockname": ("192.0.2.2", 5)})
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


async def exchange(protocol: type[HttpToolsProtocol], said: bytes, messages: Sequence[Any]) -> tuple[Transport, list[Any]]:
    """What goes out when an application answers each request with ``messages``, and the requests that it sees."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append({**scope, "body": (await receive())["body"]})
        for message in messages:
            await send(dict(message))

    config = uvicorn.Config(app, loop="none", ws="none", lifespan="off", log_config=None, access_log=False)
    config.load()
    state = ServerState()
    state.default_headers = [(b"date", b"today")]
    talking = protocol(config=config, server_state=state, app_state={}, _loop=asyncio.get_running_loop())
    transport = Transport()
    talking.connection_made(transport)
    talking.data_received(said)
    while state.tasks:
        await asyncio.gather(*state.tasks)
    talking.connection_lost(None)
    return transport, seen


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("request_", REQUESTS)
async def test_requests_and_answers_are_those_of_the_server(request_: str, answer: str) -> None:
    theirs, seen_by_them = await exchange(HttpToolsProtocol, REQUESTS[request_], ANSWERS[answer])
    ours, seen_by_us = await exchange(CycleProtocol, REQUESTS[request_], ANSWERS[answer])
    assert b"".join(ours.written) == b"".join(theirs.written)
    assert (seen_by_us, ours.closed) == (seen_by_them, theirs.closed)


async def test_a_head_goes_with_its_body() -> None:
    transport, _ = await exchange(CycleProtocol, REQUESTS["a question"], ANSWERS["at once"])
    head = b"HTTP/1.1 200 OK\r\ndate: today\r\ncontent-length: 4\r\nx-tab: a\tb\r\n\r\n"
    assert transport.written == [head + b"done"]


async def test_each_further_piece_goes_by_itself() -> None:
    transport, _ = await exchange(CycleProtocol, REQUESTS["a question"], (OK, body(b"do", more=True), body(b"ne")))
    assert [written[-2:] for written in transport.written] == [b"do", b"ne"]


WRONG = {
    "an end of line in a header": (start(200, (b"content-length", b"0"), (b"location", b"/\r\nset-cookie: a=b")), body(b"")),
    "a NUL in a header": (start(200, (b"content-length", b"0"), (b"location", b"\0")), body(b"")),
    "too long a body": (OK, body(b"done too")),
    "too short a body": (OK, body(b"do")),
    "a body without a head": (body(b"done"),),
    "a head without a body": (OK,),
    "two heads": (OK, OK),
    "two bodies": (OK, body(b"done"), body(b"done")),
}


@pytest.mark.parametrize("answer", WRONG)
async def test_an_answer_that_is_none_ends_the_connection(answer: str) -> None:
    theirs, _ = await exchange(HttpToolsProtocol, REQUESTS["a question"], WRONG[answer])
    ours, _ = await exchange(CycleProtocol, REQUESTS["a question"], WRONG[answer])
    assert ours.closed
    assert theirs.closed
    # What the server has begun to say by then we have not.
    assert b"".join(theirs.written).startswith(b"".join(ours.written))
    assert b"set-cookie" not in b"".join(ours.written)
