"""Reading campaigns. A version never changes and is kept; which version is the current one is known for a second."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar.datastructures import State
from sqlalchemy import Row, Select, select
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import AccountClass
from service.brands.brand import Brand
from service.campaigns.rules import Campaign, Cap, Rule
from service.campaigns.tables import campaign as campaigns
from service.campaigns.tables import campaign_version as versions
from service.ttl_cache import TtlCache

_TTL_S = 1.0
_FOR_EVER_S = 86_400.0


class Terms(msgspec.Struct, frozen=True):
    """What the column ``terms`` holds."""

    rules: tuple[Rule, ...]
    caps: tuple[Cap, ...]


_selected: Select[Any] = select(campaigns.c.brand_id, campaigns.c.id, versions).join(
    versions, versions.c.campaign_no == campaigns.c.campaign_no
)
_current = _selected.where(versions.c.version == campaigns.c.current_version)


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
        created_at=row.created_at,
    )


async def find_campaign(engine: AsyncEngine, brand_id: int, campaign_id: str) -> Campaign | None:
    """The current version of a brand's campaign, as it is now."""
    async with engine.connect() as connection:
        found = await connection.execute(_current.where(campaigns.c.brand_id == brand_id, campaigns.c.id == campaign_id))
        row = found.one_or_none()
    return None if row is None else _of_row(row)


async def find_version(engine: AsyncEngine, campaign_no: int, version: int) -> Campaign | None:
    """One version of a campaign."""
    async with engine.connect() as connection:
        found = await connection.execute(_selected.where(versions.c.campaign_no == campaign_no, versions.c.version == version))
        row = found.one_or_none()
    return None if row is None else _of_row(row)


async def list_campaigns(engine: AsyncEngine, brand_id: int, *, after: int, limit: int) -> list[Campaign]:
    """A page of a brand's campaigns, in the order in which they were created."""
    async with engine.connect() as connection:
        rows = await connection.execute(
            _current.where(campaigns.c.brand_id == brand_id, campaigns.c.campaign_no > after)
            .order_by(campaigns.c.campaign_no)
            .limit(limit)
        )
        return [_of_row(row) for row in rows]


class CampaignDirectory:
    """Campaigns by id, as they were at most a second ago, and versions by number."""

    def __init__(self, engine: AsyncEngine) -> None:
        async def by_id(key: tuple[int, str]) -> Campaign | None:
            return await find_campaign(engine, *key)

        async def by_version(key: tuple[int, int]) -> Campaign | None:
            return await find_version(engine, *key)

        self._by_id: TtlCache[tuple[int, str], Campaign | None] = TtlCache(by_id, ttl_s=_TTL_S)
        self._by_version: TtlCache[tuple[int, int], Campaign | None] = TtlCache(by_version, ttl_s=_FOR_EVER_S)

    async def by_id(self, brand_id: int, campaign_id: str) -> Campaign | None:
        """The current version of a brand's campaign."""
        return await self._by_id.get((brand_id, campaign_id))

    async def by_version(self, campaign_no: int, version: int) -> Campaign | None:
        """One version of a campaign."""
        return await self._by_version.get((campaign_no, version))


async def campaign_by_id(state: State, brand: Brand, campaign_id: str) -> Campaign | None:
    """The current version of ``brand``'s campaign."""
    directory: CampaignDirectory = state.campaigns
    return await directory.by_id(brand.brand_id, campaign_id)


async def campaign_version(state: State, campaign_no: int, version: int) -> Campaign | None:
    """The version that a link was minted under."""
    directory: CampaignDirectory = state.campaigns
    return await directory.by_version(campaign_no, version)
