"""What each store has given of a campaign, and what it has left."""

from __future__ import annotations

from datetime import date

from ledger import Book, CapUse, Ledger
from service.campaigns.rules import Campaign, store_group
from service.campaigns.schemas import StoreBudgetResponse


async def of_day(ledger: Ledger, book: Book, campaign: Campaign, day: date) -> list[StoreBudgetResponse]:
    """The budgets of the stores that a cap names, in the periods that ``day`` is in."""
    uses: list[tuple[int, str, CapUse]] = []
    for place, (number, cap) in enumerate(zip(campaign.cap_numbers, campaign.caps, strict=True)):
        period = cap.period(day)
        uses += [
            (place, store, CapUse(number, period, max_points=points, shared=True, group=store_group(store)))
            for store, points in sorted((cap.stores or {}).items())
        ]
    counted = await ledger.cap_uses(book, campaign.campaign_no, [use for _, _, use in uses])
    return [_budget(place, store, use, granted) for (place, store, use), granted in zip(uses, counted, strict=True)]


def _budget(place: int, store: str, use: CapUse, granted: int) -> StoreBudgetResponse:
    assert use.period is not None
    assert use.max_points is not None
    return StoreBudgetResponse(
        store_id=store,
        cap=place,
        period=use.period,
        max_points=use.max_points,
        granted=granted,
        left=max(0, use.max_points - granted),
    )
