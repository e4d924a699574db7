"""What came to a brand's links, by the day: how much of it was people, and what machines were not paid."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from service.brands.brand import Brand
from service.campaigns.queries import campaign_ids

if TYPE_CHECKING:
    from service.services import Services

_COUNTS = """
SELECT campaign_no, grade, why, sum(touches)::bigint, sum(first_points)::bigint, sum(followed_points)::bigint
FROM rewards.touch_count
WHERE brand_id = $1 AND day BETWEEN $2 AND $3
GROUP BY campaign_no, grade, why
ORDER BY campaign_no, grade, why
"""
_COUNTED_UNTIL = "SELECT counted_until FROM rewards.touch_reader"


class CameToLinks(msgspec.Struct, frozen=True, kw_only=True):
    """What came to links: requests by grade, and those of machines by what gave them away.

    ``machines_first_points`` is what links pay whose first visitor was a machine: who pays whoever comes first would have paid
    it. ``owed_anyway_points`` is the part that their customers earned later, so ``not_paid_points`` is what was saved.
    """

    requests: Mapping[str, int]
    """How many requests came, by grade: `A` to `D`, and `X` for machines."""
    machines: Mapping[str, int]
    """How many of them were machines, by what gave them away, such as `declared_machine`."""
    machines_first_points: int
    """The points of links whose first visitor was a machine: who pays whoever comes first would have paid them."""
    owed_anyway_points: int
    """The part of these that the links' customers earned later."""
    not_paid_points: int
    """The difference: points that were saved."""


class CameToCampaign(CameToLinks, frozen=True, kw_only=True):
    """The same for the links of one campaign."""

    campaign: str
    """The campaign's id."""


class EvidenceResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What came to a brand's links on the days from ``since`` to ``until`` (UTC), as far as it was counted.

    What came after ``counted_until`` is not yet in it; a worker counts it, a quarter of a minute after it came at the earliest.
    """

    since: date
    """The first day that is counted, in UTC."""
    until: date
    """The last day that is counted, in UTC: today."""
    counted_until: datetime
    """What came after this time is not counted yet."""
    total: CameToLinks
    """All campaigns together."""
    campaigns: Sequence[CameToCampaign]
    """One entry for each campaign to whose links anything came."""


async def report(services: Services, brand: Brand, *, days: int, now: datetime) -> EvidenceResponse:
    """The last ``days`` days, today among them. One look into sums that are kept; no touch is read."""
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


def _sums(rows: Iterable[tuple[Any, ...]]) -> dict[str, Any]:
    requests: dict[str, int] = dict.fromkeys("ABCDX", 0)
    machines: dict[str, int] = defaultdict(int)
    first_points = followed_points = 0
    for grade, why, touches, firsts, followed in rows:
        requests[grade] += touches
        followed_points += followed
        if grade == "X":
            machines[why] += touches
            first_points += firsts
    return {
        "requests": requests,
        "machines": machines,
        "machines_first_points": first_points,
        "owed_anyway_points": followed_points,
        "not_paid_points": first_points - followed_points,
    }
