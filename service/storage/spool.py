"""The spool: records on a disk of our own that are to reach the database later, whatever happens to this process meanwhile.

    append    done when the record is on the disk; many that wait together are one write and one fsync
    take      the oldest records that were not taken yet, in the order in which they were appended
    release   the oldest taken records are done; a file that holds nothing else is removed
    adopt     take over the files of processes that are gone
    refused   what carries no seal of ours is never taken: it goes to the file ``refused`` (see spool_seals.py)
    dead_letter   leaves to the operator what cannot be dealt with, in the file ``aside``; renamed ``*.spool`` it is taken again
    dead_letters, drop_dead_letters   what lies there for the operator, and how some of it goes

What it promises is at least once: what was appended and not released is taken again by whoever adopts the file, so whoever
takes records must be able to bear each twice.

The files are spool_files.py's, which blocks: here it runs in a thread. What a record is in them is spool_records.py's.

    the spool is full      ``SpoolFull``, at once: nothing is written
    the disk refuses       ``SpoolRefused``: what was appended together fails together, the file is cut back and not used again
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Container
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from service.observability import metrics
from service.storage.spool_files import SEGMENT_BYTES, SpoolFiles
from service.storage.spool_records import frame
from service.storage.spool_seals import Seals

T = TypeVar("T")

_TURNS_BEFORE_WRITING = 2


class SpoolFull(Exception):
    """There is as much in the spool as may be."""


class SpoolRefused(Exception):
    """The disk does not take what is written to it."""


class Spool:
    """The spool of one process in ``directory``, of at most ``bytes_max`` with what it adopts. ``close`` it in the end.

    Nothing here waits for the disk on the event loop. A directory that cannot be used refuses every record, no more.
    """

    def __init__(
        self, directory: Path, *, bytes_max: int, segment_bytes: int = SEGMENT_BYTES, seals: Seals | None = None
    ) -> None:
        """Without ``seals`` whatever is in the files is taken."""
        self.arrived = asyncio.Event()
        """Set when there may be something to take; the consumer clears it."""
        self._files = SpoolFiles(directory, segment_bytes=segment_bytes, seals=seals)
        self._seals = seals
        self._bytes_max = bytes_max
        self._waiting: deque[tuple[bytes, asyncio.Future[None]]] = deque()
        self._waiting_bytes = 0
        self._writing: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spool")

    @property
    def bytes(self) -> int:
        """How much is in it, or about to be."""
        return self._files.bytes + self._waiting_bytes

    @property
    def fullness(self) -> float:
        """How much of what may be in it is."""
        return self.bytes / self._bytes_max if self._bytes_max else 1.0

    def append(self, record: bytes, *, share: float = 1.0) -> asyncio.Future[None]:
        """Put ``record`` on the disk; it is there when what is returned is done, or what is returned says why it is not.

        ``share`` is how full the spool may be for this record to be taken. A caller that waits less may give what was
        returned a result: the record is in line all the same.
        """
        framed = self._frame(record)
        if self.bytes + len(framed) > self._bytes_max * share:
            metrics.spool_refused.labels("full").inc()
            raise SpoolFull
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((framed, written))
        self._waiting_bytes += len(framed)
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        return written

    async def take(self, limit: int) -> list[bytes]:
        """At most ``limit`` records; none when there are none, or when the disk does not give them."""
        return await self._in_thread(lambda: self._files.take(limit))

    async def release(self, count: int) -> None:
        """The oldest ``count`` of those taken are dealt with."""
        await self._in_thread(lambda: self._files.release(count))
        self._tell()

    async def adopt(self) -> int:
        """Take over what processes that are gone have left; says how many files."""
        found = await self._in_thread(self._files.adopt)
        if found:
            self._tell()
            self.arrived.set()
        return found

    async def dead_letter(self, record: bytes) -> None:
        """Move ``record`` to the dead letters, if the disk has room."""
        await self._in_thread(lambda: self._files.dead_letter(self._frame(record)))

    async def dead_letters(self) -> dict[bytes, bytes]:
        """The dead letters and what was refused, without seals, each by what it is in its file."""
        return await self._in_thread(self._files.dead_letters)

    async def drop_dead_letters(self, dropped: Container[bytes]) -> None:
        """Remove some of these, named by what they are in their files."""
        await self._in_thread(lambda: self._files.drop_dead_letters(dropped))

    async def close(self) -> None:
        """Leave what was not released to the next process."""
        if self._writing is not None:
            await self._writing
        await self._in_thread(self._files.close)
        self._thread.shutdown()

    def _frame(self, record: bytes) -> bytes:
        return frame(record if self._seals is None else self._seals.seal(record))

    async def _write(self) -> None:
        while self._waiting:
            # Who is about to append, in this turn of the loop, comes along: an fsync costs the same for one and for many.
            for _ in range(_TURNS_BEFORE_WRITING):
                await asyncio.sleep(0)
            batch, self._waiting = self._waiting, deque()
            try:
                await self._in_thread(lambda framed=[framed for framed, _ in batch]: self._files.append(framed))
            except Exception as error:
                metrics.spool_refused.labels("disk").inc(len(batch))
                self._answer(batch, error)
            else:
                metrics.spool_appended.inc(len(batch))
                self._answer(batch, None)
                self.arrived.set()
            self._waiting_bytes -= sum(len(framed) for framed, _ in batch)
            self._tell()
        self._writing = None

    def _answer(self, batch: deque[tuple[bytes, asyncio.Future[None]]], error: Exception | None) -> None:
        for _, written in batch:
            if written.done():
                continue
            if error is None:
                written.set_result(None)
            else:
                refused = SpoolRefused()
                refused.__cause__ = error
                written.set_exception(refused)

    def _tell(self) -> None:
        metrics.spool_bytes.set(self.bytes)

    async def _in_thread(self, do: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, do)
