"""What all connections of a server share: what is in flight, which are paused, and which are open."""

from __future__ import annotations

import asyncio
import collections
from typing import Any, Protocol

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.flow_control import FlowControl

from service.admission.in_flight import Client, InFlight

REFUSED_IN_A_TURN = 100
"""How many requests one turn of the event loop refuses, some milliseconds of work; further connections wait."""
CHECK_INTERVAL_S = 1.0
ONLY_HEALTH_CONNECTIONS = 64
"""How many connections beyond a bound or share stay open for health checks; further ones are closed at once."""


class Connection(Protocol):
    """A connection as admission control sees it."""

    transport: asyncio.Transport
    flow: FlowControl

    def check(self, now: float) -> None:
        """Give the connection up if it takes too long by now."""
        ...


class AdmissionControl:
    """State shared by all connections: what is in flight, which connections are paused, and which are open."""

    def __init__(self, in_flight: InFlight, trusted_proxies: str = "") -> None:
        self.in_flight = in_flight
        self.proxies: Any = ProxyHeadersMiddleware(_nothing, trusted_proxies).trusted_hosts if trusted_proxies else ()
        self.connections: set[Connection] = set()
        self._refused = 0
        self._paused: collections.deque[FlowControl] = collections.deque()

    async def check_forever(self) -> None:
        """Look at all connections once a second, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(CHECK_INTERVAL_S)
            self.check(loop.time())

    def check(self, now: float) -> None:
        """Give up what takes too long by now."""
        for connection in list(self.connections):
            connection.check(now)

    def is_beyond_all(self, client: Client) -> bool:
        """Whether a new connection of this client's is one too many even for health checks."""
        allowed = self.in_flight.bounds.connections_max
        return (
            self.in_flight.connections > allowed + ONLY_HEALTH_CONNECTIONS
            or client.connections > client.share * allowed + ONLY_HEALTH_CONNECTIONS
        )

    def note_refused(self, connection: FlowControl) -> None:
        """Read no more of a connection for now if many were refused in this turn, however fast they ask again."""
        if not self._refused and not self._paused:
            asyncio.get_running_loop().call_soon(self._next_turn)
        self._refused += 1
        if self._refused > REFUSED_IN_A_TURN:
            connection.pause_reading()
            self._paused.append(connection)

    def _next_turn(self) -> None:
        self._refused = 0
        for _ in range(min(REFUSED_IN_A_TURN, len(self._paused))):
            self._paused.popleft().resume_reading()
        if self._paused:
            asyncio.get_running_loop().call_soon(self._next_turn)


async def _nothing(*_: Any) -> None:
    """The application of a middleware that is only asked whom it trusts."""
