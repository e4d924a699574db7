"""Reading campaigns. A version never changes and is kept; which is in force, and whether it pays, is known for a second.

What is not there is never remembered, so a campaign is known everywhere as soon as it is created. What this process changes it
knows at once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import Row, Select, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger import AccountClass
from service.brands.brand import Brand
from service.campaigns.rules import Campaign, Cap, OncePer, Rule, Standing
from service.campaigns.tables import campaign as campaigns
from service.campaigns.tables import campaign_version as versions
from service.concurrency.ttl_cache import TtlCache

if TYPE_CHECKING:
    from service.services import Services

_TTL_S = 1.0
_FOR_EVER_S = 86_400.0

_RUNNING_MAX = 1_000

_OF_LATE = timedelta(days=90)
"""A late report is judged by the version that was in force when it happened; no report may come as late as this."""


class Terms(msgspec.Struct, frozen=True):
    """What the column ``terms`` holds."""

    rules: tuple[Rule, ...]
    caps: tuple[Cap, ...]
    cap_numbers: tuple[int, ...] = ()
    """Empty for the first versions ever written, whose caps are numbered by their place."""
    makes_offers: bool = False
    """Absent if it does not."""


_selected: Select[Any] = select(
    campaigns.c.brand_id, campaigns.c.id, campaigns.c.created_at.label("campaign_created_at"), campaigns.c.paused_at, versions
).join(versions, versions.c.campaign_no == campaigns.c.campaign_no)
_current = _selected.where(versions.c.version == campaigns.c.current_version)

_before = versions.alias("before")
_of_late = _selected.where(
    versions.c.version <= campaigns.c.current_version,
    versions.c.version
    >= select(func.coalesce(func.max(_before.c.version), 1))
    .where(_before.c.campaign_no == campaigns.c.campaign_no, _before.c.created_at <= func.now() - _OF_LATE)
    .scalar_subquery(),
).order_by(versions.c.version.desc())


_once_per_before = text("""
SELECT DISTINCT rule ->> 'action' AS action, coalesce(rule ->> 'once_per', 'message') AS once_per
FROM rewards.campaign_version AS before, jsonb_array_elements(before.terms -> 'rules') AS rule
WHERE before.campaign_no = :campaign_no AND before.version < :version
""")


def _of_row(row: Row[Any]) -> Campaign:
    terms = msgspec.convert(row.terms, Terms)
    return Campaign(
        campaign_no=row.campaign_no,
        brand_id=row.brand_id,
        id=row.id,
        version=row.version,
        name=row.name,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        account_class=AccountClass(row.account_class),
        expires_after_months=row.expires_after_months,
        rules=terms.rules,
        caps=terms.caps,
        cap_numbers=terms.cap_numbers or tuple(range(len(terms.caps))),
        created_at=row.created_at,
        makes_offers=terms.makes_offers,
    )


def _standing(rows: Sequence[Row[Any]]) -> Standing:
    return Standing(
        versions=tuple(_of_row(row) for row in rows), created_at=rows[0].campaign_created_at, paused_at=rows[0].paused_at
    )


async def find_campaign(engine: AsyncEngine, brand_id: int, campaign_id: str) -> Standing | None:
    """A brand's campaign, as it stands now."""
    async with engine.connect() as connection:
        found = await connection.execute(_of_late.where(campaigns.c.brand_id == brand_id, campaigns.c.id == campaign_id))
        rows = found.all()
    return _standing(rows) if rows else None


async def numbered_campaign(engine: AsyncEngine, campaign_no: int) -> Standing | None:
    """The campaign of a number, as it stands now."""
    async with engine.connect() as connection:
        found = await connection.execute(_of_late.where(campaigns.c.campaign_no == campaign_no))
        rows = found.all()
    return _standing(rows) if rows else None


async def once_per_before(engine: AsyncEngine, campaign_no: int, version: int) -> Mapping[str, OncePer]:
    """What each action was counted once per that a version before ``version`` paid for."""
    asked = {"campaign_no": campaign_no, "version": version}
    async with engine.connect() as connection:
        return {row.action: row.once_per for row in await connection.execute(_once_per_before, asked)}


async def find_version(engine: AsyncEngine, campaign_no: int, version: int) -> Campaign | None:
    """One version of a campaign."""
    async with engine.connect() as connection:
        found = await connection.execute(_selected.where(versions.c.campaign_no == campaign_no, versions.c.version == version))
        row = found.one_or_none()
    return None if row is None else _of_row(row)


async def all_versions(connection: AsyncConnection, campaign_no: int) -> list[Campaign]:
    """Every version of a campaign, oldest first."""
    rows = await connection.execute(_selected.where(versions.c.campaign_no == campaign_no).order_by(versions.c.version))
    return [_of_row(row) for row in rows]


async def list_versions(engine: AsyncEngine, campaign_no: int, *, after: int, limit: int) -> list[Campaign]:
    """A page of a campaign's versions, oldest first."""
    async with engine.connect() as connection:
        rows = await connection.execute(
            _selected.where(versions.c.campaign_no == campaign_no, versions.c.version > after)
            .order_by(versions.c.version)
            .limit(limit)
        )
        return [_of_row(row) for row in rows]


async def list_campaigns(engine: AsyncEngine, brand_id: int, *, after: int, limit: int) -> list[Standing]:
    """A page of a brand's campaigns, in the order in which they were created, each with its current version alone."""
    async with engine.connect() as connection:
        rows = await connection.execute(
            _current.where(campaigns.c.brand_id == brand_id, campaigns.c.campaign_no > after)
            .order_by(campaigns.c.campaign_no)
            .limit(limit)
        )
        return [_standing([row]) for row in rows]


async def running_campaigns(engine: AsyncEngine, brand_id: int, at: datetime) -> list[Campaign]:
    """The current versions of a brand's campaigns that pay at ``at``, in the order in which the campaigns were created."""
    running = _current.where(
        campaigns.c.brand_id == brand_id,
        campaigns.c.paused_at.is_(None),
        versions.c.starts_at <= at,
        versions.c.ends_at > at,
    )
    async with engine.connect() as connection:
        rows = await connection.execute(running.order_by(campaigns.c.campaign_no).limit(_RUNNING_MAX))
        return [_of_row(row) for row in rows]


async def campaign_ids(engine: AsyncEngine, brand_id: int) -> Mapping[int, str]:
    """The ids of a brand's campaigns by their numbers."""
    async with engine.connect() as connection:
        rows = await connection.execute(select(campaigns.c.campaign_no, campaigns.c.id).where(campaigns.c.brand_id == brand_id))
        return {row.campaign_no: row.id for row in rows}


async def newest_campaigns(engine: AsyncEngine, *, after: int, limit: int) -> list[tuple[int, int, str]]:
    """The campaigns of all brands that were created last, of those after number ``after``: number, brand, id."""
    newest = select(campaigns.c.campaign_no, campaigns.c.brand_id, campaigns.c.id).where(campaigns.c.campaign_no > after)
    async with engine.connect() as connection:
        rows = await connection.execute(newest.order_by(campaigns.c.campaign_no.desc()).limit(limit))
        return [(row.campaign_no, row.brand_id, row.id) for row in rows]


async def first_names(engine: AsyncEngine, brand_id: int) -> Mapping[int, str]:
    """What a brand's campaigns were called at first, by their numbers: a name that never changes."""
    named = (
        select(versions.c.campaign_no, versions.c.name)
        .join(campaigns, campaigns.c.campaign_no == versions.c.campaign_no)
        .where(campaigns.c.brand_id == brand_id, versions.c.version == 1)
    )
    async with engine.connect() as connection:
        return {row.campaign_no: row.name for row in await connection.execute(named)}


class CampaignDirectory:
    """Campaigns by id, as they stood at most a second ago, and versions by number."""

    def __init__(self, engine: AsyncEngine) -> None:
        async def by_id(key: tuple[int, str]) -> Standing | None:
            return await self._with_earlier(await find_campaign(engine, *key))

        async def by_version(key: tuple[int, int]) -> Campaign | None:
            return await find_version(engine, *key)

        async def by_number(campaign_no: int) -> Standing | None:
            return await self._with_earlier(await numbered_campaign(engine, campaign_no))

        async def earlier(key: tuple[int, int]) -> Mapping[str, OncePer]:
            return await once_per_before(engine, *key)

        self._by_id: TtlCache[tuple[int, str], Standing | None] = TtlCache(by_id, ttl_s=_TTL_S)
        self._by_version: TtlCache[tuple[int, int], Campaign | None] = TtlCache(by_version, ttl_s=_FOR_EVER_S)
        self._by_number: TtlCache[int, Standing | None] = TtlCache(by_number, ttl_s=_TTL_S)
        self._earlier: TtlCache[tuple[int, int], Mapping[str, OncePer]] = TtlCache(earlier, ttl_s=_FOR_EVER_S)

    async def _with_earlier(self, standing: Standing | None) -> Standing | None:
        oldest = 1 if standing is None else standing.versions[-1].version
        if standing is None or oldest == 1:
            return standing
        return msgspec.structs.replace(standing, earlier=await self._earlier.get((standing.current.campaign_no, oldest)))

    def forget(self, campaign: Campaign) -> None:
        """Ask again how the campaign stands: it was changed in this process."""
        self._by_id.forget((campaign.brand_id, campaign.id))
        self._by_number.forget(campaign.campaign_no)

    def by_id(self, brand_id: int, campaign_id: str, *, now: bool = False) -> Awaitable[Standing | None]:
        """A brand's campaign; ``now`` bypasses the cache, before a refusal."""
        key = (brand_id, campaign_id)
        return self._by_id.get_now(key) if now else self._by_id.get(key)

    def by_version(self, campaign_no: int, version: int) -> Awaitable[Campaign | None]:
        """One version of a campaign."""
        return self._by_version.get((campaign_no, version))

    def by_number(self, campaign_no: int, *, now: bool = False) -> Awaitable[Standing | None]:
        """The campaign of a number; ``now`` as of ``by_id``."""
        return self._by_number.get_now(campaign_no) if now else self._by_number.get(campaign_no)


def campaign_standing(services: Services, brand: Brand, campaign_id: str, *, now: bool = False) -> Awaitable[Standing | None]:
    """``brand``'s campaign; ``now`` bypasses the cache, before a refusal."""
    directory = services.campaigns
    return directory.by_id(brand.brand_id, campaign_id, now=now)


async def campaign_by_id(services: Services, brand: Brand, campaign_id: str, *, now: bool = False) -> Campaign | None:
    """The current version of ``brand``'s campaign; ``now`` as above."""
    standing = await campaign_standing(services, brand, campaign_id, now=now)
    return None if standing is None else standing.current


def campaign_version(services: Services, campaign_no: int, version: int) -> Awaitable[Campaign | None]:
    """The version that a link was minted under."""
    directory = services.campaigns
    return directory.by_version(campaign_no, version)


def campaign_of_link(services: Services, campaign_no: int, *, now: bool = False) -> Awaitable[Standing | None]:
    """How the campaign stands, whichever version of it a link was minted under; ``now`` as above."""
    directory = services.campaigns
    return directory.by_number(campaign_no, now=now)


async def campaign_is_paused(services: Services, campaign_no: int) -> bool:
    """Whether a campaign pays nothing for now, whichever version of it is asked for."""
    standing = await campaign_of_link(services, campaign_no)
    return standing is not None and standing.paused_at is not None
