"""What came to a brand's links, by the day: how much of it was people, and what machines were not paid."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from service.brands.brand import Brand
from service.campaigns.queries import campaign_ids

if TYPE_CHECKING:
    from service.services import Services

_SQL = Path(__file__).with_name("sql")
_COUNTS = (_SQL / "report.sql").read_text()
_COUNTED_UNTIL = "SELECT counted_until FROM rewards.touch_reader"


class CameToLinks(msgspec.Struct, frozen=True, kw_only=True):
    """Requests for links: by grade, and by what gave machines away."""

    requests: Mapping[str, int]
    """Requests by grade: `A` to `D`, and `X` for machines."""
    machines: Mapping[str, int]
    """Machine requests by what gave them away, such as `declared_machine`."""
    machines_first_points: int
    """Points of links whose first visitor was a machine. Paying the first visitor would have paid them."""
    owed_anyway_points: int
    """The part of these that the links' customers earned later."""
    not_paid_points: int
    """The difference: points that were not paid to machines."""


class CameToCampaign(CameToLinks, frozen=True, kw_only=True):
    """The same for one campaign's links."""

    campaign: str
    """The campaign's id."""


class EvidenceResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Requests for a brand's links on the days from `since` to `until` (UTC).

    A worker counts requests 15 seconds after they arrive at the earliest; those after `counted_until` are not included yet.
    """

    since: date
    """The first day counted, in UTC."""
    until: date
    """The last day counted, in UTC: today."""
    counted_until: datetime
    """Requests after this time are not counted yet."""
    total: CameToLinks
    """All campaigns together."""
    campaigns: Sequence[CameToCampaign]
    """One entry for each campaign whose links were requested."""


async def report(services: Services, brand: Brand, *, days: int, now: datetime) -> EvidenceResponse:
    """The last ``days`` days, today among them. One look into sums that are kept; no click is read."""
    until = now.date()
    since = until - timedelta(days=days - 1)
    pool = services.pool
    rows = [tuple(row) for row in await pool.fetch(_COUNTS, brand.brand_id, since, until)]
    by_campaign: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for campaign_no, *row in rows:
        by_campaign[campaign_no].append(tuple(row))
    ids = await campaign_ids(services.engine, brand.brand_id)
    return EvidenceResponse(
        since=since,
        until=until,
        counted_until=await pool.fetchval(_COUNTED_UNTIL),
        total=CameToLinks(**_sums(row[1:] for row in rows)),
        campaigns=[CameToCampaign(campaign=ids[number], **_sums(these)) for number, these in by_campaign.items()],
    )


async def machine_counts(pool: asyncpg.Pool[Any], brand_id: int, since: date, until: date) -> dict[int, tuple[int, int]]:
    """Requests of machines on the days (UTC) from ``since`` to ``until`` by campaign's number, and points not paid to them."""
    rows = await pool.fetch(_COUNTS, brand_id, since, until)
    by_campaign: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for campaign_no, *row in rows:
        by_campaign[campaign_no].append(tuple(row))
    found = {number: _sums(these) for number, these in by_campaign.items()}
    return {number: (sums["requests"]["X"], sums["not_paid_points"]) for number, sums in found.items()}


def _sums(rows: Iterable[tuple[Any, ...]]) -> dict[str, Any]:
    requests: dict[str, int] = dict.fromkeys("ABCDX", 0)
    machines: dict[str, int] = defaultdict(int)
    first_points = followed_points = 0
    for grade, why, clicks, firsts, followed in rows:
        requests[grade] += clicks
        followed_points += followed
        if grade == "X":
            machines[why] += clicks
            first_points += firsts
    return {
        "requests": requests,
        "machines": machines,
        "machines_first_points": first_points,
        "owed_anyway_points": followed_points,
        "not_paid_points": first_points - followed_points,
    }
