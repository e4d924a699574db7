"""HTTP as nobody should write it: bytes on a connection of one's own, whole, in part, or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Sequence

import msgspec

ANSWER_WITHIN_S = 20.0
_SENT_AT_ONCE = 65_536


class Shot(msgspec.Struct, frozen=True):
    """What is sent on one connection, and whether all of it is there: what is not is never sent."""

    name: str
    data: bytes
    is_whole: bool = True


class Answer(msgspec.Struct, frozen=True):
    """What came back: a status, 0 if there was none, and the beginning of the body."""

    status: int
    body: bytes


def request(method: str, target: str, headers: Sequence[tuple[str, str]] = (), body: bytes | None = None) -> bytes:
    """A request in the usual form, with whatever headers."""
    names = {name.lower() for name, _ in headers}
    lines = [f"{method} {target} HTTP/1.1"]
    if "host" not in names:
        lines.append("Host: 127.0.0.1")
    lines += [f"{name}: {value}" for name, value in headers]
    if body is not None and names.isdisjoint({"content-length", "transfer-encoding"}):
        lines.append(f"Content-Length: {len(body)}")
    lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + (body or b"")


async def send(port: int, shot: Shot) -> Answer:
    """Send a shot and read what comes back. One that is not whole is left lying for a moment and then dropped."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return Answer(0, b"not connected")
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            return await _exchange(reader, writer, shot)
    except TimeoutError:
        return Answer(0, b"no answer in time" if shot.is_whole else b"")
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return Answer(0, b"")
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, shot: Shot) -> Answer:
    with contextlib.suppress(OSError):
        # An answer may come, and the connection be closed, before all of it is sent.
        for start in itertools.count(0, _SENT_AT_ONCE):
            if start >= len(shot.data) or reader.at_eof():
                break
            writer.write(shot.data[start : start + _SENT_AT_ONCE])
            await writer.drain()
    if not shot.is_whole:
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(_read(reader), 0.05)
        return Answer(0, b"")
    return await _read(reader)


async def _read(reader: asyncio.StreamReader) -> Answer:
    head = await reader.readline()
    while head.startswith(b"HTTP/1.1 1"):
        await reader.readuntil(b"\r\n\r\n")
        head = await reader.readline()
    words = head.split(b" ")
    status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
    rest = await reader.read(_SENT_AT_ONCE)
    return Answer(status, rest.partition(b"\r\n\r\n")[2])
