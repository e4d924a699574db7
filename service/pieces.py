"""Large batches beside small requests: one process, one event loop, and a till that must not wait.

    in_pieces   long work is cut up, and between two pieces everything else gets its turn
    Room        so many items are in hand at once; what is more waits, still packed, in order of arrival

A batch of 1,000 is some milliseconds of work at every step. Whoever asks for one thing meanwhile needs ten turns of the loop
until she is answered, so no step may hold it for long.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

PIECE = 50
"""So many items at once: half a millisecond or so of each step of a report."""


async def in_pieces(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Do the work on each of ``items``, in order, and return what came of it."""
    whole = items if isinstance(items, Sequence) else list(items)
    done: list[R] = []
    for start in range(0, len(whole), PIECE):
        if start:
            await asyncio.sleep(0)
        done += map(work, whole[start : start + PIECE])
    return done


class Room:
    """Room for ``size`` items of batches."""

    def __init__(self, size: int) -> None:
        self._size = self._left = size
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @contextlib.asynccontextmanager
    async def of(self, items: int) -> AsyncGenerator[None]:
        """Wait for the room of so many items, and hold it; what is larger than all of it waits until nothing else is there."""
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
