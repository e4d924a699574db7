"""The server's protocol with load shedding: it bounds what a connection may cost before the application sees a request.

    head        its size and its end
    body        its size by the kind of route (``service.admission.limits``), from the head alone where that says it;
                its rate and its end
    in flight   what comes while too much is, or while one client holds too much (``service.admission.in_flight``)
    answer      whether it is taken

What takes too long is found by a look at all connections once a second (``deadlines``), not by a timer.

The application refuses too much, in the same words (``service.http.middleware``), but only once the server has made a scope, a
cycle and a task of the request, which costs as much as a short answer. Under overload, refused requests would then
take the time of accepted ones: each turn of the event loop gets long, and a decision takes tens of them.

A request that is refused because too much is in flight is read past, and its connection goes on. After all other refusals it
ends: what still comes is dropped for a while, so that the refusal is not lost with it. What stands behind an unanswered request
on its connection goes the general way, because answers have an order.
"""

from __future__ import annotations

import asyncio
import enum
from typing import Any

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT

from service.admission.in_flight import HEALTH, NO_RESERVATION, UNBOUNDED, Client, Refusal, Reservation
from service.admission.limits import FORM_BYTES_MAX, HEAD_BYTES_MAX, HEADERS_MAX, URL_BYTES_MAX, Kind, kind_of
from service.http import middleware
from service.http.problems import REFUSALS, Problem
from service.observability import metrics
from service.server.admission_control import AdmissionControl
from service.server.cycle import CycleProtocol
from service.server.deadlines import Deadlines, Phase
from service.server.refusals import (
    HEADERS_TOO_LARGE,
    ID_PLACEHOLDER,
    MALFORMED,
    TIMED_OUT,
    TINY_CHUNKS,
    TOO_LARGE,
    URL_TOO_LONG,
    response_template,
    too_large_head,
)

PIPELINED_MAX = 100
"""How many pipelined requests may wait on a connection."""

_READ_AT_ONCE = 256 * 1024
"""The event loop reads so much at a time. Where in it a head begins is not known, so it is allowed beside what is counted."""
_HEALTH = HEALTH.encode()
_CHUNKED = -1


class _RefusedCycle:
    """Stands where uvicorn keeps the cycle of the request that it reads, when that request was refused at its head.

    A cycle (``RequestResponseCycle``) runs the application, so a refused request gets none. But uvicorn asks the cycle that it
    finds whether its response is complete: before it passes on a body, at the end of the request, at the head of the next one,
    and when it is told to shut down. It is. When the connection is lost, it also wakes who waits for a body: nobody does.
    """

    response_complete = True
    message_event = asyncio.Event()


_REFUSED_CYCLE: Any = _RefusedCycle()
"""One for all: it holds nothing."""


class _Reading(enum.Enum):
    """Which part of a request is being read."""

    NOTHING = enum.auto()
    HEAD = enum.auto()
    BODY = enum.auto()


_NOTHING, _HEAD, _BODY = _Reading


class _StopReading(Exception):
    """Nothing more is read on this connection, not even what has come with what was read."""


class SheddingProtocol(CycleProtocol):
    """HTTP/1.1 with admission control."""

    def __init__(self, *args: Any, gate: AdmissionControl, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._gate = gate
        self._in_flight = gate.in_flight
        self._bounds = gate.in_flight.bounds
        self._client: Client = UNBOUNDED
        self._is_proxy = False
        self._only_health: Refusal | None = None

        self._reading = _NOTHING
        self._arrived = 0  # since the request that is being read began, and before it in the same piece
        self._body_arrived = 0
        self._body_bytes_max = FORM_BYTES_MAX
        self._held: Reservation = NO_RESERVATION

        self._is_over = False  # nothing that comes is read any more
        self._dropped = 0
        self._deadlines = Deadlines(self._bounds)

    # ---- Connections

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to talk on a connection, if there is room for it."""
        super().connection_made(transport)
        address = self.client[0] if self.client else ""
        self._is_proxy = address in self._gate.proxies
        self._client = UNBOUNDED if self._is_proxy else self._in_flight.at(address)
        self._in_flight.connect(self._client)
        self._gate.connections.add(self)
        self._only_health = self._in_flight.connection_refusal(self._client)
        if self._only_health is not None and self._gate.is_beyond_all(self._client):
            metrics.refused.labels("connection").inc()
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of what nobody waits for any more."""
        super().connection_lost(exc)
        for cycle, _ in self.pipeline:
            cycle.scope["held"].release()  # type: ignore[typeddict-item]
        self.pipeline.clear()
        self._gate.connections.discard(self)
        self._in_flight.disconnect(self._client)

    # ---- What arrives

    def data_received(self, data: bytes) -> None:
        """Read what has come."""
        if self._is_over:
            self._drop(len(data))
            return
        self._arrived += len(data)
        parser: Any = self.parser
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # There is no other protocol here; the request has been taken as it is.
            pass
        except httptools.HttpParserError:
            if not self._is_over:
                self._give_up(MALFORMED)
            return
        if self._reading is _NOTHING:
            self._arrived = 0
        elif self._arrived > HEAD_BYTES_MAX + _READ_AT_ONCE:
            self._bound_unfinished()

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._reading = _HEAD

    def on_headers_complete(self) -> None:
        """Hand a request on, or refuse it."""
        self._body_arrived = 0
        if (problem := self._problem_of_head()) is not None:
            self._give_up(problem)
            raise _StopReading
        in_flight = self._in_flight
        is_health = self.url.startswith(_HEALTH)
        client = self._forwarded() if self._is_proxy else self._client
        waits = self._awaits_answer()
        if not is_health and not waits and (refusal := self._only_health or in_flight.refusal(client)) is not None:
            self._reading = _BODY
            self._refuse(REFUSALS[refusal])
            return
        super().on_headers_complete()
        self._reading = _BODY
        self._held = NO_RESERVATION if is_health else Reservation(in_flight, client, waits=waits)
        self.scope["held"] = self._held  # type: ignore[typeddict-unknown-key]
        # What comes as a header from now on is a trailer. The application is not told: no trailer means anything to it, and
        # a proxy in front of us may have let it pass unread.
        self.headers = []
        if self._only_health is not None:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Keep a piece of a body for the application, or read past it."""
        size = len(body)
        self._body_arrived += size
        cycle = self.cycle
        if self._body_arrived > self._body_bytes_max:
            # Only of a chunked body, whose head did not say so.
            self._give_up(TOO_LARGE[self._kind()])
            raise _StopReading
        if cycle.response_complete:
            return
        if (refusal := self._held.receive(size)) is not None:
            self._give_up(REFUSALS[refusal])
            raise _StopReading
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        """A request has come whole."""
        self._reading = _NOTHING
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on with the next request, if it has come already."""
        # As the server does it, but without a timer for each answer: who sends nothing more is found by a look.
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            cycle.scope["held"].begin()  # type: ignore[typeddict-item]
            self._start_asgi_task(cycle, app)
        elif self._is_over:
            self.transport.close()

    def _awaits_answer(self) -> bool:
        """Whether an answer on this connection is still to be given before another one may be."""
        before: Any = self.cycle
        return before is not None and not before.response_complete

    def _problem_of_head(self) -> Problem | None:
        length = 0
        for name, value in self.headers:
            if name == b"content-length":
                length = int(value)
            elif name == b"transfer-encoding":
                length = _CHUNKED
        if self._arrived > URL_BYTES_MAX and (problem := too_large_head(self.url, self.headers)) is not None:
            return problem
        if len(self.headers) > HEADERS_MAX:
            return HEADERS_TOO_LARGE
        if len(self.pipeline) >= PIPELINED_MAX:
            return REFUSALS[Refusal.OVERLOADED]
        if length > FORM_BYTES_MAX or length == _CHUNKED:
            kind = self._kind()
            if length > kind.body_bytes_max:
                return TOO_LARGE[kind]
            self._body_bytes_max = kind.body_bytes_max
        else:
            self._body_bytes_max = FORM_BYTES_MAX
        return None

    def _bound_unfinished(self) -> None:
        if self._reading is _HEAD:
            self._give_up(URL_TOO_LONG if not self.headers and len(self.url) > URL_BYTES_MAX else HEADERS_TOO_LARGE)
        elif self._arrived > HEAD_BYTES_MAX + _READ_AT_ONCE + 2 * self._body_arrived:
            # The sizes of chunks, what is said beside them, trailers: more than there is of the body.
            self._give_up(TINY_CHUNKS)

    def _kind(self) -> Kind:
        return kind_of(self._method(), self.url.decode("latin-1"))

    def _method(self) -> str:
        parser: Any = self.parser
        return parser.get_method().decode("latin-1")

    def _forwarded(self) -> Client:
        """For whom a trusted proxy asks; itself it is never a client."""
        values = [value for name, value in self.headers if name == b"x-forwarded-for"]
        if values:
            host, _ = self._gate.proxies.get_trusted_client_address(b", ".join(values).decode("latin-1"))
            return self._in_flight.at(host)
        return self._in_flight.at(self.client[0]) if self.client and self._gate.proxies.always_trust else UNBOUNDED

    # ---- Refusals

    def _refuse(self, problem: Problem) -> None:
        """Answer a request at its head. Its body is read past, and the connection goes on if it may."""
        self.cycle = _REFUSED_CYCLE
        parser: Any = self.parser
        method = self._method()
        request_id = middleware.refuse(method, self.headers, problem)
        stays = parser.should_keep_alive() and parser.get_http_version() != "1.0" and self._only_health is None
        self._write(problem, request_id, is_head=method == "HEAD", stays=stays)
        self.headers = []
        if not stays:
            self.transport.close()
        self.on_response_complete()
        self._gate.note_refused(self.flow)

    def _give_up(self, problem: Problem, *, drop_rest: bool = True) -> None:
        """Read nothing more on this connection. What is being read is answered with what is wrong, unless others come first."""
        self._is_over = True
        cycle: Any = self.cycle
        self.flow.resume_reading()
        if self._reading is not _BODY:
            if self._awaits_answer():
                return  # the connection ends with the answer before
            self._send_problem(problem)
        elif self.pipeline:
            self.pipeline.popleft()
            self._held.release()
            return
        elif not cycle.response_complete:
            if cycle.response_started:
                self.transport.abort()
                return
            self._send_problem(problem, cycle.scope)
            # To the application, the client is gone.
            cycle.disconnected = cycle.response_complete = True
            cycle.message_event.set()
        if drop_rest:
            self.transport.write_eof()
        else:
            self.transport.close()

    def _send_problem(self, problem: Problem, scope: Any = None) -> None:
        method = self._method() if self.url else ""
        # What the application has begun with is one request to the log and the metrics, with this end.
        begun = scope is not None
        request_id = middleware.end(scope, problem) if begun else middleware.refuse(method, self.headers or (), problem)
        self._write(problem, request_id, is_head=method == "HEAD", stays=False)

    def _write(self, problem: Problem, request_id: str, *, is_head: bool, stays: bool) -> None:
        answer = response_template(problem, len(request_id), is_head, stays, *self.server_state.default_headers)
        self.transport.write(answer.replace(ID_PLACEHOLDER.encode() * len(request_id), request_id.encode()))

    def _drop(self, size: int) -> None:
        self._dropped += size
        if self._dropped > self._bounds.past_bytes_max:
            self.transport.abort()

    # ---- Time

    def check(self, now: float) -> None:
        """Give the connection up if it stands where it stood for too long."""
        deadlines, phase = self._deadlines, self._phase()
        if not deadlines.stands(now, phase, self.scope, self._body_arrived, paused=self.flow.read_paused):
            return
        match phase:
            case Phase.ANSWERING | Phase.CLOSING:
                if deadlines.is_answer_over(now, self.transport.get_write_buffer_size()):
                    self.transport.abort()
            case Phase.BODY:
                if deadlines.is_body_over(now, self._body_arrived, within_s=self._kind().body_within_s):
                    self._give_up(TIMED_OUT, drop_rest=False)
            case Phase.HEAD | Phase.IDLE | Phase.DROPPING:
                if not deadlines.is_over(now):
                    return
                if phase is Phase.HEAD and self._reading is _HEAD:
                    self._give_up(TIMED_OUT, drop_rest=False)
                else:
                    self.transport.close()

    def _phase(self) -> Phase:
        if self.transport.is_closing():
            return Phase.CLOSING
        if self._awaits_answer() and self._reading is not _BODY:
            return Phase.ANSWERING
        if self._is_over:
            return Phase.DROPPING
        if self._reading is _BODY:
            return Phase.BODY
        cycle: Any = self.cycle
        return Phase.HEAD if self._reading is _HEAD or cycle is None else Phase.IDLE
