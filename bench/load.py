"""A lean HTTP/1.1 client that makes load and takes times: plain sockets, keep-alive, one request at a time on a connection.

What a connection says is a generator, a conversation: it yields a request's bytes and is sent the answer, ``(status, body)``.
It may yield a number instead, which is a rest in seconds. Nothing is allocated for a request but the request itself, so that
the client takes as little as it can of the processors that it shares with what it measures; `Load.shares` says by how much.

    drive       so many connections, each as fast as it is answered, for a time or until nothing is left to say
    drive_at    so many requests a second, whether they are answered or not; what finds no connection free is not sent
    drive_open  requests at given instants, whether they are answered or not; what finds no connection free waits for one
    ask         one request
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import os
import time
from array import array
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import cast

import msgspec

Answer = tuple[int, bytes]
Conversation = Generator[bytes | float, Answer, None]

HOST = "127.0.0.1"
_PATIENCE_S = 60.0
_TICK_S = 0.001
"""What is due is sent so often: event loops wait for whole milliseconds."""
_IDLE_S = 0.5
_IDLE_MS = 75
_IDLE_TIMEOUT_S = 120.0
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


class LoadFailed(Exception):
    """The server answered what it should not have, or went away."""


class Load(msgspec.Struct):
    """What came back: how many answers of each status, the time of each in seconds, and all the time it took."""

    statuses: collections.Counter[int] = msgspec.field(default_factory=collections.Counter[int])
    latencies_s: array[float] = msgspec.field(default_factory=lambda: array("d"))
    refusals_s: array[float] = msgspec.field(default_factory=lambda: array("d"))
    """The times of what was refused for what is in flight, with 429 or 503, which are not among the others."""
    seconds: float = 0.0
    processor_ms: collections.Counter[str] = msgspec.field(default_factory=collections.Counter[str])
    """What was taken of processors meanwhile: by the client, what it asked, and the database."""
    example: bytes = b""
    """Of an answer that is no success."""
    unsent: int = 0
    """What was due and found no free connection."""

    @property
    def answers(self) -> int:
        """How many answers there were."""
        return sum(self.statuses.values())

    @property
    def shares(self) -> str:
        """How much of one processor each took."""
        took = ((who, ms / 1_000 / self.seconds) for who, ms in self.processor_ms.items() if self.seconds)
        return ", ".join(f"{who} {share:.0%}" for who, share in took if share >= 0.005)

    def percentile_ms(self, percent: float) -> float:
        """The time within which so many percent were answered."""
        return percentile(self.latencies_s, percent) * 1_000

    def count(self, status: int, body: bytes, took_s: float) -> None:
        """Count an answer."""
        self.statuses[status] += 1
        (self.refusals_s if status in {429, 503} else self.latencies_s).append(took_s)
        if status >= 400 and not self.example:
            self.example = body

    def expect(self, *statuses: int) -> Load:
        """Refuse to measure anything but the answers that were meant."""
        if not self.answers or set(self.statuses) - set(statuses):
            raise LoadFailed(f"answers were {dict(self.statuses)}, such as {self.example[:500]!r}")
        return self


def processor_ms() -> collections.Counter[str]:
    """Milliseconds of processors taken so far: by this process, by the database under it, by what else it started."""
    parents: dict[int, int] = {}
    taken: dict[int, tuple[str, int]] = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            name, _, fields = file.read_text().partition("(")[2].rpartition(") ")
            state = fields.split()
            parents[int(file.parent.name)] = int(state[1])
            taken[int(file.parent.name)] = name, (int(state[11]) + int(state[12])) * 1_000 // _TICKS_A_SECOND
    whose: collections.Counter[str] = collections.Counter({"client": round(time.process_time() * 1_000)})
    for pid, (name, ms) in taken.items():
        ancestor = pid
        while (ancestor := parents.get(ancestor, 0)) > 1:
            if ancestor == os.getpid():
                whose["PostgreSQL" if name == "postgres" else "process"] += ms
                break
    return whose


async def until_idle() -> None:
    """Wait until what this process started has nothing left to do."""
    async with asyncio.timeout(_IDLE_TIMEOUT_S):
        busy_ms = _IDLE_MS
        while busy_ms >= _IDLE_MS:
            before = processor_ms()
            await asyncio.sleep(_IDLE_S)
            took = processor_ms() - before
            busy_ms = took["process"] + took["PostgreSQL"]


def percentile(values: array[float] | list[float], percent: float) -> float:
    """The value that ``percent`` of ``values`` do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered) - 1, round(len(ordered) * percent / 100) - 1))]


def together(loads: list[Load]) -> Load:
    """Several loads as one."""
    whole = Load()
    for load in loads:
        whole.statuses.update(load.statuses)
        whole.latencies_s.extend(load.latencies_s)
        whole.refusals_s.extend(load.refusals_s)
        whole.seconds += load.seconds
        whole.processor_ms.update(load.processor_ms)
        whole.example = whole.example or load.example
        whole.unsent += load.unsent
    return whole


class _Connection(asyncio.Protocol):
    """One connection: takes answers apart and hands each to ``answered``."""

    def __init__(self, answered: Callable[[_Connection, int, bytes, float], None], lost: Callable[[_Connection], None]) -> None:
        self._answered = answered
        self._lost = lost
        self._buffer = b""
        self._since = 0.0
        self.transport: asyncio.WriteTransport | None = None
        self.conversation: Conversation | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.WriteTransport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self._lost(self)

    def send(self, request: bytes, since: float | None = None) -> None:
        """Send a request; the time of its answer counts from now, or from ``since``."""
        if self.transport is None:
            self._lost(self)
            return
        self._since = time.perf_counter() if since is None else since
        self.transport.write(request)

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self._buffer = data
            return
        status = int(data[9:12])
        at = data.find(b"content-length: ", 0, end)
        if at < 0:
            at = data.lower().find(b"content-length: ", 0, end)
            if at < 0:
                raise LoadFailed(f"an answer without its length: {data[:end]!r}")
        length = int(data[at + 16 : data.find(b"\r", at)])
        if len(data) < end + 4 + length:
            self._buffer = data
            return
        self._buffer = b""
        self._answered(self, status, data[end + 4 :], time.perf_counter() - self._since)


async def _connect(
    port: int, answered: Callable[[_Connection, int, bytes, float], None], lost: Callable[[_Connection], None]
) -> _Connection:
    _, connection = await asyncio.get_running_loop().create_connection(lambda: _Connection(answered, lost), HOST, port)
    return connection


async def drive(port: int, conversations: list[Conversation], *, seconds: float | None = None) -> Load:
    """Hold all ``conversations`` at once, each on a connection of its own, for ``seconds`` or until all have ended.

    A conversation whose time is over is not asked again; its last answer is waited for and counts, as does the time it took.
    """
    loop = asyncio.get_running_loop()
    load = Load()
    done: asyncio.Future[None] = loop.create_future()
    talking = len(conversations)
    deadline = 0.0

    def fail(error: Exception) -> None:
        if not done.done():
            done.set_exception(error)

    def go_on(connection: _Connection, say: Callable[[Conversation], bytes | float]) -> None:
        nonlocal talking
        conversation = connection.conversation
        assert conversation is not None
        try:
            said = say(conversation)  # also when time is over: what it was answered is the conversation's to count
            if seconds is not None and time.perf_counter() >= deadline:
                raise StopIteration
        except StopIteration:
            connection.conversation = None
            conversation.close()
            talking -= 1
            if talking == 0 and not done.done():
                done.set_result(None)
            return
        except Exception as error:
            fail(error)
            return
        if isinstance(said, bytes):
            connection.send(said)
        else:
            loop.call_later(said, go_on, connection, next)

    def answered(connection: _Connection, status: int, body: bytes, took_s: float) -> None:
        load.count(status, body, took_s)
        go_on(connection, lambda conversation: conversation.send((status, body)))

    def lost(connection: _Connection) -> None:
        if connection.conversation is not None:
            fail(LoadFailed("the server closed a connection"))

    connections = [await _connect(port, answered, lost) for _ in conversations]
    try:
        before, started = processor_ms(), time.perf_counter()
        deadline = started + (seconds or 0.0)
        for connection, conversation in zip(connections, conversations, strict=True):
            connection.conversation = conversation
        for connection in connections:
            go_on(connection, next)
        await asyncio.wait_for(done, None if seconds is None else seconds + _PATIENCE_S)
        load.seconds = time.perf_counter() - started
        load.processor_ms = processor_ms() - before
    finally:
        for connection in connections:
            connection.conversation = None
            connection.close()
    return load


class _OpenLoop:
    """Connections that take turns: one that nobody has used for some seconds the server closes."""

    def __init__(self, requests: Iterator[bytes]) -> None:
        self.load = Load()
        self.free: collections.deque[_Connection] = collections.deque()
        self.broken = ""
        self._requests = requests
        self._connections: list[_Connection] = []
        self._waiting: collections.deque[float] = collections.deque()
        self._is_closing = False

    def arrive(self, at: float) -> None:
        """Send a request as soon as a connection is free; its time counts from ``at``."""
        self._waiting.append(at)
        self._send()

    def _send(self) -> None:
        while self._waiting and self.free:
            self.free.popleft().send(next(self._requests), self._waiting.popleft())

    def _answered(self, connection: _Connection, status: int, body: bytes, took_s: float) -> None:
        self.load.count(status, body, took_s)
        self.free.append(connection)
        self._send()

    def _lost(self, _: _Connection) -> None:
        if not self._is_closing:
            self.broken = "the server closed a connection"

    async def connect(self, port: int, count: int) -> None:
        """Open so many connections."""
        for _ in range(count):
            connection = await _connect(port, self._answered, self._lost)
            self._connections.append(connection)  # at once: it must be closed if the next fails
        self.free.extend(self._connections)

    async def until_answered(self) -> None:
        """Wait for what is not answered yet; raises `LoadFailed` if that takes for ever."""
        patience = time.perf_counter() + _PATIENCE_S
        while len(self.free) < len(self._connections) and time.perf_counter() < patience and not self.broken:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        if self.broken or len(self.free) < len(self._connections):
            raise LoadFailed(self.broken or f"{len(self._connections) - len(self.free)} requests were never answered")

    def close(self) -> None:
        """Close all connections."""
        self._is_closing = True
        for connection in self._connections:
            connection.close()


@contextlib.asynccontextmanager
async def _open_loop(port: int, requests: Iterator[bytes], connections: int) -> AsyncGenerator[tuple[_OpenLoop, float]]:
    """An open loop and the instant at which it began; in the end all is answered, and its load has its times."""
    loop = _OpenLoop(requests)
    try:
        await loop.connect(port, connections)
        before, began = processor_ms(), time.perf_counter()
        yield loop, began
        await loop.until_answered()
        loop.load.seconds = time.perf_counter() - began
        loop.load.processor_ms = processor_ms() - before
    finally:
        loop.close()


async def drive_at(port: int, requests: Iterator[bytes], *, rate: float, seconds: float, connections_max: int) -> Load:
    """Send ``rate`` requests a second whatever comes back, on as many connections as that takes and no more than allowed.

    What finds no connection free is not sent later: it is counted as ``unsent``.
    """
    async with _open_loop(port, requests, connections_max) as (loop, began):
        due = 0
        while (now := time.perf_counter()) < began + seconds and not loop.broken:
            wanted = int((now - began) * rate)
            sent = min(wanted - due, len(loop.free))
            for _ in range(sent):
                loop.arrive(now)
            loop.load.unsent += wanted - due - sent
            due = wanted
            await asyncio.sleep(_TICK_S)
        loop.load.unsent += max(0, int(seconds * rate) - due)  # what fell due while this slept for the last time
    return loop.load


async def drive_open(port: int, requests: Iterator[bytes], arrivals_s: Iterable[float], *, connections_max: int) -> Load:
    """Send a request at each of ``arrivals_s``, which are seconds from now in order, whatever comes back.

    What finds no connection free waits for one. Each time counts from the arrival, also of what had to wait: else a server that
    stalls would be asked less meanwhile, and be forgiven (coordinated omission).
    """
    async with _open_loop(port, requests, connections_max) as (loop, began):
        for arrival_s in arrivals_s:
            while time.perf_counter() < began + arrival_s and not loop.broken:  # noqa: ASYNC110
                await asyncio.sleep(_TICK_S)
            if loop.broken:
                break
            loop.arrive(began + arrival_s)
    return loop.load


async def ask(port: int, request: bytes) -> Answer:
    """Send one request on a connection of its own; raises ``OSError`` where nobody listens."""
    answers: list[Answer] = []

    def conversation() -> Conversation:
        answers.append((yield request))

    await drive(port, [conversation()])
    return answers[0]


def request(method: str, path: str, *, key: str = "", body: bytes | None = None, headers: str = "") -> bytes:
    """The bytes of one request; ``headers`` are whole lines."""
    head = f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\n{headers}"
    if key:
        head += f"Authorization: Bearer {key}\r\n"
    if body is not None:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}\r\n".encode() + (body or b"")
