"""Files of exports in a bucket of an S3-compatible store, by obstore, which comes with ``pip install 'atomic-rewards[s3]'``.

A file is written to the local disk first and uploaded once it is whole, so that there is never a part of one in the bucket.
Access and endpoint are in the usual variables (``AWS_ACCESS_KEY_ID``, ``AWS_ENDPOINT_URL``), or come from the machine's role.
"""

# Listing could also give Arrow's tables, which have no types.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from service.export_jobs.store import CHUNK_BYTES, DirectoryStore, FileGone, FileUnavailable

UPLOADS_AT_ONCE = 2
"""Parts of one file, of five megabytes each, which are in memory."""
RETRIES_MAX = 3
RETRIED_FOR = timedelta(seconds=30)


class StoreUnavailable(OSError):
    """The store does not answer, or refuses."""


class ObjectStore:
    """A bucket, in which each job is a prefix."""

    def __init__(self, url: str, directory: Path) -> None:
        """``url`` is as in ``s3://bucket/prefix``; in ``directory`` files are written first."""
        self._written = DirectoryStore(directory)
        self._bucket = S3Store.from_url(
            url,
            retry_config={"max_retries": RETRIES_MAX, "retry_timeout": RETRIED_FOR},
            client_options={"allow_http": True},
        )

    def place(self, job_id: str) -> Path:
        """Where the files of a job are written first."""
        return self._written.place(job_id)

    async def begin(self, job_id: str) -> None:
        """Make that directory, empty: what is kept is in the bucket."""
        await self._written.remove(job_id)
        await self._written.begin(job_id)

    async def keep(self, job_id: str, name: str) -> None:
        """Upload a file that is whole, and remove the local one."""
        file = self.place(job_id) / name
        try:
            await obstore.put_async(self._bucket, f"{job_id}/{name}", file, max_concurrency=UPLOADS_AT_ONCE)
        except BaseError as error:
            raise _unavailable(error) from error
        await asyncio.to_thread(file.unlink)

    async def remove(self, job_id: str) -> None:
        """Remove all there is of a job, here and in the bucket."""
        if self.place(job_id).exists():
            await asyncio.to_thread(shutil.rmtree, self.place(job_id))
        try:
            async for listed in obstore.list(self._bucket, job_id):
                await obstore.delete_async(self._bucket, [each["path"] for each in listed])
        except BaseError as error:
            raise _unavailable(error) from error

    async def read(self, job_id: str, name: str, begin: int, end: int) -> AsyncGenerator[bytes]:
        """The bytes of a file from ``begin`` to before ``end``. Raises `FileUnavailable` before the first."""
        if begin >= end:
            return
        try:
            found = await obstore.get_async(self._bucket, f"{job_id}/{name}", options={"range": (begin, end)})
        except FileNotFoundError as error:
            raise FileGone(f"{job_id}/{name}") from error
        except BaseError as error:
            raise FileUnavailable(f"{job_id}/{name}") from error
        async for chunk in found.stream(min_chunk_size=CHUNK_BYTES):
            yield bytes(chunk)


def _unavailable(error: BaseError) -> StoreUnavailable:
    return StoreUnavailable(0, f"{type(error).__name__.removesuffix('Error').lower()} error of the object store")
