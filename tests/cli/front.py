"""The server's protocol in front of the application, in this process: what a test says to it byte for byte, and by which clock.

front       a server on a port of its own, with bounds that the test chooses; ``look(after_s)`` is what a clock does otherwise
Connection  one connection, from any address of this machine
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from litestar import Litestar
from uvicorn.server import ServerState

from service.admission.in_flight import InFlight
from service.admission.limits import Bounds
from service.app import create_app
from service.cli.serve.api_process import configuration
from service.observability import metrics
from service.server.admission_control import AdmissionControl
from service.server.load_shedding import SheddingProtocol
from tests.api_fixtures import Api

WITHIN_S = 60
HERE = "127.0.0.1"
ELSEWHERE = "127.0.0.2"


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def said(self) -> Any:
        """All of it but when, and under which id; the id's length is part of it."""
        told = {"date": "", "x-request-id": ""}
        document: dict[str, Any] = json.loads(self.body) if self.body else {}
        return self.status, [(name, told.get(name, value)) for name, value in self.headers], document | {"request_id": ""}

    @property
    def code(self) -> str:
        return json.loads(self.body)["code"]

    def header(self, wanted: str) -> str | None:
        return next((value for name, value in self.headers if name == wanted), None)


@dataclass
class Connection:
    """One connection, on which bytes are said as they are meant."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def say(self, said: bytes) -> None:
        self.writer.write(said)
        await self.writer.drain()

    async def hear(self, *, with_body: bool = True) -> Answer:
        async with asyncio.timeout(WITHIN_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            headers = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
            length = int(dict(headers).get("content-length", "0")) if with_body else 0
            return Answer(int(first.split()[1]), headers, await self.reader.readexactly(length))

    async def ask(self, said: bytes) -> Answer:
        await self.say(said)
        return await self.hear()

    async def ends(self) -> bool:
        """Whether nothing more comes and the connection is closed."""
        async with asyncio.timeout(WITHIN_S):
            try:
                return await self.reader.read(1) == b""
            except ConnectionResetError:
                return True

    def close(self) -> None:
        self.writer.close()


@dataclass
class Front:
    """A server with our protocol in front of an application."""

    app: Litestar
    gate: AdmissionControl
    port: int
    keys: dict[str, str]
    now: float = 0.0
    _opened: list[Connection] = field(default_factory=list[Connection])

    @property
    def in_flight(self) -> InFlight:
        return self.gate.in_flight

    async def connect(self, address: str = HERE) -> Connection:
        reader, writer = await asyncio.open_connection(HERE, self.port, local_addr=(address, 0))
        connection = Connection(reader, writer)
        self._opened.append(connection)
        return connection

    async def ask(self, said: bytes, address: str = HERE) -> Answer:
        connection = await self.connect(address)
        answer = await connection.ask(said)
        connection.close()
        return answer

    def request(self, line: str, body: bytes | None = None, *headers: str, key: str | None = "messaging") -> bytes:
        lines = [line if "HTTP/" in line else f"{line} HTTP/1.1", "Host: rewards.test", *headers]
        if key is not None:
            lines.append(f"Authorization: Bearer {self.keys.get(key, key)}")
        if body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        return "\r\n".join([*lines, "", ""]).encode() + (body or b"")

    def grant(self, message: str, key: str = "messaging") -> bytes:
        return self.request("POST /v1/grants", click(message), key=key)

    async def settled(self, **wanted: int) -> None:
        """Return when so much is in flight: ``requests``, ``body_bytes`` or ``connections``."""
        await self.until(lambda: {name: getattr(self.in_flight, name) for name in wanted} == wanted)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return when the server has come so far."""
        async with asyncio.timeout(WITHIN_S):
            while not condition():  # noqa: ASYNC110 - the condition is the server's
                await asyncio.sleep(0.001)

    def look(self, seconds: int) -> None:
        """Look at all connections each second, as it is done while so much time passes."""
        for _ in range(seconds):
            self.now += 1.0
            self.gate.check(self.now)

    def close(self) -> None:
        for connection in self._opened:
            connection.close()


@contextlib.asynccontextmanager
async def front(api: Api, *, trusted_proxies: str = "", **bounds: Any) -> AsyncGenerator[Front]:
    """Serve an application with these bounds on a port."""
    app = create_app(
        msgspec.structs.replace(api.settings, data_dir=api.settings.data_dir + "/front", trusted_proxies=trusted_proxies),
        api.secrets,
        bounds=Bounds(**bounds),
    )
    gate = AdmissionControl(app.state.in_flight, trusted_proxies)
    config = configuration(app, functools.partial(SheddingProtocol, gate=gate), app.state.settings)
    config.load()
    state = ServerState()

    def protocol() -> SheddingProtocol:
        return SheddingProtocol(gate=gate, config=config, server_state=state, app_state={})

    async with app.lifespan():
        server = await asyncio.get_running_loop().create_server(protocol, HERE, 0)
        served = Front(app, gate, server.sockets[0].getsockname()[1], dict(api.keys))
        try:
            yield served
        finally:
            served.close()
            server.close()
            for connection in list(gate.connections):
                connection.transport.abort()
            await served.settled(connections=0)
            while state.tasks:
                await asyncio.wait(state.tasks)
            # Whatever was done, nothing is held afterwards.
            assert (served.in_flight.requests, served.in_flight.body_bytes) == (0, 0)


def click(message: str) -> bytes:
    return json.dumps(
        {"campaign": "autumn", "message_id": message, "customer": {"id": "c-1"}, "action": "click", "channel": "email"}
    ).encode()


def chunked(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


def refused(reason: str) -> float:
    """How often something was refused for this reason, as the operator reads it."""
    return metrics.REGISTRY.get_sample_value("rewards_http_requests_refused_total", {"reason": reason}) or 0.0
