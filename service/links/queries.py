"""Reads: a link by its id, destinations by their numbers."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import msgspec
from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.types import LargeBinary

from service.links.tables import destination, link


class LinkRow(msgspec.Struct, frozen=True):
    """A link as it was minted. ``link_id`` is the campaign's number (4 bytes) and the link's key (16 bytes)."""

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
    destination: str


_links = select(
    link.c.link_id,
    link.c.brand_id,
    link.c.campaign_no,
    link.c.campaign_version,
    link.c.customer,
    link.c.message_id,
    link.c.action,
    link.c.channel,
    link.c.label,
    link.c.destination_no,
    link.c.sent_at,
    link.c.minted_at,
    link.c.expires_at,
    link.c.revoked_at,
    destination.c.url.label("destination"),
).join(destination, destination.c.destination_no == link.c.destination_no)

_links_by_id = _links.where(link.c.link_id == bindparam("link_ids", type_=ARRAY(LargeBinary)).any_())
_newest_destinations = select(destination.c.destination_no, destination.c.brand_id, destination.c.url).order_by(
    destination.c.destination_no.desc()
)


async def links_by_id(engine: AsyncEngine, link_ids: Collection[bytes]) -> dict[bytes, LinkRow]:
    """The links that exist of ``link_ids``."""
    async with engine.connect() as connection:
        rows = await connection.execute(_links_by_id, {"link_ids": list(link_ids)})
        return {row.link_id: LinkRow(*row) for row in rows}


async def newest_destinations(engine: AsyncEngine, *, limit: int) -> list[tuple[int, int, str]]:
    """The destinations that were numbered last: number, brand, URL."""
    async with engine.connect() as connection:
        rows = await connection.execute(_newest_destinations.limit(limit))
        return [(row.destination_no, row.brand_id, row.url) for row in rows]
