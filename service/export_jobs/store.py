"""Where the files of exports are kept.

    DirectoryStore   a directory that the API's machines and the workers' all see
    `object_store`   a bucket of any S3-compatible store

A worker writes a file at ``place``, and ``keep``s it once it is whole.
"""

from __future__ import annotations

import asyncio
import functools
import shutil
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Protocol

from service.exports.bundle import PARTIAL
from service.settings import Settings

CHUNK_BYTES = 256 * 1024


class FileUnavailable(Exception):
    """A file that should be there cannot be read."""


class FileGone(FileUnavailable):
    """A file that should be there is not: the store is, without it."""


class ExportStore(Protocol):
    """Keeps the files of jobs. What fails raises ``OSError``."""

    def place(self, job_id: str) -> Path:
        """Where the files of a job are written."""
        ...

    async def begin(self, job_id: str) -> None:
        """Make that directory, without what an interrupted attempt left half-written."""
        ...

    async def keep(self, job_id: str, name: str) -> None:
        """Keep a file that is whole."""
        ...

    async def remove(self, job_id: str) -> None:
        """Remove all there is of a job."""
        ...

    def read(self, job_id: str, name: str, begin: int, end: int) -> AsyncGenerator[bytes]:
        """The bytes of a file from ``begin`` to before ``end``. Raises `FileUnavailable` or `FileGone` before the first."""
        ...


class DirectoryStore:
    """A directory with one for each job."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def place(self, job_id: str) -> Path:
        """Where the files of a job are written."""
        return self._directory / job_id

    async def begin(self, job_id: str) -> None:
        """Make a job's directory, without what an interrupted attempt left half-written."""
        place = self.place(job_id)
        place.mkdir(parents=True, exist_ok=True)
        for partial in place.glob(f".*{PARTIAL}"):
            partial.unlink(missing_ok=True)

    async def keep(self, job_id: str, name: str) -> None:
        """Keep a file that is whole: it is where it stays."""

    async def remove(self, job_id: str) -> None:
        """Remove all there is of a job."""
        place = self.place(job_id)
        if place.exists():
            await asyncio.to_thread(shutil.rmtree, place)

    async def read(self, job_id: str, name: str, begin: int, end: int) -> AsyncGenerator[bytes]:
        """The bytes of a file from ``begin`` to before ``end``. Raises `FileUnavailable` before the first."""
        try:
            file = await asyncio.to_thread((self.place(job_id) / name).open, "rb")
        except OSError as error:
            is_gone = isinstance(error, FileNotFoundError) and self._directory.is_dir()
            raise (FileGone if is_gone else FileUnavailable)(f"{job_id}/{name}: {error.strerror}") from error
        with file:
            file.seek(begin)
            while begin < end and (chunk := await asyncio.to_thread(file.read, min(CHUNK_BYTES, end - begin))):
                begin += len(chunk)
                yield chunk


def open_store(settings: Settings) -> ExportStore:
    """The store that the settings name."""
    return _open_store(settings.exports_store, settings.exports_path)


# An object store keeps connections.
@functools.cache
def _open_store(url: str, directory: Path) -> ExportStore:
    if not url:
        return DirectoryStore(directory)
    # An extra, which most installations do without.
    from service.export_jobs.object_store import ObjectStore

    return ObjectStore(url, directory)
