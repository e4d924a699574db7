"""Reads: the codes of batches by their hashes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from service.links.queries import Connection


class BatchCode(msgspec.Struct, frozen=True, gc=False):
    """A code of a batch, and whose it is by now. For a claim it is as a link in a message of its own.

    ``pays_each`` person once; else whoever comes first. If it ``rotates_every_s`` seconds, ``code_hash`` is of what stays
    of it, and ``kid`` says with which key the rest is made.
    """

    code_hash: bytes
    brand_id: int
    batch_id: str
    serial: int
    customer: int | None
    campaign_no: int
    campaign_version: int
    action: str
    channel: str
    destination_no: int
    destination: str | None
    made_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    pays_each: bool
    rotates_every_s: int | None
    kid: str


_SQL = Path(__file__).with_name("sql")
_BATCH_CODES = (_SQL / "batch_codes_by_hash.sql").read_text()


async def batch_codes_by_hash(
    connection: Connection | asyncpg.Pool[Any], code_hashes: Sequence[bytes]
) -> dict[bytes, BatchCode]:
    """The codes of batches, by their hashes."""
    return {row["code_hash"]: BatchCode(*row) for row in await connection.fetch(_BATCH_CODES, code_hashes)}
