"""A cache for a moment, which loads a value once however many callers wait for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class TtlCache(Generic[K, V]):
    """Values by key, never older than ``ttl_s`` and at most ``size_max`` of them. A failure is not remembered.

    Nor is ``None``, for a missing value: after it is created, no process may say that it is missing. Repeated requests for a
    missing value share one look-up at a time. ``keeps_none`` is for values that nobody can ask for before they exist.

    From half of ``ttl_s`` on a value is asked for again while the one before is still given out. So nobody waits for what is
    asked for all the time, and what has changed is known no later than without that.
    """

    def __init__(
        self,
        load: Callable[[K], Awaitable[V]],
        *,
        ttl_s: float,
        size_max: int = 10_000,
        keeps_none: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load = load
        self._ttl_s = ttl_s
        self._refresh_after_s = ttl_s / 2
        self._size_max = size_max
        self._keeps_none = keeps_none
        self._clock = clock
        self._kept: dict[K, tuple[float, V]] = {}
        self._loading: dict[K, asyncio.Task[V]] = {}

    async def get(self, key: K) -> V:
        """Return the value of ``key``, loading it when it is not known or too old."""
        kept = self._kept.get(key)
        if kept is None:
            return await self._loaded(key)
        age_s = self._clock() - kept[0]
        if age_s >= self._ttl_s:
            return await self._loaded(key)
        if age_s >= self._refresh_after_s:
            self._begin(key)
        return kept[1]

    async def get_now(self, key: K) -> V:
        """Return the value of ``key`` as it is now: looked up after this was called."""
        under_way = self._loading.get(key)
        if under_way is not None:
            # It was begun before, so what it finds may be old. Its failure is no news: this asks again.
            await asyncio.wait([under_way])
        return await asyncio.shield(self._begin(key))

    def forget(self, key: K) -> None:
        """Forget one value, also what is being loaded of it at this moment."""
        self._kept.pop(key, None)
        self._loading.pop(key, None)

    def clear(self) -> None:
        """Forget everything, also what is being loaded at this moment."""
        self._kept = {}
        self._loading = {}

    async def _loaded(self, key: K) -> V:
        was_under_way = key in self._loading
        # A caller that goes away must not fail the others who wait for the same answer.
        value = await asyncio.shield(self._begin(key))
        if was_under_way and (value is None or self._is_too_old(key)):
            # Whatever is under way by now was begun after this was called.
            return await asyncio.shield(self._begin(key))
        return value

    def _is_too_old(self, key: K) -> bool:
        kept = self._kept.get(key)
        return kept is not None and self._clock() - kept[0] >= self._ttl_s

    def _begin(self, key: K) -> asyncio.Task[V]:
        """Load ``key``, unless that is under way."""
        loading = self._loading.get(key)
        if loading is None:
            loading = asyncio.create_task(self._load_and_keep(key))
            in_flight = self._loading
            in_flight[key] = loading

            def done(task: asyncio.Task[V]) -> None:
                if in_flight.get(key) is task:
                    del in_flight[key]
                # Nobody may be waiting for it: then its failure is no news before the value is too old.
                if not task.cancelled():
                    task.exception()

            loading.add_done_callback(done)
        return loading

    async def _load_and_keep(self, key: K) -> V:
        # The age counts from the question: what was true before the answer was asked for is not promised.
        asked_at, kept = self._clock(), self._kept
        value = await self._load(key)
        if self._loading.get(key) is not asyncio.current_task() and kept is self._kept:
            # It was forgotten meanwhile, so this may be from before the change.
            return value
        kept.pop(key, None)
        if value is None and not self._keeps_none:
            return value
        while len(kept) >= self._size_max:
            del kept[next(iter(kept))]
        kept[key] = (asked_at, value)
        return value
