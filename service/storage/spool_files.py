"""The files of a spool, each one record after the other (see spool_records.py).

A process has its files for itself: it holds a lock on each, which the kernel takes from it however it ends. A file is removed
when all of its records are released.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections import deque
from collections.abc import Container, Sequence
from pathlib import Path
from typing import BinaryIO

import structlog

from service.observability import metrics
from service.settings import replace_private, sync
from service.storage.spool_records import frame, unframe
from service.storage.spool_seals import Seals, unsealed

SEGMENT_BYTES = 4 * 1024 * 1024
"""A file that is longer is not appended to: files are removed whole, and after a kill at most so much is taken again."""

ASIDE = "aside"
REFUSED = "refused"
ENVELOPES = "envelopes"
"""The directory, beside the files of acts, with those of what messaging providers sent."""
_SUFFIX = ".spool"
_READ_BYTES = 256 * 1024


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

    def dead_letters(self) -> dict[bytes, bytes]:
        """What nobody takes: each record without its seal, by what it is in its file."""
        found: dict[bytes, bytes] = {}
        for name in (ASIDE, REFUSED):
            with contextlib.suppress(OSError):
                data = (self._directory / name).read_bytes()
                records, _, _ = unframe(data, len(data), is_all=True)
                found |= {each: unsealed(each) for each in records}
        return found

    def drop_dead_letters(self, dropped: Container[bytes]) -> None:
        """Rewrite the files of what nobody takes without these records, named by what they are there."""
        for name in (ASIDE, REFUSED):
            with contextlib.suppress(OSError), self._open_aside(name) as file:
                data = (self._directory / name).read_bytes()
                records, _, _ = unframe(data, len(data), is_all=True)
                kept = [frame(each) for each in records if each not in dropped]
                if len(kept) < len(records):
                    replace_private(self._directory / name, b"".join(kept))
                    sync(self._directory)
                file.flush()

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
        """The file of this name, locked: other processes append to it, and it is replaced when records are dropped."""
        while True:
            file = os.fdopen(os.open(self._directory / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_nlink:
                return file
            file.close()

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
