"""Batched look-ups: while one runs, further calls queue, and all that wait are the next one. No timers.

A call never joins a look-up that began before it, so the caller sees everything committed before the call.

    nothing runs          the look-up starts at once, with the other calls of the same turn of the event loop
    too much waits        ``TooManyWaiting``, at once
    a look-up fails       its calls fail, and no others
    a caller goes away    the others get their answers; keys that nobody waits for any more are not looked up
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping, Sequence
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class TooManyWaiting(Exception):
    """Too many lookups are waiting; try again later."""

    def __init__(self) -> None:
        super().__init__(type(self).__doc__)


class BatchLoader(Generic[K, V]):
    """Asks ``load`` for many keys at once, one look-up at a time. Caches nothing."""

    def __init__(
        self, load: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]], *, batch_max: int = 1_000, waiting_max: int = 20_000
    ) -> None:
        """``load`` is given each key once, and leaves out what it does not find.

        ``batch_max`` and ``waiting_max`` are numbers of keys. A call is never split: one with more than ``batch_max``
        keys is a batch of its own.
        """
        self._load = load
        self._batch_max = batch_max
        self._waiting_max = waiting_max
        self._calls: deque[tuple[Collection[K], asyncio.Future[Mapping[K, V]]]] = deque()
        self._waiting = 0
        self._running: asyncio.Task[None] | None = None

    async def get(self, key: K) -> V | None:
        """The value of ``key``, if there is one."""
        return (await self._ask((key,))).get(key)

    async def get_many(self, keys: Collection[K]) -> dict[K, V]:
        """The values of those of ``keys`` that have one."""
        if not keys:
            return {}
        found = await self._ask(keys)
        return {key: found[key] for key in keys if key in found}

    def _ask(self, keys: Collection[K]) -> asyncio.Future[Mapping[K, V]]:
        """Queue a call. The answer may include keys of other calls."""
        if self._waiting + len(keys) > self._waiting_max:
            raise TooManyWaiting
        # A future for each call: cancelling one caller cancels the future it waits on.
        answer: asyncio.Future[Mapping[K, V]] = asyncio.get_running_loop().create_future()
        self._calls.append((keys, answer))
        self._waiting += len(keys)
        if self._running is None:
            self._running = asyncio.create_task(self._run(), name="batch loader")
        return answer

    async def _run(self) -> None:
        answers: list[asyncio.Future[Mapping[K, V]]] = []
        try:
            while self._calls:
                keys, answers = self._take()
                if not answers:
                    continue
                try:
                    found = await self._load(keys)
                except Exception as error:
                    for answer in _awaited(answers):
                        answer.set_exception(error)
                else:
                    for answer in _awaited(answers):
                        answer.set_result(found)
        finally:
            # Only shutdown cancels this task; nobody may be left waiting then.
            for answer in _awaited([*answers, *(answer for _, answer in self._calls)]):
                answer.cancel()
            self._calls.clear()
            self._waiting = 0
            self._running = None

    def _take(self) -> tuple[list[K], list[asyncio.Future[Mapping[K, V]]]]:
        """The next batch: calls in order of arrival, without those whose callers went away."""
        keys: dict[K, None] = {}
        answers: list[asyncio.Future[Mapping[K, V]]] = []
        while self._calls and (not keys or len(keys) + len(self._calls[0][0]) <= self._batch_max):
            wanted, answer = self._calls.popleft()
            self._waiting -= len(wanted)
            if not answer.done():
                keys.update(dict.fromkeys(wanted))
                answers.append(answer)
        return list(keys), answers


def _awaited(answers: list[asyncio.Future[Mapping[K, V]]]) -> list[asyncio.Future[Mapping[K, V]]]:
    """Those whose callers are still there."""
    return [answer for answer in answers if not answer.done()]
