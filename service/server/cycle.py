"""The server's protocol, but that an answer leaves the process in one write.

The server writes head and body one after the other: two calls of the operating system, two packets, and the client wakes twice.
And it searches every name and value of a head by itself for what must not be there, which costs as much as reading the request.
Here the head waits for the first piece of the body, as ASGI has it, and is searched once.

What the application sends is taken to be its own: names of headers in lower case, no ``transfer-encoding``, and ``connection``
only to close it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

_CONTROLS = bytes([*range(0x09), *range(0x0A, 0x20), 0x7F])
_WITHOUT_BODY = frozenset({204, 304})


class Cycle(RequestResponseCycle):
    """A request and its answer."""

    def __init__(self, protocol: HttpToolsProtocol, *, keep_alive: bool) -> None:
        # The server's own is given each of these by its name, and a log of requests, which is off.
        self.scope = protocol.scope
        self.transport = protocol.transport
        self.flow = protocol.flow
        self.logger = protocol.logger
        self.default_headers = protocol.server_state.default_headers
        self.message_event = asyncio.Event()
        self.on_response = protocol.on_response_complete
        self.disconnected = False
        self.keep_alive = keep_alive
        self.waiting_for_100_continue = protocol.expect_100_continue
        self.body = bytearray()
        self.more_body = True
        self.response_started = False
        self.response_complete = False
        self.chunked_encoding = None
        self.expected_content_length = 0
        self._head = b""

    async def send(self, message: Any) -> None:
        """Take the next part of the answer from the application."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        expected = "http.response.body" if self.response_started else "http.response.start"
        if message["type"] != expected or self.response_complete:
            raise RuntimeError(f"the application sends {message['type']} where it cannot")
        if self.response_started:
            self._write(message.get("body", b""), more=message.get("more_body", False))
        else:
            self._begin(message["status"], [*self.default_headers, *message["headers"]])

    def _begin(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
        self.response_started = True
        self.waiting_for_100_continue = False
        lines = [STATUS_LINE[status]]
        for name, value in headers:
            if name == b"content-length":
                self.chunked_encoding = False
                self.expected_content_length = int(value)
            elif name == b"connection":
                # Only that it is closed, which is said below.
                self.keep_alive = False
                continue
            lines.append(b"%b: %b\r\n" % (name, value))
        if not self.keep_alive:
            lines.append(b"connection: close\r\n")
        if self.chunked_encoding is None and self.scope["method"] != "HEAD" and status not in _WITHOUT_BODY:
            self.chunked_encoding = True
            lines.append(b"transfer-encoding: chunked\r\n")
        lines.append(b"\r\n")
        self._head = head = b"".join(lines)
        # A value with the end of a line in it would be read as a header more.
        if len(head.translate(None, _CONTROLS)) != len(head) - 2 * len(lines):
            raise RuntimeError("a header has control characters in it")

    def _write(self, body: bytes, *, more: bool) -> None:
        if self.scope["method"] == "HEAD":
            body, self.expected_content_length = b"", 0
        elif self.chunked_encoding:
            body = _chunk(body) if more else _chunk(body) + b"0\r\n\r\n"
        else:
            self.expected_content_length -= len(body)
            if self.expected_content_length < 0 or (self.expected_content_length and not more):
                raise RuntimeError("the body is not as long as its head says")
        self.transport.write(self._head + body)
        self._head = b""
        if not more:
            self._end()

    def _end(self) -> None:
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()


def _chunk(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body) if body else b""


class CycleProtocol(HttpToolsProtocol):
    """HTTP/1.1 with answers of one write."""

    def on_headers_complete(self) -> None:
        """Hand a request to the application, or keep it until those before it are answered."""
        parser: Any = self.parser
        scope: Any = self.scope
        url = httptools.parse_url(self.url)
        path = url.path.decode("ascii")
        version = parser.get_http_version()
        scope["method"] = parser.get_method().decode("ascii")
        scope["http_version"] = version
        scope["path"] = unquote(path) if "%" in path else path
        scope["raw_path"] = url.path
        scope["query_string"] = url.query or b""
        app = cast("Any", self).app
        before: Any = self.cycle
        self.cycle = Cycle(self, keep_alive=version != "1.0" and parser.should_keep_alive())
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, app))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        # With a name of its own for each, which nobody reads, a task costs a fifth more.
        task = asyncio.Task(cycle.run_asgi(app), loop=self.loop, name="request")
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
