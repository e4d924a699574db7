"""Large batches beside small requests, in one process with one event loop.

    in_chunks              cuts long work into chunks, each of which waits for its turn
    yield_turn             one chunk per turn of the event loop, across all batches; small requests go first
    chunk_size             how many items a chunk has: fewer while small requests come
    parts                  what one statement looks up
    count_small_requests   middleware that counts requests without a large body
    WeightedSemaphore      bounds the batch items in flight; the rest waits, still packed, in order of arrival

A batch of 1,000 is some milliseconds of work at every step. A small request needs ten turns of the loop until its answer, so no
step may hold the loop for long, nor may each of several batches take a step in every turn.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from litestar.types import ASGIApp, Receive, Send

T = TypeVar("T")
R = TypeVar("R")

CHUNK = 50
"""Items per chunk: half a millisecond or so of each step of a report."""
CHUNK_ALONE = 200
"""Items per chunk while no small requests come: the first one to come waits a millisecond or two."""
CHUNK_BYTES = 128 * 1024
"""Bytes per chunk of long items: a millisecond or so to read."""
EXPECTED_S = 1.0
"""How long after a small request another is expected."""

YIELDS_MAX = 16
"""How many turns of the loop a chunk lets small requests go first: as many as one needs from its arrival to the database, or
from there to its answer. While they wait for the database these turns cost a fifth of a chunk."""

SMALL_BYTES_MAX = 16 * 1024
"""A request with a longer body is a batch."""


class _TurnQueue:
    """The chunks that wait for their turn, and the number of small requests in flight."""

    def __init__(self) -> None:
        self.small = 0
        self.small_at = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None

    def wait(self) -> asyncio.Future[None]:
        """Queue for a turn."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            # Waiters of another loop, which has ended, are never coming back.
            self._loop = loop
            self._waiting.clear()
        mine: asyncio.Future[None] = loop.create_future()
        self._waiting.append(mine)
        if len(self._waiting) == 1:
            loop.call_soon(self._pass, loop, YIELDS_MAX)
        return mine

    def _pass(self, loop: asyncio.AbstractEventLoop, yields_left: int) -> None:
        while self._waiting and self._waiting[0].done():
            self._waiting.popleft()
        if not self._waiting:
            return
        if self.small and yields_left:
            loop.call_soon(self._pass, loop, yields_left - 1)
            return
        self._waiting.popleft().set_result(None)
        if self._waiting:
            loop.call_soon(self._pass, loop, YIELDS_MAX)


_turns = _TurnQueue()


def yield_turn() -> asyncio.Future[None]:
    """Wait for a turn to hold the event loop, for a millisecond or so."""
    return _turns.wait()


def chunk_size() -> int:
    """How many items a chunk has now."""
    return CHUNK if _turns.small or time.monotonic() - _turns.small_at < EXPECTED_S else CHUNK_ALONE


def parts(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Parts of ``items``, each for a statement of its own: two chunks long, so that no answer holds the event loop for long."""
    start = 0
    while start < len(items):
        part = items[start : start + 2 * chunk_size()]
        start += len(part)
        yield part


def count_small_requests(app: ASGIApp) -> ASGIApp:
    """Wrap the application: requests go before chunks of batches, unless they have a large body themselves."""

    async def counted(scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _is_large(scope):
            await app(scope, receive, send)
            return
        _turns.small += 1
        try:
            await app(scope, receive, send)
        finally:
            _turns.small -= 1
            _turns.small_at = time.monotonic()

    return counted


def _is_large(scope: Any) -> bool:
    for name, value in scope["headers"]:
        if name == b"transfer-encoding":
            return True
        if name == b"content-length" and len(value) >= 5 and value.isdigit() and int(value) > SMALL_BYTES_MAX:
            return True
    return False


async def in_chunks(work: Callable[[T], R], items: Iterable[T], *, bytes_of: Callable[[T], int] | None = None) -> list[R]:
    """Apply ``work`` to each of ``items``, in order.

    ``bytes_of`` is given where items may be long: then a chunk has fewer of them.
    """
    whole = items if isinstance(items, Sequence) else list(items)
    if len(whole) <= CHUNK and bytes_of is None:
        return list(map(work, whole))
    done: list[R] = []
    while len(done) < len(whole):
        await yield_turn()
        part = whole[len(done) : len(done) + chunk_size()]
        done += map(work, part if bytes_of is None else _light(part, bytes_of))
    return done


def _light(part: Sequence[T], bytes_of: Callable[[T], int]) -> Sequence[T]:
    """The first of ``part``: at least one, and as many as fit into ``CHUNK_BYTES``."""
    taken = 1
    length = bytes_of(part[0])
    while taken < len(part) and (length := length + bytes_of(part[taken])) <= CHUNK_BYTES:
        taken += 1
    return part[:taken]


class WeightedSemaphore:
    """Bounds the items of batches in flight to ``size``."""

    def __init__(self, size: int) -> None:
        self._size = self._left = size
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @contextlib.asynccontextmanager
    async def hold(self, items: int) -> AsyncGenerator[None]:
        """Hold a weight of ``items``, waiting for it. More than ``size`` waits until nothing else is held."""
        items = min(items, self._size)
        if self._waiting or items > self._left:
            granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((items, granted))
            try:
                await granted
            except asyncio.CancelledError:
                if granted.done() and not granted.cancelled():
                    self._give_back(items)
                raise
        else:
            self._left -= items
        try:
            yield
        finally:
            self._give_back(items)

    def _give_back(self, items: int) -> None:
        self._left += items
        while self._waiting:
            wanted, granted = self._waiting[0]
            if granted.done():
                self._waiting.popleft()
                continue
            if wanted > self._left:
                return
            self._waiting.popleft()
            self._left -= wanted
            granted.set_result(None)
