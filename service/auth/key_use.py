"""When keys were last used: noted in memory, and written by the way about once a minute."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import Any

import asyncpg
import structlog

from service.auth.tables import api_key
from service.storage.database import is_away

WRITE_EVERY_S = 60.0
STOP_TIMEOUT_S = 2.0

# Several processes see the same key: one of them is enough.
_WRITE = f"""
    UPDATE {api_key.fullname} SET last_used_at = $2::timestamptz
    WHERE api_key_id = $1 AND (last_used_at IS NULL OR last_used_at < $2::timestamptz - interval '30 seconds')
"""


class KeyUse:
    """The keys used since the last write. A context manager that writes in the background while it is open."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool = pool
        self._seen: dict[int, datetime] = {}
        self._writer: asyncio.Task[None] | None = None

    async def __aenter__(self) -> KeyUse:
        self._writer = asyncio.create_task(self._write_for_ever())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._write_or_leave_it(), STOP_TIMEOUT_S)

    def note(self, api_key_id: int) -> None:
        """Remember that a key is used now."""
        self._seen[api_key_id] = datetime.now(UTC)

    async def write(self) -> None:
        """Write the keys used. One statement per key: two processes that update several rows could deadlock."""
        seen, self._seen = self._seen, {}
        for api_key_id, at in seen.items():
            await self._pool.execute(_WRITE, api_key_id, at)

    async def _write_or_leave_it(self) -> None:
        try:
            await self.write()
        except Exception as error:
            # Nobody waits for it, and the next minute is as good: a key that is in use is noted again.
            if not is_away(error):
                structlog.get_logger().error("key_use_not_written", error=type(error).__name__)

    async def _write_for_ever(self) -> None:
        while True:
            await asyncio.sleep(WRITE_EVERY_S)
            await self._write_or_leave_it()
