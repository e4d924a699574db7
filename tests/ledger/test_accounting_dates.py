"""On which business date a transfer counts: what fell due on the day it did, whenever that is posted."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from ledger import Book, Ledger, RedemptionStatus, Verb, sweep
from ledger.testing import NOON, authorize, capture, fund, order, set_clock, void
from tests.ledger.conftest import make_book

JANUARY, FEBRUARY = date(2030, 1, 31), date(2030, 2, 28)
LATER = datetime(2030, 3, 7, 12, tzinfo=UTC)


async def dated(ledger: Ledger, book: Book) -> list[tuple[Verb, int, date]]:
    """The log: what each transfer did, how many points it moved, and when it counts."""
    head = await ledger.head(book)
    return [
        (each.verb, each.amount, each.accounting_date)
        for each in await ledger.transfers(book, after=0, cut=head.seq, limit=1_000)
    ]


async def hold(ledger: Ledger, book: Book, points: int, until: datetime) -> int:
    """Points set aside from `NOON` on."""
    held = await ledger.redeem(authorize(book, 7, points, hold_s=int((until - NOON).total_seconds())))
    assert held.redemption
    return held.redemption.redemption


async def test_what_fell_due_counts_on_that_day_however_late_it_is_posted(
    ledger: Ledger, owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any], book: Book
) -> None:
    await ledger.fund(fund(book, 1_000))
    await ledger.grant(order(book, points=10, expires_on=JANUARY))
    await ledger.grant(order(book, points=20, expires_on=FEBRUARY, message_id="second"))
    review = order(book, points=5, message_id="review", held_back=True, due_at=datetime(2030, 2, 3, 23, tzinfo=UTC))
    await ledger.grant(review)
    # Midnight in Berlin, after the last day of the first lot.
    await hold(ledger, book, 4, datetime(2030, 1, 31, 23, tzinfo=UTC))
    await set_clock(owner, book, LATER)
    while await sweep(worker_pool, book):
        pass
    assert (await dated(ledger, book))[5:] == [
        (Verb.REJECT, 5, date(2030, 2, 4)),
        (Verb.TIME_OUT, 4, date(2030, 2, 1)),
        (Verb.EXPIRE, 6, JANUARY),
        (Verb.EXPIRE, 20, FEBRUARY),
        (Verb.EXPIRE, 4, date(2030, 3, 3)),
    ]


async def test_what_somebody_asked_for_counts_on_the_day_it_was_posted(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book
) -> None:
    await ledger.fund(fund(book, 1_000))
    await ledger.grant(order(book, points=10, expires_on=FEBRUARY, at=NOON - timedelta(days=2)))
    review = order(book, points=5, message_id="review", held_back=True, due_at=LATER)
    await ledger.grant(review)
    first, second = await hold(ledger, book, 4, LATER), await hold(ledger, book, 3, LATER)
    # Half past midnight in Berlin, and still the day before for everybody else.
    await set_clock(owner, book, datetime(2030, 1, 19, 23, 30, tzinfo=UTC))
    await ledger.redeem(void(book, first))
    await ledger.redeem(capture(book, second, 1))
    await ledger.reject(book, 1, review.key)
    assert [each for each in await dated(ledger, book) if each[2] != NOON.date()] == [
        (Verb.VOID, 4, date(2030, 1, 20)),
        (Verb.CAPTURE, 1, date(2030, 1, 20)),
        (Verb.VOID, 2, date(2030, 1, 20)),
        (Verb.REJECT, 5, date(2030, 1, 20)),
    ]


async def test_a_time_out_occurred_at_its_deadline_and_is_a_void_to_storefronts_and_customers(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book
) -> None:
    await ledger.fund(fund(book, 1_000))
    await ledger.grant(order(book, points=10))
    deadline = NOON + timedelta(hours=1)
    number = await hold(ledger, book, 4, deadline)
    await set_clock(owner, book, LATER)
    refused = await ledger.redeem(authorize(book, 7, 100))
    assert refused.balance == 10
    posted = (await ledger.transfers(book, after=3, cut=9, limit=9))[0]
    assert (posted.verb, posted.occurred_at, posted.posted_at >= LATER) == (Verb.TIME_OUT, deadline, True)
    redemption = await ledger.redemption(book, number)
    assert redemption
    assert (redemption.status, redemption.released) == (RedemptionStatus.EXPIRED, 4)
    assert [(each.verb, each.points) for each in redemption.operations] == [("authorize", 4), ("void", 4)]
    newest = (await ledger.statement(book, 7))[0]
    assert (newest.verb, newest.points) == ("void", 4)
    assert (await ledger.redeem(void(book, number))).replayed


@pytest.mark.parametrize(
    "zone", ["Asia/Kolkata", "Australia/Lord_Howe", "Europe/Berlin", "America/St_Johns", "Pacific/Kiritimati"]
)
async def test_a_deadline_at_midnight_is_the_next_days_and_the_moment_before_is_not(
    ledger: Ledger, owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any], zone: str
) -> None:
    book = await make_book(owner, time_zone=zone)
    await ledger.fund(fund(book, 1_000))
    await ledger.grant(order(book, points=10))
    midnight = datetime(2030, 2, 1, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    await hold(ledger, book, 3, midnight - timedelta(seconds=1))
    await hold(ledger, book, 4, midnight + timedelta(seconds=1))
    await set_clock(owner, book, LATER)
    while await sweep(worker_pool, book):
        pass
    assert (await dated(ledger, book))[4:] == [(Verb.TIME_OUT, 3, JANUARY), (Verb.TIME_OUT, 4, date(2030, 2, 1))]
