"""Calling an API over HTTPS: a request to addresses that were checked, and the whole answer, of a bounded length.

No redirect is followed, no proxy of the environment is used, and the host's certificate is checked.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

import httptools
import msgspec

from service.egress.addresses import AddressRefused
from service.egress.hosts import HostRefused
from service.egress.resolving import Pinned, Resolver, ResolvingFailed

CALL_TIMEOUT_S = 30.0
ANSWER_BYTES_MAX = 4 * 1024 * 1024
_READ_BYTES = 64 * 1024
_HTTPS, _HTTP = 443, 80


class CallFailed(OSError):
    """There is no answer; the message says why."""


class Request(msgspec.Struct, frozen=True):
    """What is asked. ``target`` is the path and query; ``headers`` are without those of HTTP itself."""

    method: str
    target: str
    headers: Mapping[str, str] = {}
    body: bytes = b""


class Answer(msgspec.Struct, frozen=True):
    """What was answered."""

    status: int
    body: bytes


class _Received:
    """What the parser finds."""

    def __init__(self) -> None:
        self.body = bytearray()
        self.is_whole = False

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.is_whole = True


def target_of(url: str) -> str:
    """The path and query of a URL. Raises `CallFailed`."""
    parts = urlsplit(url)
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    if not target.isascii() or not target.isprintable() or " " in target:
        raise CallFailed("is no URL")
    return target


async def pinned_to(resolver: Resolver, url: str) -> Pinned:
    """The addresses of the host of an ``https`` URL, each of them public. Raises `CallFailed`."""
    if not url.startswith("https://"):
        raise CallFailed("is no https URL")
    try:
        return await resolver.pin(urlsplit(url).netloc)
    except (ResolvingFailed, HostRefused, AddressRefused) as error:
        raise CallFailed(str(error)) from error


async def call_at(
    pinned: Pinned,
    request: Request,
    context: ssl.SSLContext | None,
    *,
    timeout_s: float = CALL_TIMEOUT_S,
    bytes_max: int = ANSWER_BYTES_MAX,
) -> Answer:
    """Ask a host; without a ``context`` it is not encrypted, which only this machine may be asked so. Raises `CallFailed`."""
    try:
        async with asyncio.timeout(timeout_s):
            return await _call(pinned, request, context, bytes_max)
    except TimeoutError as error:
        raise CallFailed(f"did not answer within {timeout_s:.0f} s") from error
    except (OSError, httptools.HttpParserError) as error:
        raise CallFailed(str(error) or type(error).__name__) from error


async def _call(pinned: Pinned, request: Request, context: ssl.SSLContext | None, bytes_max: int) -> Answer:
    address, port = str(pinned.addresses[0]), pinned.port or (_HTTPS if context else _HTTP)
    named = pinned.name if context else None
    reader, writer = await asyncio.open_connection(address, port, ssl=context, server_hostname=named)
    try:
        writer.write(_head(pinned, request) + request.body)
        received = _Received()
        parser = httptools.HttpResponseParser(received)
        while not received.is_whole and (data := await reader.read(_READ_BYTES)):
            parser.feed_data(data)
            if len(received.body) > bytes_max:
                raise CallFailed("is too long")
    finally:
        writer.close()
    if not received.is_whole:
        raise CallFailed("is not there, or not whole")
    return Answer(parser.get_status_code(), bytes(received.body))


def _head(pinned: Pinned, request: Request) -> bytes:
    length = {"Content-Length": str(len(request.body))} if request.body or request.method != "GET" else {}
    host = pinned.name if pinned.port is None else f"{pinned.name}:{pinned.port}"
    lines = {"Host": host, **request.headers, **length, "Connection": "close"}
    if any(not text.isascii() or not text.isprintable() for pair in lines.items() for text in pair):
        raise CallFailed("has a header that cannot be sent")
    head = [f"{request.method} {request.target} HTTP/1.1", *(f"{name}: {value}" for name, value in lines.items())]
    return "\r\n".join([*head, "", ""]).encode()
