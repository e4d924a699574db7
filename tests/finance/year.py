"""A year of a brand in which everything has happened, in every accounting class, and with names that would break a file."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import asyncpg
import msgspec

from ledger import AccountClass, ClawBack, Ledger, Opening, RedemptionOutcome, erase_customer, import_balances, sweep
from ledger.testing import adjust, authorize, capture, fund, order, refund, set_clock, void
from service.brands.brand import Brand

NAMES = {
    "spring": 'Spring; "sale" | 50% \\ off, date:2031-99-99 [2031-99-99]\n2031-01-01 * x',
    "points-on-purchase": "\u202eEinkäufe 🍎\u2028 (b) = c @ {d}",
    "partner": "; #tag ^link ! *",
}
CAMPAIGNS = {name: (shown, each) for (name, shown), each in zip(NAMES.items(), AccountClass, strict=True)}
LAST_DAY = date(2031, 6, 30)
NEXT_YEAR = date(2032, 12, 31)


class Year:
    """Posts to a brand's book, at the dates it is told."""

    def __init__(self, ledger: Ledger, brand: Brand, owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any]) -> None:
        self.ledger, self.brand, self.book = ledger, brand, brand.book
        self._owner, self._worker_pool = owner, worker_pool
        self._campaigns: dict[str, tuple[int, AccountClass]] = {}
        self._messages = 0
        self._captured = 0
        self._earned: dict[tuple[str, int, int], bytes] = {}

    async def at(self, month: int, day: int) -> None:
        """It is noon in London on this day of 2031."""
        await set_clock(self._owner, self.book, datetime(2031, month, day, 12, tzinfo=UTC))

    async def begin_campaigns(self, campaigns: Mapping[str, tuple[str, AccountClass]] = CAMPAIGNS) -> None:
        """Make campaigns, each with a name and a class, and fund them."""
        for name, (shown, account_class) in campaigns.items():
            number = await self._owner.fetchval(
                "INSERT INTO rewards.campaign (brand_id, id) VALUES ($1, $2) RETURNING campaign_no", self.brand.brand_id, name
            )
            await self._owner.execute(
                "INSERT INTO rewards.campaign_version"
                " (campaign_no, version, name, starts_at, ends_at, account_class, terms, created_by)"
                " VALUES ($1, 1, $2, '2031-01-01', '2032-01-01', $3, '{}', 1)",
                number,
                shown,
                account_class,
            )
            self._campaigns[name] = number, account_class
            await self.ledger.fund(fund(self.book, 100_000, campaign_no=number))

    async def value(self, version: int, points: int, minor_units: int, at: datetime) -> None:
        """Say what points are worth from ``at`` on."""
        await self._owner.execute(
            "INSERT INTO rewards.brand_point_value (brand_id, version, points, minor_units, valid_from, created_by)"
            " VALUES ($1, $2, $3, $4, $5, 1)",
            self.brand.brand_id,
            version,
            points,
            minor_units,
            at,
        )

    async def grant(self, campaign: str, customer: int, points: int, channel: str, **terms: Any) -> bytes:
        """Pay a customer out of a campaign; return the event's key."""
        self._messages += 1
        campaign_no, account_class = self._campaigns[campaign]
        made = order(
            self.book,
            customer=customer,
            message_id=f"message-{self._messages}",
            campaign_no=campaign_no,
            account_class=account_class,
            points=points,
            channel=channel,
            **terms,
        )
        await self.ledger.grant(made)
        return made.key

    async def redeem(self, customer: int, points: int, **said: Any) -> int:
        """Set points aside; return the redemption's number."""
        return await self.step(
            msgspec.structs.replace(authorize(self.book, customer, points, hold_s=86_400), store_id="Mitte, 1; a\tb", **said)
        )

    async def step(self, step: Any) -> int:
        """Take a step of a redemption."""
        result = await self.ledger.redeem(step)
        assert result.outcome is RedemptionOutcome.DONE
        assert result.redemption
        return result.redemption.redemption

    async def sweep(self) -> None:
        """Post what is due."""
        while await sweep(self._worker_pool, self.book):
            pass

    async def run(self) -> None:
        """The year: every verb, and three values of points. Before February points have none."""
        await self.at(1, 10)
        await self.begin_campaigns()
        openings = [
            Opening(1, 40, None),
            Opening(4, 10, None),
            Opening(2, 60, None, AccountClass.PURCHASE),
            Opening(3, 7, None, AccountClass.THIRD_PARTY),
        ]
        await import_balances(self._owner, self.book, openings, hashes=[bytes(32)], rows=4, points=117)
        await self._earn(1)
        await self.value(1, 100, 50, datetime(2031, 2, 1, 9, tzinfo=UTC))
        await self._earn(2)
        await self._spend()
        await self._hold_back()
        await self._claw_back()
        await self.value(2, 7, 3, datetime(2031, 4, 30, 21, 59, tzinfo=UTC))
        await self.value(3, 3, 1, datetime(2031, 4, 30, 22, 1, tzinfo=UTC))  # May in Berlin
        await self._group()
        await self.at(7, 3)  # what died in June is posted in July
        await self.sweep()
        await self.at(12, 1)
        await self._earn(12)
        await erase_customer(self._worker_pool, self.book, [3, 6])

    async def _earn(self, month: int) -> None:
        await self.at(month, 15)
        last_day = LAST_DAY if month < 7 else NEXT_YEAR
        for number, campaign in enumerate(NAMES):
            for customer in range(1, 7):
                self._earned[campaign, customer, month] = await self.grant(
                    campaign,
                    customer,
                    100 * month + 10 * number + customer,
                    ("email", "sms")[customer % 2],
                    expires_on=last_day,
                )

    async def _spend(self) -> None:
        await self.at(3, 3)
        hostile = 'A-1"; \\ "x|y, z'
        self._captured = await self.redeem(1, 700, order_ref=hostile, capture=True)
        await self.at(3, 9)
        await self.step(refund(self.book, self._captured, 50, ref="back; 1"))
        parts = await self.redeem(2, 800, order_ref="B-2")
        await self.step(capture(self.book, parts, 120, final=False, store_id="Nord"))
        await self.step(capture(self.book, parts, 60))
        await self.step(void(self.book, await self.redeem(3, 300, order_ref="C-3")))
        await self.redeem(4, 90, order_ref="D-4")  # times out
        await self.at(3, 12)
        await self.sweep()

    async def _hold_back(self) -> None:
        await self.at(4, 1)
        for number, campaign in enumerate(NAMES):
            due = {"expires_on": LAST_DAY, "held_back": True, "due_at": datetime(2031, 5, 20, 9, tzinfo=UTC)}
            keys = [await self.grant(campaign, 5, 30 + number, "push", **due) for _ in range(3)]
            campaign_no, _ = self._campaigns[campaign]
            await self.ledger.mature(self.book, campaign_no, keys[0], expires_on=date(2031, 12, 31))
            await self.ledger.reject(self.book, campaign_no, keys[1])

    async def _claw_back(self) -> None:
        """Of each class some that was spent in part, and of one what a refund returns later."""
        await self.at(4, 20)
        for number, (campaign, customer) in enumerate([(campaign, each) for campaign in NAMES for each in (1, 4)]):
            asked = ClawBack(
                self.book,
                self._campaigns[campaign][0],
                self._earned[campaign, customer, 1],
                key=f"mistake {number}",
                request_hash=bytes(32),
                reason="mistake",
            )
            await self.ledger.claw_back(asked)
        for campaign, customer in ((each, customer) for each in NAMES for customer in (2, 3)):
            number, account_class = self._campaigns[campaign]
            await self.ledger.adjust(
                adjust(self.book, customer, 25, campaign_no=number, account_class=account_class, expires_on=LAST_DAY)
            )
        await self.ledger.adjust(adjust(self.book, 3, -400))
        await self.at(4, 25)
        await self.step(refund(self.book, self._captured, 200, ref="back; 2"))

    async def _group(self) -> None:
        await self.at(5, 10)
        await self.ledger.merge(self.book, loser=6, survivor=5)
        await self.ledger.split(self.book, customer=6, survivor=5)
        await self.ledger.merge(self.book, loser=6, survivor=3)
        await self.ledger.merge(self.book, loser=5, survivor=4)  # who has points that are held back
