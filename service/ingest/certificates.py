"""Certificates that a provider's messages are signed with: fetched when they are first needed, and kept for a while.

Checking a signature waits for nobody. A certificate that is not there is fetched, and the signature is checked again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from service.egress.fetching import FetchFailed

Value = TypeVar("Value")

KEPT_S = 86_400.0
KEPT_MAX = 100
FAILED_S = 10.0
"""So long a URL from which nothing came is not asked again."""


class NotFetchedYet(OSError):
    """The certificate at a URL is not there yet."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url = url


class Certificates:
    """Certificates by URL. ``fetch`` gets one, or raises `FetchFailed`."""

    def __init__(self, fetch: Callable[[str], Awaitable[bytes]], clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._clock = clock
        self._kept: dict[str, tuple[float, bytes]] = {}
        self._fetching: dict[str, asyncio.Task[bytes]] = {}
        self._failed: dict[str, float] = {}

    def at(self, url: str) -> bytes:
        """The certificate at a URL, if it is there. Raises `NotFetchedYet`."""
        fetched_at, certificate = self._kept.get(url, (0.0, b""))
        if not certificate or self._clock() > fetched_at + KEPT_S:
            raise NotFetchedYet(url)
        return certificate

    async def learn(self, url: str) -> None:
        """Fetch the certificate at a URL, once for all who wait for it. Raises `FetchFailed`."""
        if self._clock() < self._failed.get(url, 0.0):
            raise FetchFailed("did not come a moment ago")
        fetching = self._fetching.get(url)
        if fetching is None:
            fetching = self._fetching[url] = asyncio.create_task(self._learn(url))
            fetching.add_done_callback(lambda _: self._fetching.pop(url, None))
        await asyncio.shield(fetching)

    async def _learn(self, url: str) -> bytes:
        try:
            certificate = await self._fetch(url)
        except FetchFailed:
            _keep(self._failed, url, self._clock() + FAILED_S)
            raise
        _keep(self._kept, url, (self._clock(), certificate))
        return certificate


def _keep(kept: dict[str, Value], url: str, value: Value) -> None:
    kept.pop(url, None)
    while len(kept) >= KEPT_MAX:
        del kept[next(iter(kept))]
    kept[url] = value
