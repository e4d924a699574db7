"""`rewards worker` in a process of its own, for tests that kill it."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from service.settings import Settings

REWARDS = Path(sys.executable).with_name("rewards")

_WAITING = """
SELECT array_agg(pid) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%' || $1 || '%'
"""


@contextlib.contextmanager
def real_worker(settings: Settings) -> Generator[subprocess.Popen[bytes]]:
    """Run a worker, which is dead at the end."""
    with subprocess.Popen([REWARDS, "worker", "--with-parent"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as worker:
        assert worker.stdin is not None
        worker.stdin.write(msgspec.json.encode(settings) + b"\n")
        worker.stdin.flush()
        yield worker
        worker.kill()


async def until_waiting(owner: asyncpg.Connection[Any], function: str, worker: subprocess.Popen[bytes]) -> list[int]:
    """Wait until a worker waits for a lock in a call of ``function``. Returns the processes of the database that do."""

    def is_there() -> None:
        assert worker.poll() is None, "it ended"

    return await waiting_for_a_lock(owner, function, check=is_there)


async def waiting_for_a_lock(
    owner: asyncpg.Connection[Any], named: str, *, check: Callable[[], None] = lambda: None
) -> list[int]:
    """Wait until somebody waits for a lock in a statement with ``named`` in it. Returns the database's processes that do."""
    async with asyncio.timeout(30):
        while not (waiting := await owner.fetchval(_WAITING, named)):
            check()
            await asyncio.sleep(0.02)
            # Within a transaction the view says what it said first.
            await owner.execute("SELECT pg_stat_clear_snapshot()")
    return waiting
