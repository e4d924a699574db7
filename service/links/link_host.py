"""The link host: what a process needs to mint links and to honour them."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncGenerator
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from service import log
from service.brands.queries import list_brands
from service.database import is_away
from service.links.claim_receipts import receipt_keys
from service.links.last_known import DESTINATIONS_MAX, LastKnown
from service.links.link_tokens import LinkKeys, link_keys
from service.links.queries import LinkRow, links_by_id, newest_destinations
from service.natural_batches import NaturalBatches
from service.settings import Secrets, Settings

RETRY_AFTER_S = 2.0


class LinkHost(msgspec.Struct, frozen=True):
    """Where links point (``base_url``), whom their tokens address (``host``), the keys, the links, and what was last known."""

    base_url: str
    host: str
    keys: LinkKeys
    receipt_keys: tuple[bytes, ...]
    links: NaturalBatches[bytes, LinkRow]
    """By their ids."""
    last_known: LastKnown


@contextlib.asynccontextmanager
async def open_link_host(
    settings: Settings, secrets: Secrets, pool: asyncpg.Pool[Any], engine: AsyncEngine
) -> AsyncGenerator[LinkHost]:
    """Set up from settings and secrets alone, so that no start waits for a database; what it knows is learnt meanwhile."""
    host = LinkHost(
        base_url=settings.base_url,
        host=urlsplit(settings.base_url).netloc.lower(),
        keys=link_keys(secrets.link_keys),
        receipt_keys=tuple(receipt_keys(secrets.link_keys)),
        links=NaturalBatches(functools.partial(links_by_id, pool)),
        last_known=LastKnown(),
    )
    learning = asyncio.create_task(_learn(host.last_known, engine))
    try:
        yield host
    finally:
        learning.cancel()
        await asyncio.gather(learning, return_exceptions=True)


async def _learn(last_known: LastKnown, engine: AsyncEngine) -> None:
    """Read the brands and destinations there are, as soon as the database answers."""
    while True:
        try:
            for brand in await list_brands(engine):
                last_known.see_brand(brand)
            last_known.see_destinations(reversed(await newest_destinations(engine, limit=DESTINATIONS_MAX)))
        except Exception as error:
            if not is_away(error):
                log.error_with_frames("destinations_not_learnt", error)
            await asyncio.sleep(RETRY_AFTER_S)
        else:
            return
