"""The server's protocol, but that what comes while too much is in hand is refused before anything is made for it.

The application would refuse it too, in the same words (``service.observation``), but only once the server has made a scope, a
cycle and a task of the request, which costs as much as a short answer. Then those who come in vain take the time of those
who were let in: each turn of the event loop gets long, and a decision takes tens of them.

A refused request's body is read past and not kept. What stands behind an unanswered request on its connection goes the general
way, because answers have an order.
"""

from __future__ import annotations

import asyncio
import collections
import functools
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from service import observation
from service.cli.one_write import OneWriteProtocol
from service.observation import ALWAYS_ANSWERED, InHand

REFUSED_IN_A_TURN = 100
"""So many are refused in a turn of the event loop, some milliseconds' work; their connections are then read in turn."""

_ALWAYS_ANSWERED = ALWAYS_ANSWERED.encode()


class Gate:
    """What all connections share: whether there is room, and which of the refused are not read for now."""

    def __init__(self, in_hand: InHand) -> None:
        self._in_hand = in_hand
        self._refused = 0
        self._paused: collections.deque[FlowControl] = collections.deque()

    def has_room_beside(self, requests: int) -> bool:
        """Whether one more can be taken, where so many are being answered."""
        return self._in_hand.has_room_beside(requests)

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


class _Answered:
    """What the server's protocol takes for the cycle of a request that has its answer."""

    response_complete = True
    message_event = asyncio.Event()


_ANSWERED: Any = _Answered()


class EarlyRefusals(OneWriteProtocol):
    """HTTP/1.1 that asks the gate first."""

    def __init__(self, *args: Any, gate: Gate, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._gate = gate

    def on_headers_complete(self) -> None:
        """Hand a request on, or refuse it."""
        # What came in this turn of the event loop is a task already, and in hand only in the next.
        if self._gate.has_room_beside(len(self.tasks)) or self._must_go_on():
            super().on_headers_complete()
        else:
            self._refuse()

    def _must_go_on(self) -> bool:
        before: Any = self.cycle
        return (before is not None and not before.response_complete) or _ALWAYS_ANSWERED in self.url

    def _refuse(self) -> None:
        self.cycle = _ANSWERED
        parser: Any = self.parser
        method = parser.get_method().decode("ascii")
        request_id = observation.refuse(method, self.headers).encode()
        stays = parser.should_keep_alive() and parser.get_http_version() != "1.0"
        answer = _refusal(len(request_id), method == "HEAD", stays, *self.server_state.default_headers)
        self.one_write.write_whole(answer.replace(_ID * len(request_id), request_id))
        if not stays:
            self.transport.close()
        self.on_response_complete()
        self._gate.note_refused(self.flow)


_ID = b"~"
"""Stands for each character of a request's id, in which it never is."""


@functools.lru_cache  # one of the server's headers is the time
def _refusal(id_length: int, is_head: bool, stays: bool, *server_headers: tuple[bytes, bytes]) -> bytes:
    status, headers, body = observation.refusal(_ID.decode() * id_length)
    lines = [b"%b: %b\r\n" % header for header in (*server_headers, *headers)]
    end = b"\r\n" if stays else b"connection: close\r\n\r\n"
    return b"".join([STATUS_LINE[status], *lines, end, b"" if is_head else body])
