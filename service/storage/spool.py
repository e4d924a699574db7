"""The spool: records on a disk of our own that are to reach the database later, whatever happens to this process meanwhile.

    append    done when the record is on the disk; many that wait together are one write and one fsync
    take      the oldest records that were not taken yet, in the order in which they were appended
    release   the oldest taken records are done; a file that holds nothing else is removed
    adopt     take over the files of processes that are gone
    refused   what carries no seal of ours is never taken: it goes to the file ``refused`` (see spool_seals.py)
    dead_letter   leaves to the operator what cannot be dealt with, in the file ``aside``; renamed ``*.spool`` it is taken again

What it promises is at least once: what was appended and not released is taken again by whoever adopts the file, so whoever
takes records must be able to bear each twice.

A process has its files for itself: it holds a lock on each, which the kernel takes from it however it ends. A file is records
one after the other, each ``magic, length, CRC-32 of length and payload, payload``. A record that was torn by a kill or damaged
on the disk is passed over, and what follows is found by the magic.

    the spool is full      ``SpoolFull``, at once: nothing is written
    the disk refuses       ``SpoolRefused``: what was appended together fails together, the file is cut back and not used again
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import struct
import time
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, TypeVar

import structlog

from service.observability import metrics
from service.settings import sync
from service.storage.spool_seals import Seals

T = TypeVar("T")

SEGMENT_BYTES = 4 * 1024 * 1024
"""A file that is longer is not appended to: files are removed whole, and after a kill at most so much is taken again."""
RECORD_BYTES_MAX = 32 * 1024

ASIDE = "aside"
REFUSED = "refused"
_SUFFIX = ".spool"
_MAGIC = b"\xc5\x9frs"
_HEADER = struct.Struct("<4sII")
_READ_BYTES = 256 * 1024
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


class _Segment:
    """A file of records, locked by us. ``size`` is how much of it holds what was appended whole."""

    __slots__ = ("file", "path", "read_to", "released", "size", "taken")

    def __init__(self, path: Path, file: int, size: int) -> None:
        self.path = path
        self.file = file
        self.size = size
        self.read_to = 0
        self.taken = 0
        self.released = 0

    @property
    def is_done(self) -> bool:
        return self.read_to >= self.size and self.released == self.taken


class SpoolFiles:
    """The files behind a spool. It blocks, and belongs to one thread at a time."""

    def __init__(self, directory: Path, *, segment_bytes: int = SEGMENT_BYTES, seals: Seals | None = None) -> None:
        self.bytes = 0
        self._seals = seals
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._segments: list[_Segment] = []
        self._active: _Segment | None = None
        self._taken: deque[tuple[_Segment, int]] = deque()

    def append(self, framed: Sequence[bytes]) -> None:
        """Write framed records and wait for the disk. Raises ``OSError``; then none of them will be taken."""
        segment = self._active
        if segment is None or segment.size >= self._segment_bytes:
            segment = self._active = self._create()
        data = b"".join(framed)
        try:
            # The file is opened so that this is the write and the wait for the disk in one.
            if os.write(segment.file, data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            # What the kernel still has of it nobody knows: the file is read up to here, and the next record begins another.
            self._active = None
            with contextlib.suppress(OSError):
                os.ftruncate(segment.file, segment.size)
            self._remove_if_done(segment)
            raise
        segment.size += len(data)
        self.bytes += len(data)

    def take(self, limit: int) -> list[bytes]:
        """The oldest records that were not taken yet."""
        records: list[bytes] = []
        for segment in list(self._segments):
            while segment.read_to < segment.size and len(records) < limit:
                found = self._read(segment, limit - len(records))
                records += found
                if found:
                    segment.taken += len(found)
                    self._taken.append((segment, len(found)))
            self._remove_if_done(segment)
        return records

    def release(self, count: int) -> None:
        """Count the oldest taken as dealt with."""
        while count:
            segment, taken = self._taken.popleft()
            if taken > count:
                self._taken.appendleft((segment, taken - count))
            done = min(taken, count)
            count -= done
            segment.released += done
            self._remove_if_done(segment)

    def adopt(self) -> int:
        """Lock what nobody else has locked, oldest first."""
        ours = {segment.path for segment in self._segments}
        adopted = [
            segment for path in sorted(_listed(self._directory)) if path not in ours and (segment := _lock(path)) is not None
        ]
        active = [] if self._active is None else [self._active]
        self._segments = [*(each for each in self._segments if each is not self._active), *adopted, *active]
        self.bytes += sum(segment.size for segment in adopted)
        return len(adopted)

    def dead_letter(self, framed: bytes, name: str = ASIDE) -> None:
        """Append framed records to a file that nobody takes from."""
        with contextlib.suppress(OSError), self._open_aside(name) as file:
            file.write(framed)
            file.flush()
            os.fsync(file.fileno())

    def close(self) -> None:
        """Let go of all files, and remove those that hold nothing any more."""
        self._active = None
        for segment in list(self._segments):
            self._remove_if_done(segment)
        for segment in self._segments:
            os.close(segment.file)
        self._segments = []
        self._taken.clear()

    def _open_aside(self, name: str) -> BinaryIO:
        return os.fdopen(os.open(self._directory / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")

    def _create(self) -> _Segment:
        if not self._directory.exists():
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync(self._directory.parent)
        while True:
            path = self._directory / f"{time.time_ns():020d}-{os.getpid()}{_SUFFIX}"
            try:
                file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_DSYNC, 0o600)
            except FileExistsError:
                continue
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                sync(self._directory)
            except BlockingIOError:
                # Somebody who adopts was quicker, and will find it empty.
                os.close(file)
                continue
            except OSError:
                os.close(file)
                raise
            segment = _Segment(path, file, 0)
            self._segments.append(segment)
            return segment

    def _read(self, segment: _Segment, limit: int) -> list[bytes]:
        wanted = min(_READ_BYTES, segment.size - segment.read_to)
        try:
            data = os.pread(segment.file, wanted, segment.read_to)
        except OSError:
            data = b""
        is_all = not data or segment.read_to + len(data) >= segment.size
        records, consumed, damaged = unframe(data, limit, is_all=is_all)
        if not data:
            # The disk does not give the rest.
            damaged = consumed = segment.size - segment.read_to
        if damaged:
            metrics.spool_damaged_bytes.inc(damaged)
        segment.read_to += consumed
        return records if self._seals is None else self._unsealed(segment.path.name, records, self._seals)

    def _unsealed(self, file: str, sealed: list[bytes], seals: Seals) -> list[bytes]:
        records: list[bytes] = []
        refused: list[bytes] = []
        for each in sealed:
            record = seals.unseal(each, file)
            if record is not None:
                records.append(record)
                continue
            metrics.spool_refused.labels("seal").inc()
            structlog.get_logger().error("spool_record_refused", file=file)
            refused.append(frame(each))
        if refused:
            self.dead_letter(b"".join(refused), REFUSED)
        return records

    def _remove_if_done(self, segment: _Segment) -> None:
        """Also the file in use, when all in it is dealt with: that one is emptied."""
        if not segment.is_done:
            return
        if segment is self._active:
            if segment.size == 0:
                return
            with contextlib.suppress(OSError):
                os.ftruncate(segment.file, 0)
                self.bytes -= segment.size
                segment.size = segment.read_to = segment.taken = segment.released = 0
                return
            self._active = None
        with contextlib.suppress(OSError):
            segment.path.unlink()
        if self._seals is not None:
            self._seals.is_done(segment.path.name)
        os.close(segment.file)
        self.bytes -= segment.size
        self._segments.remove(segment)


def frame(record: bytes) -> bytes:
    """A record as it is in a file."""
    if len(record) > RECORD_BYTES_MAX:
        raise ValueError("a record is too long")
    return _HEADER.pack(_MAGIC, len(record), _crc(record)) + record


def unframe(data: bytes, limit: int, *, is_all: bool) -> tuple[list[bytes], int, int]:
    """At most ``limit`` records at the beginning of ``data``, how many bytes were read, and how many of them are damaged.

    ``is_all``: no more will follow, so what is cut short stays so.
    """
    records: list[bytes] = []
    at = damaged = 0
    while at < len(data) and len(records) < limit:
        end = at + _HEADER.size
        is_cut_short = end > len(data)
        if not is_cut_short and data.startswith(_MAGIC, at):
            _, length, crc = _HEADER.unpack_from(data, at)
            end += length
            is_cut_short = length <= RECORD_BYTES_MAX and end > len(data)
            if length <= RECORD_BYTES_MAX and not is_cut_short and _crc(record := data[at + _HEADER.size : end]) == crc:
                records.append(record)
                at = end
                continue
        if is_cut_short and not is_all:
            break
        following = data.find(_MAGIC, at + 1)
        if following < 0:
            # The magic itself may be cut in two.
            following = len(data) if is_all else max(at + 1, len(data) - len(_MAGIC) + 1)
        damaged += following - at
        at = following
    return records, at, damaged


def _crc(record: bytes) -> int:
    return zlib.crc32(record, zlib.crc32(len(record).to_bytes(4, "little")))


def names(directory: Path) -> list[str]:
    """What the files of records are called that are there now."""
    return [path.name for path in _listed(directory)]


def _listed(directory: Path) -> list[Path]:
    with contextlib.suppress(OSError):
        return [path for path in directory.iterdir() if path.suffix == _SUFFIX]
    return []


def _lock(path: Path) -> _Segment | None:
    """The file of a process that is gone."""
    try:
        file = os.open(path, os.O_RDWR | os.O_APPEND)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        status = os.fstat(file)
        # Its process, or who adopted it before us, may have removed it since we opened it.
        if status.st_nlink:
            return _Segment(path, file, status.st_size)
    except OSError:
        pass
    os.close(file)
    return None
