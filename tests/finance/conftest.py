"""A brand with a book in which everything has happened once."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import UTC, date, datetime
from typing import Any

import asyncpg
import msgspec
import pytest

from ledger import (
    Book,
    Fund,
    Grade,
    GrantOrder,
    GrantTerms,
    Ledger,
    Operation,
    Redeem,
    RedemptionOutcome,
    event_key,
    month_end,
)
from service.brands.actions import create_brand
from service.brands.brand import Brand
from service.storage.database import READER_ROLE, create_engine

CAMPAIGN = "=autumn"
"""An id that a spreadsheet would take for a formula."""


@pytest.fixture
async def brand(owner: asyncpg.Connection[Any]) -> Brand:
    """A brand with an empty book."""
    return await create_brand(
        owner,
        code="acme",
        name="Acme",
        mode="test",
        points_code="P7S",
        points_name="Stars",
        currency="EUR",
        time_zone="Europe/Berlin",
    )


async def make_campaign(owner: asyncpg.Connection[Any], brand: Brand) -> int:
    """Give the brand a campaign called `CAMPAIGN`; return its number."""
    return await owner.fetchval(
        "INSERT INTO rewards.campaign (brand_id, id) VALUES ($1, $2) RETURNING campaign_no", brand.brand_id, CAMPAIGN
    )


@pytest.fixture
async def engine(database: Any) -> AsyncGenerator[Any]:
    """SQLAlchemy in the reader's role."""
    engine = create_engine(database.application_url, READER_ROLE)
    yield engine
    await engine.dispose()


class Till:
    """Short ways to post."""

    def __init__(self, ledger: Ledger, book: Book, campaign_no: int) -> None:
        self.ledger = ledger
        self.book = book
        self.campaign_no = campaign_no
        self.requests = 0

    async def fund(self, points: int) -> None:
        """Give the campaign points."""
        await self.ledger.fund(Fund(self.book, self.campaign_no, points, key=self._key(), request_hash=bytes(32)))

    async def grant(
        self, customer: int, points: int, expires_on: date | None = None, *, due_at: datetime | None = None
    ) -> None:
        """Pay a customer, or with ``due_at`` hold the points back until then."""
        message_id = self._key()
        now = datetime.now(UTC)
        terms = GrantTerms(self.book, self.campaign_no, points, Grade.A, "click", "email", "test", 1, 1, 0, expires_on)
        await self.ledger.grant(
            GrantOrder(
                msgspec.structs.replace(terms, held_back=due_at is not None),
                key=event_key(campaign_no=self.campaign_no, message_id=message_id, customer=customer, action="click"),
                customer=customer,
                message_id=message_id,
                window_at=now,
                occurred_at=now,
                due_at=due_at,
            )
        )

    async def authorize(self, customer: int, points: int, *, hold_s: int = 600, capture: bool = False) -> int:
        """Set points aside; return the redemption's number."""
        return await self._redeem(Operation.AUTHORIZE, customer=customer, points=points, hold_s=hold_s, capture=capture)

    async def capture(self, redemption: int, points: int = 0, *, final: bool = True) -> None:
        """Spend what is held."""
        await self._redeem(Operation.CAPTURE, redemption=redemption, points=points, final=final)

    async def void(self, redemption: int) -> None:
        """Give back what is held."""
        await self._redeem(Operation.VOID, redemption=redemption)

    async def refund(self, redemption: int, points: int) -> None:
        """Give back what was spent."""
        await self._redeem(Operation.REFUND, redemption=redemption, points=points)

    def step(self, operation: Operation, **step: Any) -> Redeem:
        """A step of a redemption, for which the ledger may refuse what it will."""
        key = self._key()
        return Redeem(book=self.book, operation=operation, key=key, request_hash=bytes(32), order_ref=f"order {key}", **step)

    async def _redeem(self, operation: Operation, **step: Any) -> int:
        result = await self.ledger.redeem(self.step(operation, **step))
        assert result.outcome is RedemptionOutcome.DONE
        assert result.redemption is not None
        return result.redemption.redemption

    def _key(self) -> str:
        self.requests += 1
        return f"request-{self.requests}"


@pytest.fixture
async def till(ledger: Ledger, brand: Brand, owner: asyncpg.Connection[Any]) -> Till:
    """Posts to the brand's book."""
    return Till(ledger, brand.book, await make_campaign(owner, brand))


@pytest.fixture
async def busy_till(till: Till) -> Till:
    """A book with lots, holds, captures, releases, voids and refunds, of seven customers; one becomes an eighth."""
    await till.fund(100_000)
    today = datetime.now(UTC).date()
    for customer in range(1, 8):
        for months in (3, 12):
            await till.grant(customer, 100 * customer + months, month_end(today, months))
        await till.grant(customer, 7)
    await till.authorize(1, 150)
    await till.capture(await till.authorize(2, 250), 60)
    await till.capture(await till.authorize(3, 250), 50, final=False)
    await till.void(await till.authorize(4, 400))
    refunded = await till.authorize(5, 600, capture=True)
    await till.refund(refunded, 150)
    await till.refund(refunded, 450)
    await till.ledger.merge(till.book, loser=7, survivor=9)
    await till.ledger.split(till.book, customer=7, survivor=9)
    await till.ledger.merge(till.book, loser=7, survivor=8)
    return till
