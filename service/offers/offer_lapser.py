"""The agent that lets offers lapse: a batch of each brand at a time, an hour after their time.

So what was done in time and is reported late is still paid. The book decides, under its head's lock, whether an offer was
claimed before; only then is it noted here. A worker that is killed in between leaves the next one offers that it finds decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import structlog

from ledger import GrantOutcome, OfferNotice
from service.brands.brand import Brand
from service.brands.queries import list_brands
from service.campaigns.queries import campaign_of_link
from service.observability import log
from service.offers.life import Ended, OfferState, note_ended
from service.offers.noting import NOTES_AT_ONCE, News, note
from service.offers.queries import MESSAGES_MAX, SQL, Offer

if TYPE_CHECKING:
    from service.services import Services

LATE = timedelta(hours=1)
"""How long after an offer lapsed reports of what was done before are waited for."""

_DUE = (SQL / "due_offers.sql").read_text()
_OF_SAME = (SQL / "standing_of_same.sql").read_text()
_POSTPONE = """
UPDATE rewards.offer SET lapses_at = $4 WHERE brand_id = $1 AND offer_group = $2 AND customer = $3 AND state < 5
"""


class OfferLapser:
    """Goes round all brands."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def run_once(self) -> int:
        """Let a batch of offers of each brand lapse. Returns how many were looked at."""
        done = 0
        for brand in await list_brands(self._services.engine):
            try:
                done += await self._lapse(brand)
            except Exception as error:
                # The others are not to wait for it.
                log.error_with_frames("offers_not_lapsed", error, brand=brand.code)
        return done

    async def _lapse(self, brand: Brand) -> int:
        services, now = self._services, await self._services.clocks.now(brand)
        rows = await services.pool.fetch(_DUE, brand.brand_id, now - LATE, NOTES_AT_ONCE, MESSAGES_MAX)
        people = await services.customers.find_numbers(brand, {row["customer"] for row in rows})
        due: list[tuple[News, tuple[int, ...]]] = []
        for row in rows:
            known = people.get(row["customer"])
            numbers = (row["customer"],) if known is None else (known.customer, *known.former)
            news = await self._news(row)
            if len(numbers) == 1 or not await self._is_postponed(brand, row, numbers, now):
                due.append((news, numbers))
        noted = await note(services, brand, [news for news, _ in due])
        ended = [
            Ended(news.offer.group, numbers, _STATES.get(each.outcome, OfferState.CLAIMED), now)
            for (news, numbers), each in zip(due, noted, strict=True)
            if each.outcome is not GrantOutcome.STALE_CUSTOMER
        ]
        await note_ended(services.pool, brand.brand_id, ended)
        if any(each.is_new for each in noted):
            structlog.get_logger().info("offers_lapsed", brand=brand.code, offers=sum(each.is_new for each in noted))
        return len(rows)

    async def _news(self, row: Mapping[str, Any]) -> News:
        standing = await campaign_of_link(self._services, row["campaign_no"])
        assert standing is not None, "a campaign is never deleted"
        offer = Offer(row["offer_group"], row["lapses_at"], tuple(row["message_ids"]))
        return News(OfferNotice.LAPSED, standing.current, offer, row["customer"], row["lapses_at"])

    async def _is_postponed(self, brand: Brand, row: Mapping[str, Any], numbers: tuple[int, ...], now: datetime) -> bool:
        """Whether the same offer was made to the customer under another number, and has not lapsed: they are one offer now."""
        pool, group = self._services.pool, row["offer_group"]
        last: datetime = await pool.fetchval(_OF_SAME, brand.brand_id, group, numbers, row["campaign_no"])
        if last <= now - LATE:
            return False
        await pool.execute(_POSTPONE, brand.brand_id, group, row["customer"], last)
        return True


_STATES: Mapping[GrantOutcome | None, OfferState] = {
    GrantOutcome.OFFER_LAPSED: OfferState.LAPSED,
    # Of somebody who is nobody any more.
    None: OfferState.LAPSED,
}
