"""Why a brand adjusts what customers have: codes that it declares, each with the campaign whose budget pays."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from service.auth.audit_trail import record
from service.auth.principal import Principal
from service.campaigns.queries import find_campaign
from service.campaigns.tables import campaign as campaigns
from service.corrections.schemas import ReasonRequest
from service.corrections.tables import adjustment_reason as reasons
from service.http.problems import invalid_field


class Reason(msgspec.Struct, frozen=True):
    """A reason. ``campaign`` pays what is given for it; without one it only takes points."""

    code: str
    name: str
    campaign: str | None
    withdrawn: bool


async def list_reasons(engine: AsyncEngine, brand_id: int) -> Sequence[Reason]:
    """All reasons of a brand, by code."""
    found = (
        select(reasons.c.code, reasons.c.name, campaigns.c.id, reasons.c.withdrawn)
        .outerjoin(campaigns, campaigns.c.campaign_no == reasons.c.campaign_no)
        .where(reasons.c.brand_id == brand_id)
        .order_by(reasons.c.code)
    )
    async with engine.connect() as connection:
        return [Reason(*row) for row in await connection.execute(found)]


async def put_reason(engine: AsyncEngine, principal: Principal, code: str, wanted: ReasonRequest) -> Reason:
    """Declare a reason, or change it."""
    brand_id = principal.brand.brand_id
    campaign_no: int | None = None
    if wanted.campaign is not None:
        standing = await find_campaign(engine, brand_id, wanted.campaign)
        if standing is None:
            raise invalid_field("/campaign", "is no campaign of this brand")
        campaign_no = standing.current.campaign_no
    values = {
        "name": wanted.name,
        "campaign_no": campaign_no,
        "withdrawn": wanted.withdrawn,
        "changed_at": func.now(),
        "changed_by": principal.api_key_id,
    }
    before = next((each for each in await list_reasons(engine, brand_id) if each.code == code), None)
    after = Reason(code, wanted.name, wanted.campaign, wanted.withdrawn)
    if before == after:
        return after
    statement = insert(reasons).values(brand_id=brand_id, code=code, **values)
    async with engine.begin() as connection:
        await connection.execute(statement.on_conflict_do_update(index_elements=["brand_id", "code"], set_=values).inline())
        await record(connection, principal, "adjustment.reason", code, before=before, after=after)
    return after
