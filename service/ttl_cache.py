"""Remembers what a query answered for a moment, and asks once however many wait for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class TtlCache(Generic[K, V]):
    """Values by key, at most ``ttl_s`` old and at most ``size_max`` of them. A failure is not remembered."""

    def __init__(
        self,
        load: Callable[[K], Awaitable[V]],
        *,
        ttl_s: float,
        size_max: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load = load
        self._ttl_s = ttl_s
        self._size_max = size_max
        self._clock = clock
        self._kept: dict[K, tuple[float, V]] = {}
        self._loading: dict[K, asyncio.Task[V]] = {}

    async def get(self, key: K) -> V:
        """Return the value of ``key``, loading it when it is not known or too old."""
        kept = self._kept.get(key)
        if kept is not None and self._clock() - kept[0] < self._ttl_s:
            return kept[1]
        loading = self._loading.get(key)
        if loading is None:
            loading = asyncio.create_task(self._load_and_keep(key))
            in_flight = self._loading
            in_flight[key] = loading
            loading.add_done_callback(lambda _: in_flight.pop(key, None))
        # A caller that goes away must not fail the others who wait for the same answer.
        return await asyncio.shield(loading)

    def clear(self) -> None:
        """Forget everything, also what is being loaded at this moment."""
        self._kept = {}
        self._loading = {}

    async def _load_and_keep(self, key: K) -> V:
        # The age counts from the question: what was true before the answer was asked for is not promised.
        asked_at, kept = self._clock(), self._kept
        value = await self._load(key)
        kept.pop(key, None)
        while len(kept) >= self._size_max:
            del kept[next(iter(kept))]
        kept[key] = (asked_at, value)
        return value
