"""Reports that are under way in this process, so that who pauses a campaign can wait for those that found it paying.

now      a context for whoever asks whether a campaign pays, and acts on the answer
drained  returns when all that had entered by then have left
"""

from __future__ import annotations

import asyncio
from types import TracebackType


class _Turn:
    """Those who entered between two drainings."""

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
        """Done when nobody is inside; nobody enters any more."""
        self._empty = asyncio.get_running_loop().create_future()
        if self._inside == 0:
            self._empty.set_result(None)
        return self._empty


class UnderWay:
    """Who is between asking whether a campaign pays and what came of it."""

    def __init__(self) -> None:
        self.now = _Turn()
        self._before: set[asyncio.Future[None]] = set()

    async def drained(self) -> None:
        """Wait for all who are inside now. Who enters later is not waited for."""
        before = self.now.empty()
        self.now = _Turn()
        self._before.add(before)
        before.add_done_callback(self._before.discard)
        await asyncio.wait([*self._before])
