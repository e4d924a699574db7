"""The server's protocol, but that an answer's head and body leave the process together.

The server writes them one after the other: two calls of the operating system, two packets, and the client wakes twice.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_keeping: list[CoalescingTransport] = []
"""Those that have kept something in this turn of the event loop."""


class CoalescingTransport:
    """A transport that keeps the first thing written in a turn of the event loop until the next, or the turn's end."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._kept = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if self._kept:
            self._transport.writelines((self._kept, data))
            self._kept = b""
        else:
            self._kept = data
            if not _keeping:
                asyncio.get_running_loop().call_soon(_end_turn)
            _keeping.append(self)

    def write_whole(self, answer: bytes) -> None:
        """Write what is head and body already."""
        self.flush()
        self._transport.write(answer)

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def end_writing(self) -> None:
        """Say that nothing more is written, and go on reading."""
        self.flush()
        self._transport.write_eof()

    def abort(self) -> None:
        self._kept = b""
        self._transport.abort()

    def flush(self) -> None:
        """Write what is kept."""
        if self._kept:
            self._transport.write(self._kept)
            self._kept = b""


def _end_turn() -> None:
    try:
        while _keeping:
            _keeping.pop().flush()
    finally:
        # One whose connection is gone keeps nobody else's answer back.
        if _keeping:
            asyncio.get_running_loop().call_soon(_end_turn)


class OneWriteProtocol(HttpToolsProtocol):
    """HTTP/1.1 with answers of one write."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to talk on a connection."""
        self.one_write = CoalescingTransport(transport)
        super().connection_made(cast("asyncio.Transport", self.one_write))
