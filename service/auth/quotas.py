"""Quotas: how many items a key may send in a minute, over all processes together.

The counter of a key is a row of the database. A process takes items out of it a twentieth of the quota at a time and hands
them out from memory, so one request in many pays for a round trip. What a process has taken and not used is lost with the
minute: with several processes a key may be refused a few items early, and never gets one too many.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Any

import asyncpg
import msgspec

from service.http.problems import Problem

WINDOW_S = 60
LEASES_A_WINDOW = 20

_LEASE = "SELECT taken, remaining, lasts_s FROM rewards.lease_quota_v1($1, $2)"


class _Share(msgspec.Struct):
    """What this process has of a key's running minute, and what there was for everybody when it last asked."""

    left: int
    remaining: int
    ends_at: float


class Standing(msgspec.Struct, frozen=True):
    """How a key stands with its quota, as told in ``RateLimit`` headers."""

    quota: int
    remaining: int
    resets_in_s: int

    def headers(self) -> dict[str, str]:
        """Return the headers of draft-ietf-httpapi-ratelimit-headers."""
        return {
            "RateLimit-Policy": f'"items";q={self.quota};w={WINDOW_S}',
            "RateLimit": f'"items";r={self.remaining};t={self.resets_in_s}',
        }


class Quotas:
    """This process's shares of all keys' quotas."""

    def __init__(self, pool: asyncpg.Pool[Any], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._pool = pool
        self._clock = clock
        self._shares: dict[int, _Share] = {}
        self._asking: dict[int, asyncio.Lock] = {}

    async def take(self, api_key_id: int, quota: int, items: int) -> bool:
        """Take ``items`` out of the running minute: all of them, or none when there are fewer."""
        if self._take(api_key_id, items):
            return True
        async with self._asking.setdefault(api_key_id, asyncio.Lock()):
            # Who waited for the lock may find what another has brought.
            if self._take(api_key_id, items):
                return True
            share = self._running(api_key_id)
            if share is not None and share.left + share.remaining < items:
                # What others have taken does not come back before the minute is over.
                return False
            await self._lease(api_key_id, max(items - (share.left if share else 0), quota // LEASES_A_WINDOW, 1))
            return self._take(api_key_id, items)

    def standing(self, api_key_id: int, quota: int) -> Standing:
        """What is left, as this process knows it."""
        share = self._running(api_key_id)
        if share is None:
            return Standing(quota, quota, WINDOW_S)
        return Standing(quota, min(quota, share.left + share.remaining), max(1, math.ceil(share.ends_at - self._clock())))

    def _running(self, api_key_id: int) -> _Share | None:
        share = self._shares.get(api_key_id)
        return share if share is not None and self._clock() < share.ends_at else None

    def _take(self, api_key_id: int, items: int) -> bool:
        share = self._running(api_key_id)
        if share is None or share.left < items:
            return False
        share.left -= items
        return True

    async def _lease(self, api_key_id: int, wanted: int) -> None:
        # The minute counts from the question, so that ours is over before the database's is.
        asked_at, before = self._clock(), self._running(api_key_id)
        row = await self._pool.fetchrow(_LEASE, api_key_id, wanted)
        if row is None:
            # The quota was taken away a moment ago, and the key is still remembered as having one.
            self._shares[api_key_id] = _Share(wanted, 0, asked_at + 1)
            return
        ends_at, left = asked_at + row["lasts_s"], row["taken"]
        if before is not None and ends_at < before.ends_at + WINDOW_S / 2:
            # Still the same minute: what is left of it is ours too.
            ends_at, left = min(ends_at, before.ends_at), left + before.left
        self._shares[api_key_id] = _Share(left, row["remaining"], ends_at)


def exceeded(standing: Standing) -> Problem:
    """Return the problem of a request for more than is left."""
    return Problem(
        "quota_exceeded",
        f"The key may send {standing.quota} items a minute and has {standing.remaining} left.",
        headers={"Retry-After": str(standing.resets_in_s)},
    )


def too_many(quota: int, items: int) -> Problem:
    """Return the problem of a batch that no minute has room for."""
    return Problem("too_large", f"The batch has {items} items, and the key may send {quota} a minute: send smaller batches.")
