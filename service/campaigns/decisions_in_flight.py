"""Decisions in flight in this process, so that pausing a campaign can wait for those that saw it running.

now       a context for reading whether a campaign pays and acting on the answer
drained   waits until all that had entered by then have left
"""

from __future__ import annotations

import asyncio
from types import TracebackType


class _Generation:
    """The decisions that began between two calls of ``drained``."""

    __slots__ = ("_empty", "_inside")

    def __init__(self) -> None:
        self._inside = 0
        self._empty: asyncio.Future[None] | None = None

    def __enter__(self) -> None:
        self._inside += 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._inside -= 1
        if self._inside == 0 and self._empty is not None and not self._empty.done():
            self._empty.set_result(None)

    def empty(self) -> asyncio.Future[None]:
        """A future that is done when the last one has left. Nothing enters any more."""
        self._empty = asyncio.get_running_loop().create_future()
        if self._inside == 0:
            self._empty.set_result(None)
        return self._empty


class DecisionsInFlight:
    """Decisions between reading whether a campaign pays and their result."""

    def __init__(self) -> None:
        self.now = _Generation()
        self._before: set[asyncio.Future[None]] = set()

    async def drained(self) -> None:
        """Wait for the decisions in flight now, not for later ones."""
        before = self.now.empty()
        self.now = _Generation()
        self._before.add(before)
        before.add_done_callback(self._before.discard)
        await asyncio.wait([*self._before])
