"""Reads: the codes of batches by their hashes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
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


_BATCH_CODES = """
SELECT
    found.code_hash, batch.brand_id, batch.id, found.serial, found.customer, batch.campaign_no, batch.campaign_version,
    batch.action, batch.channel, batch.destination_no, leads_to.url, batch.made_at, batch.expires_at, revocation.revoked_at,
    batch.pays = 'each', batch.rotates_every_s, batch.kid
FROM unnest($1::bytea[]) AS wanted (code_hash)
CROSS JOIN LATERAL (SELECT * FROM rewards.batch_code WHERE batch_code.code_hash = wanted.code_hash OFFSET 0) AS found
CROSS JOIN LATERAL (SELECT * FROM rewards.code_batch WHERE code_batch.batch_no = found.batch_no OFFSET 0) AS batch
LEFT JOIN LATERAL (
    SELECT destination.url FROM rewards.destination WHERE destination.destination_no = batch.destination_no OFFSET 0
) AS leads_to ON true
LEFT JOIN LATERAL (
    SELECT min(link_revocation.revoked_at) AS revoked_at
    FROM rewards.link_revocation
    WHERE link_revocation.brand_id = batch.brand_id AND link_revocation.subject = ANY (ARRAY[
        'code_batch ' || batch.batch_no, 'campaign ' || batch.campaign_no, 'key ' || batch.made_by,
        'message code:' || batch.id || ':' || found.serial
    ])
) AS revocation ON true
"""


async def batch_codes_by_hash(
    connection: Connection | asyncpg.Pool[Any], code_hashes: Sequence[bytes]
) -> dict[bytes, BatchCode]:
    """The codes of batches, by their hashes."""
    return {row["code_hash"]: BatchCode(*row) for row in await connection.fetch(_BATCH_CODES, code_hashes)}
