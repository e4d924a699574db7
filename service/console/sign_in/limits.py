"""How often anybody may guess who signs in, and how much of the machine that may cost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from service.admission.failed_attempts import FailedAttemptLimiter

T = TypeVar("T")

LOGIN_MISSES_MAX = 10
LOGIN_WINDOW_S = 900.0
"""So many wrong passwords or codes for one login in a quarter of an hour; then none is good until that is over."""
HASHES_AT_ONCE = 2


class SignInLimits:
    """Failed sign-ins by network and by login, in each process for itself, and the passwords that are being hashed."""

    def __init__(self) -> None:
        self.by_network = FailedAttemptLimiter()
        self.by_login = FailedAttemptLimiter(misses_max=LOGIN_MISSES_MAX, window_s=LOGIN_WINDOW_S)
        self._hashes = asyncio.Semaphore(HASHES_AT_ONCE)

    async def hashing(self, work: Callable[..., T], *arguments: str) -> T:
        """Hash a password in a thread, once it is its turn."""
        async with self._hashes:
            return await asyncio.to_thread(work, *arguments)
