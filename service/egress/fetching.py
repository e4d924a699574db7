"""Getting something over HTTPS from a host that others named: from addresses that were checked, whole, and of a bounded length.

No redirect is followed, no proxy of the environment is used, and the host's certificate is checked.
"""

from __future__ import annotations

import asyncio
import ssl
from urllib.parse import urlsplit

import httptools

from service.egress.addresses import AddressRefused
from service.egress.hosts import HostRefused
from service.egress.resolving import Pinned, Resolver, ResolvingFailed

FETCH_TIMEOUT_S = 5.0
BYTES_MAX = 64 * 1024
_HTTPS = 443
_OK = 200


class FetchFailed(OSError):
    """It cannot be had now; the message says why."""


class _Response:
    """What the parser finds."""

    def __init__(self) -> None:
        self.body = bytearray()
        self.is_whole = False

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.is_whole = True


async def get(resolver: Resolver, url: str) -> bytes:
    """What is at an ``https`` URL. Raises `FetchFailed`."""
    parts = urlsplit(url)
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    if parts.scheme != "https" or not target.isascii() or not target.isprintable() or " " in target:
        raise FetchFailed("is no https URL")
    try:
        pinned = await resolver.pin(parts.netloc)
    except (ResolvingFailed, HostRefused, AddressRefused) as error:
        raise FetchFailed(str(error)) from error
    return await get_from(pinned, target)


async def get_from(pinned: Pinned, target: str, *, context: ssl.SSLContext | None = None) -> bytes:
    """What a host has for a path and query. Raises `FetchFailed`."""
    try:
        async with asyncio.timeout(FETCH_TIMEOUT_S):
            return await _get(pinned, target, context or ssl.create_default_context())
    except (OSError, httptools.HttpParserError) as error:
        raise FetchFailed(str(error) or type(error).__name__) from error


async def _get(pinned: Pinned, target: str, context: ssl.SSLContext) -> bytes:
    address, port = str(pinned.addresses[0]), pinned.port or _HTTPS
    reader, writer = await asyncio.open_connection(address, port, ssl=context, server_hostname=pinned.name)
    try:
        writer.write(f"GET {target} HTTP/1.1\r\nHost: {pinned.name}\r\nConnection: close\r\n\r\n".encode())
        response = _Response()
        parser = httptools.HttpResponseParser(response)
        while not response.is_whole and (data := await reader.read(BYTES_MAX)):
            parser.feed_data(data)
            if len(response.body) > BYTES_MAX:
                raise FetchFailed("is too long")
    finally:
        writer.close()
    if not response.is_whole or parser.get_status_code() != _OK:
        raise FetchFailed("is not there, or not whole")
    return bytes(response.body)
