"""An answer's head and body are one write; a head whose body is not there yet goes out by itself."""

from __future__ import annotations

import asyncio
from typing import Any

from service.server.coalescing_transport import CoalescingTransport


class Transport:
    """Remembers what was written, call by call."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed_after: int | None = None

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def writelines(self, parts: tuple[bytes, ...]) -> None:
        self.written.append(b"".join(parts))

    def close(self) -> None:
        self.closed_after = len(self.written)

    def is_closing(self) -> bool:
        return False


def one_write() -> tuple[Any, Transport]:
    transport: Any = Transport()
    return CoalescingTransport(transport), transport


async def test_a_head_goes_with_its_body() -> None:
    joined, transport = one_write()
    joined.write(b"head ")
    assert transport.written == []
    joined.write(b"body")
    assert transport.written == [b"head body"]
    await asyncio.sleep(0)
    assert transport.written == [b"head body"]


async def test_a_head_alone_goes_at_the_end_of_the_turn() -> None:
    joined, transport = one_write()
    joined.write(b"head ")
    await asyncio.sleep(0)
    assert transport.written == [b"head "]
    joined.write(b"body")
    joined.write(b" and more")
    await asyncio.sleep(0)
    assert b"".join(transport.written) == b"head body and more"


async def test_a_whole_answer_goes_at_once_after_what_is_kept() -> None:
    joined, transport = one_write()
    joined.write(b"head ")
    joined.write_whole(b"whole")
    assert transport.written == [b"head ", b"whole"]
    await asyncio.sleep(0)
    assert transport.written == [b"head ", b"whole"]


async def test_a_connection_that_is_gone_keeps_no_other_head_back() -> None:
    def refuse(data: bytes) -> None:
        raise RuntimeError(data)

    (before, first), (gone, broken), (after, last) = one_write(), one_write(), one_write()
    broken.write = refuse
    for each in before, gone, after:
        each.write(b"head")
    failures: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context["exception"]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (first.written, last.written, len(failures)) == ([b"head"], [b"head"], 1)


async def test_what_is_kept_is_written_before_the_connection_is_closed() -> None:
    joined, transport = one_write()
    joined.write(b"all")
    joined.close()
    assert (transport.written, transport.closed_after) == ([b"all"], 1)


def test_everything_else_is_the_transports_own() -> None:
    joined, _ = one_write()
    assert joined.is_closing() is False
