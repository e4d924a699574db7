"""Moving a test brand's clock."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import assert_never

from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import ClockOutcome, Ledger
from service.auth.audit_trail import record
from service.auth.principal import Principal
from service.brands.book_clocks import BookClocks
from service.http.problems import Problem, invalid_field
from service.test_clock.schemas import ClockAdvanceRequest


async def advance(
    engine: AsyncEngine, ledger: Ledger, clocks: BookClocks, principal: Principal, request: ClockAdvanceRequest
) -> datetime:
    """Move the brand's clock forward; return what it says then. Raises the problem of a live brand, and of going back."""
    brand = principal.brand
    if (request.seconds is None) == (request.to is None):
        raise invalid_field("", "must have either seconds or to")
    pointer = "/seconds" if request.to is None else "/to"
    to = None if request.to is None else request.to.astimezone(UTC)
    advanced = await ledger.advance_clock(brand.book, seconds=request.seconds, to=to)
    match advanced.outcome:
        case ClockOutcome.LIVE_BOOK:
            raise Problem("not_found", "Only a test brand has a clock that can be advanced.")
        case ClockOutcome.NOT_FORWARD:
            raise invalid_field(pointer, f"must lie after {advanced.clock.posted_at.isoformat()}: the clock only moves forward")
        case ClockOutcome.TOO_FAR:
            raise invalid_field(pointer, "must not be more than 3,660 days ahead of real time")
        case ClockOutcome.ADVANCED:
            clocks.moved(brand, advanced.clock)
            async with engine.begin() as connection:
                await record(connection, principal, "clock.advance", brand.code, after={"now": advanced.clock.posted_at})
            return advanced.clock.posted_at
        case _ as never:
            assert_never(never)
