"""A file as a response: whole, or one range of its bytes (RFC 9110, section 14).

The ``ETag`` is the file's SHA-256: it never changes, so a download that broke off goes on where it did.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from litestar import Response
from litestar.response import Stream

from service.export_jobs.store import ExportStore, FileGone, FileUnavailable
from service.exports.bundle import ExportedFile
from service.http.problems import Problem

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "jsonl": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
    "beancount": "text/plain; charset=utf-8",
    "hledger": "text/plain; charset=utf-8",
}


async def download(store: ExportStore, job_id: str, file: ExportedFile, headers: Mapping[str, str]) -> Response[Any]:
    """The file, or as much of it as the request's ``headers`` ask for. Raises `FileGone`."""
    etag = f'"{file.sha256}"'
    answered = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Content-Disposition": f'attachment; filename="{file.name}"',
        "Content-Type": MEDIA_TYPES.get(file.name.rpartition(".")[2], "application/octet-stream"),
    }
    if etag in _names(headers.get("if-none-match", "")):
        return Response(b"", status_code=304, headers=answered)
    asked = headers.get("range", "") if headers.get("if-range", etag) == etag else ""
    span = span_of(asked, file.size_bytes)
    begin, end = span or (0, file.size_bytes)
    answered["Content-Length"] = str(end - begin)
    if span is not None:
        answered["Content-Range"] = f"bytes {begin}-{end - 1}/{file.size_bytes}"
    content = await _opened(store.read(job_id, file.name, begin, end))
    return Stream(content, status_code=200 if span is None else 206, headers=answered)


def span_of(asked: str, size: int) -> tuple[int, int] | None:
    """Where the range that is asked for begins and ends; ``None`` for the whole. Several ranges are ignored."""
    match = _RANGE.fullmatch(asked.strip())
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    begin = max(size - int(last), 0) if not first else int(first)
    end = size if not first or not last else min(int(last) + 1, size)
    if first and last and int(last) < int(first):
        return None
    if begin >= end:
        raise Problem("range_not_satisfiable", f"The file has {size} bytes.", headers={"Content-Range": f"bytes */{size}"})
    return begin, end


def _names(header: str) -> set[str]:
    return {name.strip().removeprefix("W/") for name in header.split(",")}


async def _opened(content: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """The same, with the first bytes read: a file that cannot be is no answer that has begun."""
    try:
        first = await anext(content, b"")
    except FileGone:
        raise
    except FileUnavailable:
        raise Problem("file_unavailable", "The file cannot be read at the moment.", headers={"Retry-After": "5"}) from None
    return _from(first, content)


async def _from(first: bytes, content: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    async with contextlib.aclosing(content):
        yield first
        async for chunk in content:
            yield chunk
