"""The link host: what a process needs to mint links and to honour them."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from service.brands.brand import Brand
from service.brands.queries import draw_brand, list_brands
from service.code_batches.rate_limit import FailedAttemptLimiter
from service.concurrency.batch_loader import BatchLoader
from service.concurrency.shared_timeout import SharedTimeout
from service.egress.hosts import host_of, requested
from service.links.last_known import DESTINATIONS_MAX, REVOCATIONS_MAX, LastKnown, read_copy, write_copy
from service.links.minting_keys import every_key
from service.links.queries import (
    BatchCode,
    LinkRow,
    batch_codes_by_hash,
    link_ids_by_code,
    links_by_id,
    newest_destinations,
    newest_revocations,
)
from service.observability import log
from service.settings import Secrets, Settings
from service.storage.database import is_away
from service.tokens.code import code_key
from service.tokens.link import LinkKeys, link_keys
from service.tokens.receipt import receipt_keys
from service.tokens.rotating_code import screen_keys
from service.tokens.sealing import sealing_keys

LEARNS_EVERY_S = 5.0
"""A destination that another process numbered is known here so much later, and when the database answers again."""
COPY = "known"
"""The file in the spool's directory with what is known."""

_RETRY_AFTER_S = 2.0
_NUMBERED_OF_LATE = 1_000
"""Numbers are not seen in their order: of two that are given out at the same time the later may be committed first."""


class LinkHost(msgspec.Struct, frozen=True):
    """Where links point (``base_url``), whom their tokens address (``host``), the keys, the links, and what was last known.

    A brand may have a host of its own: its links point there, and their tokens address it. Hosts are in their normal form.
    """

    base_url: str
    host: str
    host_as_written: str
    """What tokens of before address: the host as the base URL spells it."""
    keys: LinkKeys
    receipt_keys: tuple[bytes, ...]
    handoff_keys: tuple[bytes, ...]
    links: BatchLoader[bytes, LinkRow]
    """By their ids."""
    link_ids: BatchLoader[bytes, bytes]
    """By the hashes of their codes."""
    batch_codes: BatchLoader[bytes, BatchCode]
    """By their hashes."""
    screen_keys: tuple[bytes, ...]
    code_keys: Mapping[str, bytes]
    """The keys of codes by the ``kid`` of the link key that each goes with."""
    last_known: LastKnown
    guesses: FailedAttemptLimiter
    claims_by_network: FailedAttemptLimiter
    """Of codes that pay each: so many come from one place, and no more."""
    lookup_timeout: SharedTimeout
    """Of those who ask for links."""

    def base_url_of(self, brand: Brand) -> str:
        """What the brand's links begin with."""
        return self.last_known.link_base_url_of(brand) or self.base_url

    def brand_at(self, headers: Mapping[str, str]) -> Brand | None:
        """The brand whose own host was asked, as it was last known."""
        return self.last_known.brand_at(requested_host(headers))

    def base_url_at(self, headers: Mapping[str, str]) -> str:
        """What links begin with on the host that was asked: a brand's own, or else the service's."""
        brand = self.brand_at(headers)
        return self.base_url if brand is None else self.base_url_of(brand)

    def host_of(self, brand: Brand) -> str:
        """Whom the tokens of the brand's links address."""
        own = self.last_known.link_base_url_of(brand)
        return self.host if own is None else host_of(own)

    def hosts(self, headers: Mapping[str, str]) -> tuple[str, ...]:
        """Whom a token may address that was brought with a request: the service, and the host that was asked."""
        return self.host, self.host_as_written, requested_host(headers)

    def is_at_home(self, brand: Brand, headers: Mapping[str, str]) -> bool:
        """Whether a brand may show itself on the host that was asked: on any but another brand's."""
        there = self.brand_at(headers)
        return there is None or there.brand_id == brand.brand_id


def requested_host(headers: Mapping[str, str]) -> str:
    """The host that a request names, in its normal form."""
    return requested(headers.get("host", ""))


@contextlib.asynccontextmanager
async def open_link_host(
    settings: Settings, secrets: Secrets, pool: asyncpg.Pool[Any], engine: AsyncEngine
) -> AsyncGenerator[LinkHost]:
    """Set up from settings and secrets alone, so that no start waits for a database; what it knows is learnt meanwhile."""
    copy = settings.spool_path / COPY
    copy_keys = sealing_keys(secrets.link_keys, "what links need 1")
    host = LinkHost(
        base_url=settings.base_url,
        host=host_of(settings.base_url),
        host_as_written=urlsplit(settings.base_url).netloc.lower(),
        keys=link_keys(secrets.link_keys),
        receipt_keys=receipt_keys(secrets.link_keys),
        handoff_keys=sealing_keys(secrets.link_keys, "handoff 1"),
        links=BatchLoader(functools.partial(links_by_id, pool)),
        link_ids=BatchLoader(functools.partial(link_ids_by_code, pool)),
        batch_codes=BatchLoader(functools.partial(batch_codes_by_hash, pool)),
        screen_keys=screen_keys(secrets.link_keys),
        code_keys={key.kid: code_key(key) for key in secrets.link_keys},
        last_known=LastKnown(read_copy(copy, copy_keys), own_hosts=settings.own_hosts),
        guesses=FailedAttemptLimiter(),
        claims_by_network=FailedAttemptLimiter(),
        lookup_timeout=SharedTimeout(),
    )
    learning = asyncio.create_task(_keep_learning(host.last_known, engine, copy, copy_keys))
    try:
        yield host
    finally:
        learning.cancel()
        await asyncio.gather(learning, return_exceptions=True)


async def _keep_learning(last_known: LastKnown, engine: AsyncEngine, copy: Path, copy_keys: Sequence[bytes]) -> None:
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
            await _copy(last_known, copy, copy_keys)
        await asyncio.sleep(rest_s)


async def _learn(last_known: LastKnown, engine: AsyncEngine, newest: int) -> int:
    """See the brands, their keys, what is revoked, and the destinations from about ``newest`` on; says which is newest now."""
    for brand in await list_brands(engine):
        if last_known.has_picture_of(brand):
            last_known.see_brand(brand)
        elif drawn := await draw_brand(engine, brand.brand_id):
            last_known.see_brand(drawn)
    last_known.see_minting_keys(await every_key(engine))
    last_known.see_revoked(await newest_revocations(engine, limit=REVOCATIONS_MAX))
    after = max(0, newest - _NUMBERED_OF_LATE)
    destinations = await newest_destinations(engine, after=after, limit=DESTINATIONS_MAX)
    last_known.see_destinations(reversed(destinations))
    return destinations[0][0] if destinations else newest


async def _copy(last_known: LastKnown, path: Path, keys: Sequence[bytes]) -> None:
    try:
        await asyncio.to_thread(write_copy, path, last_known.copy(), keys)
    except OSError as error:
        last_known.is_copied = False
        log.error_with_frames("last_known_not_copied", error)
