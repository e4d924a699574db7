"""Reads: links by their ids, with who their customers are now; destinations by their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from service.customers.opt_outs import decode_opt_outs
from service.customers.queries import Customer
from service.links.revocation_subjects import CAMPAIGN, kind_of, of_campaign_named
from service.links.tables import destination, link_revocation
from service.tokens.link import LinkKind, LinkMode

Connection: TypeAlias = "asyncpg.Connection[Any] | asyncpg.pool.PoolConnectionProxy[Any]"


class LinkRow(msgspec.Struct, frozen=True, gc=False):
    """A link as it was minted. ``link_id`` is the campaign's number (4 bytes) and the link's key (16 bytes).

    ``destination`` is ``None`` for an open, which leads nowhere. ``known`` is who the customer is now; ``None`` if they were
    ever merged with others, which is not all said here.
    """

    link_id: bytes
    brand_id: int
    campaign_no: int
    campaign_version: int
    customer: int
    message_id: str
    action: str
    channel: str
    label: str
    destination_no: int
    sent_at: datetime | None
    minted_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    destination: str | None
    known: Customer | None
    kind: LinkKind = LinkKind.CLAIM
    mode: LinkMode = LinkMode.PAGE


_SQL = Path(__file__).with_name("sql")
_BY_ID = (_SQL / "links_by_id.sql").read_text()

_LINK_IDS_BY_CODE = (_SQL / "link_ids_by_code.sql").read_text()


_newest_revocations = select(link_revocation.c.brand_id, link_revocation.c.subject, link_revocation.c.named).order_by(
    link_revocation.c.revocation_no.desc()
)

_newest_destinations = select(destination.c.destination_no, destination.c.brand_id, destination.c.url).order_by(
    destination.c.destination_no.desc()
)


_IS_ANY_REVOKED = (_SQL / "is_any_revoked.sql").read_text()


async def is_any_revoked(pool: asyncpg.Pool[Any], brand_id: int, subjects: Sequence[str]) -> bool:
    """Whether any of these `revocation_subjects` is revoked."""
    return await pool.fetchval(_IS_ANY_REVOKED, brand_id, subjects)


async def links_by_id(connection: Connection | asyncpg.Pool[Any], link_ids: Sequence[bytes]) -> dict[bytes, LinkRow]:
    """The links that exist of ``link_ids``, in one statement."""
    return {row["link_id"]: _read(row) for row in await connection.fetch(_BY_ID, link_ids)}


async def link_ids_by_code(connection: Connection | asyncpg.Pool[Any], code_hashes: Sequence[bytes]) -> dict[bytes, bytes]:
    """The ids of the links that codes stand for, by the codes' hashes."""
    return {row["code_hash"]: row["link_id"] for row in await connection.fetch(_LINK_IDS_BY_CODE, code_hashes)}


def _read(row: asyncpg.Record) -> LinkRow:
    # By place, which is quicker than by name; the first are as in `LinkRow`.
    *as_minted, confirmed, verified, refused, kind, mode = row
    customer: int = row["customer"]
    known = None
    if confirmed is not None:
        known = Customer(customer, confirmed, former=(), named=customer, verified=verified, refused=decode_opt_outs(refused))
    return LinkRow(*as_minted, known=known, kind=LinkKind(kind), mode=LinkMode(mode))


async def destination_url(engine: AsyncEngine, brand_id: int, destination_no: int) -> str | None:
    """Where a number leads, if it is one of the brand's; 0, an open's, leads nowhere."""
    found = select(destination.c.url).where(destination.c.brand_id == brand_id, destination.c.destination_no == destination_no)
    async with engine.connect() as connection:
        return (await connection.execute(found)).scalar_one_or_none()


async def newest_destinations(engine: AsyncEngine, *, after: int, limit: int) -> list[tuple[int, int, str]]:
    """The destinations that were numbered last, of those after number ``after``: number, brand, URL."""
    async with engine.connect() as connection:
        rows = await connection.execute(_newest_destinations.where(destination.c.destination_no > after).limit(limit))
        return [(row.destination_no, row.brand_id, row.url) for row in rows]


async def newest_revocations(engine: AsyncEngine, *, limit: int) -> list[tuple[int, str]]:
    """What was revoked last: brand and subject, a campaign's also as tokens of the brand's own call it."""
    async with engine.connect() as connection:
        rows = (await connection.execute(_newest_revocations.limit(limit))).all()
    named = [(row.brand_id, of_campaign_named(row.named)) for row in rows if kind_of(row.subject) == CAMPAIGN]
    return [*((row.brand_id, row.subject) for row in rows), *named]
