"""The hash of what a job is to carry out: every line of it, with what it does to whom."""

from __future__ import annotations

import hashlib

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from service.corrections.jobs import queries

AT_ONCE = 5_000


async def fingerprint(engine: AsyncEngine, job_no: int) -> bytes:
    """The SHA-256 of a job's lines but those that have nothing to do, each as a line of JSON."""
    digest, after = hashlib.sha256(), 0
    while page := await queries.list_lines(engine, job_no, after=after, limit=AT_ONCE):
        for line in page:
            if line.state not in {"skipped", "refused"}:
                grant = None if line.grant is None else [line.grant[0], line.grant[1].hex()]
                digest.update(msgspec.json.encode([line.line_no, line.kind, grant, line.customer, line.points]) + b"\n")
        after = page[-1].line_no
    return digest.digest()
