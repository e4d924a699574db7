"""Patience: something may take so long and no longer, where thousands a second wait for something.

It is ``asyncio.timeout`` with one timer for all instead of one each, which is set and taken back: a fifth of its time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType
from typing import Any


class SharedTimeout:
    """What all share who wait equally long in one event loop."""

    def __init__(self) -> None:
        self._waits: deque[Deadline] = deque()
        self._is_timed = False

    def within(self, seconds: float) -> Deadline:
        """A context whose body is broken off after so long, with ``TimeoutError``."""
        loop = asyncio.get_running_loop()
        wait = Deadline(loop.time() + seconds)
        self._waits.append(wait)
        if not self._is_timed:
            self._is_timed = True
            loop.call_later(seconds, self._look, loop)
        return wait

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        while self._waits and (self._waits[0].is_over or self._waits[0].ends_at <= now):
            self._waits.popleft().cancel()
        self._is_timed = bool(self._waits)
        if self._is_timed:
            loop.call_at(self._waits[0].ends_at, self._look, loop)


class Deadline:
    """One that waits. ``ends_at`` is by the event loop's clock."""

    __slots__ = ("_breaks_off", "_cancelling", "_task", "ends_at", "is_over")

    def __init__(self, ends_at: float) -> None:
        self.ends_at = ends_at
        self.is_over = False
        self._breaks_off = False
        self._task: asyncio.Task[Any] | None = None
        self._cancelling = 0

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        assert self._task is not None
        self._cancelling = self._task.cancelling()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        task, self._task, self.is_over = self._task, None, True
        if not self._breaks_off or task is None:
            return
        # Who was cancelled by somebody else as well stays cancelled.
        if task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def cancel(self) -> None:
        """Cancel what is being waited for, unless it is over."""
        if self._task is not None:
            self._breaks_off = True
            self._task.cancel()
