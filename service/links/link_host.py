"""The link host: what a process needs to mint links and to honour them."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from service import log
from service.brands.queries import list_brands
from service.database import is_away
from service.links.claim_receipts import receipt_keys
from service.links.last_known import DESTINATIONS_MAX, LastKnown, read_copy, write_copy
from service.links.link_tokens import LinkKeys, link_keys
from service.links.queries import LinkRow, links_by_id, newest_destinations
from service.natural_batches import NaturalBatches
from service.settings import Secrets, Settings

LEARNS_EVERY_S = 5.0
"""A destination that another process numbered is known here so much later, and when the database answers again."""
COPY = "known"
"""The file in the spool's directory with what is known."""

_RETRY_AFTER_S = 2.0
_NUMBERED_OF_LATE = 1_000
"""Numbers are not seen in their order: of two that are given out at the same time the later may be committed first."""


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
    copy = settings.spool_path / COPY
    host = LinkHost(
        base_url=settings.base_url,
        host=urlsplit(settings.base_url).netloc.lower(),
        keys=link_keys(secrets.link_keys),
        receipt_keys=tuple(receipt_keys(secrets.link_keys)),
        links=NaturalBatches(functools.partial(links_by_id, pool)),
        last_known=LastKnown(read_copy(copy)),
    )
    learning = asyncio.create_task(_keep_learning(host.last_known, engine, copy))
    try:
        yield host
    finally:
        learning.cancel()
        await asyncio.gather(learning, return_exceptions=True)


async def _keep_learning(last_known: LastKnown, engine: AsyncEngine, copy: Path) -> None:
    """Read the brands and destinations there are, again and again, and keep on the local disk what is new of them."""
    newest = 0
    while True:
        rest_s = LEARNS_EVERY_S
        try:
            newest = await _learn(last_known, engine, newest)
        except Exception as error:
            if not is_away(error):
                log.error_with_frames("destinations_not_learnt", error)
            rest_s = _RETRY_AFTER_S
        if not last_known.is_copied:
            await _copy(last_known, copy)
        await asyncio.sleep(rest_s)


async def _learn(last_known: LastKnown, engine: AsyncEngine, newest: int) -> int:
    """See the brands, and the destinations from about ``newest`` on; says which is the newest now."""
    for brand in await list_brands(engine):
        last_known.see_brand(brand)
    after = max(0, newest - _NUMBERED_OF_LATE)
    destinations = await newest_destinations(engine, after=after, limit=DESTINATIONS_MAX)
    last_known.see_destinations(reversed(destinations))
    return destinations[0][0] if destinations else newest


async def _copy(last_known: LastKnown, path: Path) -> None:
    try:
        await asyncio.to_thread(write_copy, path, last_known.copy())
    except OSError as error:
        last_known.is_copied = False
        log.error_with_frames("last_known_not_copied", error)
