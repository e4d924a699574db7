"""A small DNS server on loopback, over UDP and TCP, that answers what a test tells it to, right or wrong.

server.publish("_rewards-challenge.r.shop.example", "some text")
server.answers["r.shop.example"] = addresses("192.0.2.1")
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
from collections.abc import AsyncGenerator, Callable
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

Answer = Callable[[dns.message.Message], dns.message.Message | None]
"""Makes of a question the answer; None: there is none, ever."""


class DnsServer:
    """Answers by name; what it does not know does not exist. ``asked`` are the names, in order, with how they came."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[tuple[str, str]] = []
        self.port = 0

    @property
    def address(self) -> str:
        """The server, as the setting says it."""
        return f"127.0.0.1:{self.port}"

    def publish(self, name: str, *values: str) -> None:
        """Have text records at a name, these and no others."""
        self.answers[name] = texts(*values)

    def reply(self, wire: bytes, way: str) -> bytes | None:
        """The answer to a question, as it goes over the wire."""
        question = dns.message.from_wire(wire)
        name = question.question[0].name.to_text(omit_final_dot=True).lower()
        self.asked.append((name, way))
        answer = self.answers.get(name, does_not_exist)(question)
        if answer is None:
            return None
        if way == "udp" and len(answer.to_wire(max_size=65_535)) > 1_232:
            answer = dns.message.make_response(question)
            answer.flags |= dns.flags.TC
        return answer.to_wire(max_size=65_535)


def texts(*values: str) -> Answer:
    """Text records; what is longer than one string can be is several."""

    def answer(question: dns.message.Message) -> dns.message.Message:
        quoted = [" ".join(f'"{value[n : n + 255]}"' for n in range(0, max(1, len(value)), 255)) for value in values]
        return _with(question, (question.question[0].name.to_text(), "TXT", quoted))

    return answer


def addresses(*values: str) -> Answer:
    """Addresses, of the kind that is asked for."""

    def answer(question: dns.message.Message) -> dns.message.Message:
        kind = question.question[0].rdtype
        fitting = [value for value in values if kind == (dns.rdatatype.AAAA if ":" in value else dns.rdatatype.A)]
        return _with(question, *([(question.question[0].name.to_text(), kind.name, fitting)] if fitting else []))

    return answer


def aliases(count: int, value: str = "", *, loop: bool = False) -> Answer:
    """So many aliases, one to the next, and at their end a text, or the first of them again."""

    def answer(question: dns.message.Message) -> dns.message.Message:
        names = [question.question[0].name.to_text(), *(f"alias-{n}.example." for n in range(1, count + 1))]
        if loop:
            names[-1] = names[0]
        sets = [(name, "CNAME", [to]) for name, to in itertools.pairwise(names)]
        return _with(question, *sets, *([] if loop else [(names[-1], "TXT", [f'"{value}"'])]))

    return answer


def fails(code: dns.rcode.Rcode) -> Answer:
    """An error of the server's."""

    def answer(question: dns.message.Message) -> dns.message.Message:
        response = dns.message.make_response(question)
        response.set_rcode(code)
        return response

    return answer


does_not_exist = fails(dns.rcode.NXDOMAIN)


def is_silent(_: dns.message.Message) -> None:
    """No answer at all."""


def of_another_name(question: dns.message.Message) -> dns.message.Message:
    """An answer to what was not asked."""
    return _with(question, ("elsewhere.example.", "TXT", ['"elsewhere"']))


def _with(question: dns.message.Message, *sets: tuple[str, str, list[str]]) -> dns.message.Message:
    response = dns.message.make_response(question, recursion_available=True)
    response.answer = [dns.rrset.from_text_list(name, 0, "IN", kind, values) for name, kind, values in sets]
    return response


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if (answer := self._server.reply(data, "udp")) is not None:
            self._transport.sendto(answer, addr)


@contextlib.asynccontextmanager
async def serving_dns() -> AsyncGenerator[DnsServer]:
    """A server that runs until the test is over."""
    server = DnsServer()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            length = int.from_bytes(await reader.readexactly(2), "big")
            if (answer := server.reply(await reader.readexactly(length), "tcp")) is not None:
                writer.write(len(answer).to_bytes(2, "big") + answer)
                await writer.drain()
        writer.close()

    loop = asyncio.get_running_loop()
    while True:
        streams = await asyncio.start_server(serve, "127.0.0.1", 0)
        server.port = streams.sockets[0].getsockname()[1]
        address = "127.0.0.1", server.port
        try:
            datagrams, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(server), local_addr=address)
            break
        except OSError as error:
            # What is free for streams may be somebody's for datagrams.
            streams.close()
            if error.errno != errno.EADDRINUSE:
                raise
    yield server
    datagrams.close()
    streams.close()
