"""Keeps what is last known up to date: reads it from the database again and again, and copies what is new to the local disk."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from service.brands.queries import draw_brand, list_brands
from service.campaigns.queries import newest_campaigns
from service.crypto.derived_keys import derived_keys
from service.links.last_known import CAMPAIGNS_MAX, DESTINATIONS_MAX, REVOCATIONS_MAX, LastKnown, read_copy, write_copy
from service.links.minting_keys import every_key
from service.links.queries import newest_destinations, newest_revocations
from service.observability import log
from service.settings import Secrets, Settings
from service.storage.database import is_away

REFRESHED_EVERY_S = 5.0
"""A destination that another process numbered is known here so much later, and when the database answers again."""
COPY = "known"
"""The file in the spool's directory with what is known."""

_RETRY_AFTER_S = 2.0
_NUMBERS_READ_AGAIN = 1_000
"""Numbers are not seen in their order: of two that are given out at the same time the later may be committed first."""


class _Newest(msgspec.Struct, frozen=True):
    """The highest numbers that were read."""

    destination_no: int = 0
    campaign_no: int = 0


@contextlib.asynccontextmanager
async def open_last_known(settings: Settings, secrets: Secrets, engine: AsyncEngine) -> AsyncGenerator[LastKnown]:
    """What the local disk has, at once, so that no start waits for a database; while it is open, it is kept up to date."""
    copy = settings.spool_path / COPY
    copy_keys = derived_keys(secrets.link_keys, "what links need 1")
    last_known = LastKnown(read_copy(copy, copy_keys), own_hosts=settings.own_hosts)
    refreshing = asyncio.create_task(_keep_refreshing(last_known, engine, copy, copy_keys), name="last known, refreshed")
    try:
        yield last_known
    finally:
        refreshing.cancel()
        await asyncio.gather(refreshing, return_exceptions=True)


async def _keep_refreshing(last_known: LastKnown, engine: AsyncEngine, copy: Path, copy_keys: Sequence[bytes]) -> None:
    """Read what links need, again and again, and keep on the local disk what is new of it."""
    newest = _Newest()
    while True:
        rest_s = REFRESHED_EVERY_S
        try:
            newest = await _refresh(last_known, engine, newest)
        except Exception as error:
            if not is_away(error):
                log.error_with_frames("last_known_not_refreshed", error)
            rest_s = _RETRY_AFTER_S
        if not last_known.is_copied:
            await _copy(last_known, copy, copy_keys)
        await asyncio.sleep(rest_s)


async def _refresh(last_known: LastKnown, engine: AsyncEngine, newest: _Newest) -> _Newest:
    """See brands, their keys, what is revoked, and what was numbered from about ``newest`` on; says what is newest now."""
    for brand in await list_brands(engine):
        if last_known.has_picture_of(brand):
            last_known.see_brand(brand)
        elif drawn := await draw_brand(engine, brand.brand_id):
            last_known.see_brand(drawn)
    last_known.see_minting_keys(await every_key(engine))
    last_known.see_revoked(await newest_revocations(engine, limit=REVOCATIONS_MAX))
    destinations = await newest_destinations(engine, after=_from_about(newest.destination_no), limit=DESTINATIONS_MAX)
    last_known.see_destinations(reversed(destinations))
    campaigns = await newest_campaigns(engine, after=_from_about(newest.campaign_no), limit=CAMPAIGNS_MAX)
    last_known.see_campaigns(reversed(campaigns))
    return _Newest(
        destination_no=destinations[0][0] if destinations else newest.destination_no,
        campaign_no=campaigns[0][0] if campaigns else newest.campaign_no,
    )


def _from_about(number: int) -> int:
    return max(0, number - _NUMBERS_READ_AGAIN)


async def _copy(last_known: LastKnown, path: Path, keys: Sequence[bytes]) -> None:
    try:
        await asyncio.to_thread(write_copy, path, last_known.copy(), keys)
    except OSError as error:
        last_known.is_copied = False
        log.error_with_frames("last_known_not_copied", error)
