"""Each machine says in the database how much waits in its spool, so that whoever closes the books sees it of all machines.

A spool is a directory, with a name in it: processes that share one make the same report. One that is empty when its process is
stopped takes its report back. So an old report is of a machine that died, or does not reach the database: what waits on its
disk is not known.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import uuid
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from service.storage.database import DatabaseAway

FIRST_AFTER_S = 2.0
EVERY_S = 20.0
ENDS_WITHIN_S = 2.0
SILENT_AFTER = timedelta(minutes=5)
FORGOTTEN_AFTER = timedelta(days=40)
"""A month's close has said so by then."""

_NAME = "spool-name"
_SQL = Path(__file__).with_name("sql")
_REPORT = (_SQL / "report_spool.sql").read_text()
_REPORTED = (_SQL / "spools_reported.sql").read_text()
_TAKE_BACK = "DELETE FROM rewards.spool_report WHERE spool = $1 AND files = 0"
_FORGET = "DELETE FROM rewards.spool_report WHERE reported_at < clock_timestamp() - $1::interval"
_FAILURES = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, DatabaseAway)


class Waiting(msgspec.Struct, frozen=True):
    """What all spools report: ``files`` that wait, ``since`` when at the longest, and how many are ``silent``.

    ``machines`` names some of the silent ones.
    """

    files: int
    since: datetime | None
    silent: int
    machines: Sequence[str]


class SpoolReports:
    """Reports on the spool in a directory."""

    def __init__(self, pool: asyncpg.Pool[Any], directory: Path) -> None:
        self._pool = pool
        self._directory = directory
        self._reported = False

    @contextlib.asynccontextmanager
    async def made_now_and_then(self) -> AsyncGenerator[None]:
        """Report until it ends. A report that fails is made later."""
        reporting = asyncio.create_task(self._keep_reporting(), name="spool reports")
        try:
            yield
        finally:
            reporting.cancel()
            await asyncio.gather(reporting, return_exceptions=True)
            if self._reported:
                with contextlib.suppress(*_FAILURES, TimeoutError):
                    await asyncio.wait_for(self._report_for_the_last_time(), ENDS_WITHIN_S)

    async def report(self) -> str:
        """Say how much waits. Returns the spool's name."""
        spool, files = await asyncio.to_thread(lambda: (_name(self._directory), waiting_files(self._directory)))
        await self._pool.execute(_REPORT, spool, socket.gethostname(), files)
        self._reported = True
        return spool

    async def waiting(self) -> Waiting:
        """What waits on all machines, on this one right now."""
        await self.report()
        row = await self._pool.fetchrow(_REPORTED, SILENT_AFTER)
        assert row is not None
        return Waiting(**row)

    async def _keep_reporting(self) -> None:
        await asyncio.sleep(FIRST_AFTER_S)
        while True:
            with contextlib.suppress(*_FAILURES):
                await self.report()
                await self._pool.execute(_FORGET, FORGOTTEN_AFTER)
            await asyncio.sleep(EVERY_S)

    async def _report_for_the_last_time(self) -> None:
        await self._pool.execute(_TAKE_BACK, await self.report())


def waiting_files(directory: Path) -> int:
    """How many files of a spool hold something."""
    try:
        return sum(file.stat().st_size > 0 for file in directory.rglob("*.spool"))
    except OSError:
        return 0


def _name(directory: Path) -> str:
    """The name in the directory, made by whoever asks first; the machine's, if it cannot be used."""
    file = directory / _NAME
    with contextlib.suppress(OSError):
        if not file.exists():
            _make_name(file)
        return file.read_text()
    return socket.gethostname()


def _make_name(file: Path) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = file.with_suffix(f".{uuid.uuid4().hex}")
    try:
        temporary.write_text(uuid.uuid4().hex)
        # A link is made whole or not at all, and by one of those who try.
        with contextlib.suppress(FileExistsError):
            file.hardlink_to(temporary)
    finally:
        temporary.unlink(missing_ok=True)
