"""A process with its hands full: what it refuses before the application sees it, in which words, and what it goes on doing.

It is full of batches whose bodies have not come yet; a body of unknown length counts as a megabyte. So it is neither fast nor
slow that decides what is refused here.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import socket
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import uvloop

from service.cli import early_refusals
from service.cli.early_refusals import REFUSED_IN_A_TURN, Gate
from service.cli.listening import ACCEPTED_IN_A_TURN, in_copies
from service.observation import BODY_BYTES_MAX, InHand
from service.settings import create_secrets
from tests.api_fixtures import make_brand, make_keys
from tests.cli import running
from tests.conftest import Database

WITHIN_S = 60
FULL = BODY_BYTES_MAX // (1024 * 1024)
"""So many batches of unknown length fill the process."""
CAMPAIGN = {
    "id": "autumn",
    "name": "Autumn",
    "starts_at": "2020-01-01T00:00:00Z",
    "ends_at": "2099-01-01T00:00:00Z",
    "rules": [{"action": "click", "points": 5}],
}


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
            length = int(dict(headers)["content-length"]) if with_body else 0
            return Answer(int(first.split()[1]), headers, await self.reader.readexactly(length))

    async def ask(self, said: bytes) -> Answer:
        await self.say(said)
        return await self.hear()

    async def ends(self) -> bool:
        async with asyncio.timeout(WITHIN_S):
            return await self.reader.read(1) == b""


@dataclass
class Process:
    """`rewards serve`, with a brand and a campaign in its database."""

    environ: dict[str, str]
    keys: dict[str, str]
    _opened: list[Connection] = field(default_factory=list[Connection])

    async def connect(self) -> Connection:
        connection = Connection(*await asyncio.open_connection("127.0.0.1", int(self.environ["REWARDS_PORT"])))
        self._opened.append(connection)
        return connection

    def request(self, line: str, body: bytes | None = None, *headers: str, key: str = "messaging") -> bytes:
        lines = [line, "Host: rewards.test", f"Authorization: Bearer {self.keys[key]}", *headers]
        if body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        return "\r\n".join([*lines, "", ""]).encode() + (body or b"")

    def grant(self, message: str) -> bytes:
        return self.request("POST /v1/grants HTTP/1.1", click(message))

    async def metric(self, name: str) -> float:
        """What the operator reads: one line's number, 0 where there is none."""
        reader, writer = await asyncio.open_connection("127.0.0.1", int(self.environ["REWARDS_OPERATOR_PORT"]))
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: operator\r\nConnection: close\r\n\r\n")
        lines = (await reader.read()).decode().splitlines()
        writer.close()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")), 0.0)

    async def in_hand(self, requests: int) -> None:
        """Return when it has so many requests in hand."""
        async with asyncio.timeout(WITHIN_S):
            while await self.metric("rewards_http_requests_in_flight") != requests:  # noqa: ASYNC110 - it is another process
                await asyncio.sleep(0.01)

    @contextlib.asynccontextmanager
    async def full(self) -> AsyncGenerator[list[Connection]]:
        """While this lasts, it can take nothing more: so many have begun to send a batch."""
        holders = [await self.connect() for _ in range(FULL)]
        head = self.request(
            "POST /v1/grants/batch HTTP/1.1", None, "Content-Type: application/json", "Transfer-Encoding: chunked"
        )
        for holder in holders:
            await holder.say(head)
        await self.in_hand(FULL)
        yield holders

    def close(self) -> None:
        for connection in self._opened:
            connection.writer.close()


def click(message: str) -> bytes:
    return json.dumps(
        {"campaign": "autumn", "message_id": message, "customer": {"id": "c-1"}, "action": "click", "channel": "email"}
    ).encode()


def chunked(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


@pytest.fixture
def environ(database: Database, tmp_path: Path) -> Generator[dict[str, str]]:
    create_secrets(tmp_path / "secrets.json")
    environ = running.environ(tmp_path, database_url=database.application_url, log_level="warning")
    process = running.start(environ, "serve")
    running.wait_ready(environ["REWARDS_PORT"])
    yield environ
    process.terminate()
    assert process.wait(15) == 0


@pytest.fixture
async def process(environ: dict[str, str], owner: asyncpg.Connection[Any]) -> AsyncGenerator[Process]:
    process = Process(environ, await make_keys(owner, await make_brand(owner)))
    connection = await process.connect()
    created = await connection.ask(process.request("POST /v1/campaigns HTTP/1.1", json.dumps(CAMPAIGN).encode(), key="admin"))
    assert created.status == 201
    yield process
    process.close()


REQUESTS = {
    "a report": ("POST /v1/grants HTTP/1.1", b"{}", ()),
    "a question": ("GET /v1/customers/c-1/balance HTTP/1.1", b"{}", ()),
    "only the head": ("HEAD /v1/meta HTTP/1.1", b"{}", ()),
    "an id of the caller's": ("POST /v1/grants HTTP/1.1", b"{}", ("X-Request-Id: a",)),
    "an id that is not to be repeated": ("POST /v1/grants HTTP/1.1", b"{}", ("X-Request-Id: ~~ ~~",)),
    "a body to be asked for": ("POST /v1/grants HTTP/1.1", b"{}", ("Expect: 100-continue",)),
    "the last of its connection": ("POST /v1/grants HTTP/1.1", b"{}", ("Connection: close",)),
    "an old protocol": ("POST /v1/grants HTTP/1.0", b"{}", ()),
    "an upgrade": ("GET /v1/meta HTTP/1.1", b"{}", ("Upgrade: tea", "Connection: upgrade")),
}


async def test_what_is_refused_early_is_told_what_the_application_would_say(process: Process) -> None:
    async with process.full():
        for name, (line, body, headers) in REQUESTS.items():
            request = process.request(line, body, *headers)
            early, late = await process.connect(), await process.connect()
            await early.say(request)
            # Behind another request it goes the general way: the application itself refuses it.
            await late.say(b"GET /health/live HTTP/1.1\r\nHost: rewards.test\r\n\r\n" + request)
            assert (await late.hear()).status == 200, name
            with_body = not line.startswith("HEAD")
            answers = [await each.hear(with_body=with_body) for each in (early, late)]
            assert answers[0].said == answers[1].said, name
            for answer in answers:
                assert (answer.status, answer.header("retry-after")) == (503, "1"), name
                assert answer.header("x-request-id") == "a" or "X-Request-Id: a" not in headers, name
                if with_body:
                    assert json.loads(answer.body)["request_id"] == answer.header("x-request-id"), name
            if answers[0].header("connection") == "close":
                assert [await each.ends() for each in (early, late)] == [True, True], name
        posts = sum(line.startswith("POST") for line, _, _ in REQUESTS.values())
        counted = await process.metric('rewards_http_requests_total{method="POST",route="unmatched",status="503"}')
        seen = await process.metric('rewards_http_request_duration_seconds_count{method="POST",route="unmatched"}')
        assert (counted, seen) == (2 * posts, posts)


async def test_health_and_the_operator_are_always_answered(process: Process) -> None:
    async with process.full():
        connection = await process.connect()
        assert (await connection.ask(process.grant("m"))).status == 503
        for path in ("/health/live", "/health/ready"):
            assert (await connection.ask(process.request(f"GET {path} HTTP/1.1"))).status == 200
        assert (await connection.ask(process.grant("m"))).status == 503


async def test_a_refused_body_is_read_past_whatever_is_in_it(process: Process) -> None:
    decoy = process.grant("never")
    large = decoy + b"x" * 1_000_000
    whole = process.request("POST /v1/grants HTTP/1.1", large)
    head = process.request("POST /v1/grants HTTP/1.1", None, "Transfer-Encoding: chunked")
    async with process.full() as holders:
        known, unknown = await process.connect(), await process.connect()
        # The answer is there before the body is.
        assert (await known.ask(whole[: len(whole) - len(large)])).status == 503
        assert (await unknown.ask(head)).status == 503
        await known.say(large[:500_000])
        await unknown.say(b"%x\r\n%b\r\n" % (len(decoy), decoy))
        assert await process.metric("rewards_http_requests_in_flight") == FULL
        # What comes after it is the next request.
        assert (await known.ask(large[500_000:] + process.grant("m-1"))).status == 503
        assert (await unknown.ask(chunked(decoy) + process.grant("m-2"))).status == 503
        for holder in holders:
            assert (await holder.ask(chunked(b"[]"))).status != 503
    await process.in_hand(0)
    for connection, message in ((known, "m-1"), (unknown, "m-2")):
        answer = await connection.ask(process.grant(message))
        assert (answer.status, json.loads(answer.body)["replayed"]) == (201, False)


async def test_what_was_acknowledged_is_in_the_ledger_and_what_was_refused_is_not(
    process: Process, owner: asyncpg.Connection[Any]
) -> None:
    async with process.full() as holders:
        others = [await process.connect() for _ in range(20)]
        for number, other in enumerate(others):
            assert (await other.ask(process.grant(f"refused-{number}"))).status == 503
        for number, holder in enumerate(holders):
            await holder.say(chunked(b"[%b]" % click(f"taken-{number}")))
        answers = [json.loads((await holder.hear()).body) for holder in holders]
    assert [[each["status"] for each in answer["results"]] for answer in answers] == [[201]] * FULL
    assert await owner.fetchval("SELECT count(*) FROM ledger.event") == FULL
    await process.in_hand(0)
    again = [await other.ask(process.grant(f"refused-{number}")) for number, other in enumerate(others)]
    assert {(answer.status, json.loads(answer.body)["replayed"]) for answer in again} == {(201, False)}
    assert await owner.fetchval("SELECT count(*) FROM ledger.event") == FULL + len(others)


async def test_many_that_are_refused_at_once_are_all_told(process: Process) -> None:
    many = 3 * REFUSED_IN_A_TURN
    async with process.full() as holders:
        connections = [await process.connect() for _ in range(many)]
        for connection in connections:
            await connection.say(process.grant("m"))
        assert {(await each.hear()).status for each in connections} == {503}
        await connections[0].say(many * process.grant("m"))
        assert {(await connections[0].hear()).status for _ in range(many)} == {503}
        for holder in holders:
            await holder.ask(chunked(b"[]"))
    await process.in_hand(0)
    assert (await connections[0].ask(process.grant("m"))).status == 201


class Reading:
    """Whether a connection is read."""

    def __init__(self) -> None:
        self.paused = False

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


async def test_connections_beyond_what_is_refused_in_a_turn_are_read_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early_refusals, "REFUSED_IN_A_TURN", 2)
    gate = Gate(InHand())
    connections: Any = [Reading() for _ in range(5)]
    for connection in connections:
        gate.note_refused(connection)
    paused = [[each.paused for each in connections]]
    for _ in range(2):
        await asyncio.sleep(0)
        paused.append([each.paused for each in connections])
    assert paused == [[False, False, True, True, True], [False, False, False, False, True], [False] * 5]
    gate.note_refused(connections[0])
    assert not connections[0].paused


def test_many_connections_are_accepted_in_a_turn_of_the_event_loop() -> None:
    async def accepted_in_turns() -> list[int]:
        accepted: list[asyncio.Protocol] = []

        class Accepted(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                accepted.append(self)

        with socket.create_server(("127.0.0.1", 0)) as listening, contextlib.ExitStack() as clients:
            loop = asyncio.get_running_loop()
            for _ in range(4 * ACCEPTED_IN_A_TURN):
                clients.enter_context(socket.create_connection(listening.getsockname()))
            servers = [await loop.create_server(Accepted, sock=copy) for copy in in_copies(listening)]
            counts: list[int] = []
            while len(accepted) < 4 * ACCEPTED_IN_A_TURN:
                await asyncio.sleep(0)
                counts.append(len(accepted))
            for server in servers:
                server.close()
        return counts

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        counts = runner.run(accepted_in_turns())
    assert max(after - before for before, after in itertools.pairwise([0, *counts])) >= ACCEPTED_IN_A_TURN
