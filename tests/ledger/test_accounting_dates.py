"""On which business date a transfer counts: what fell due on the day it did, whenever that is posted."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from ledger import Book, Ledger, RedemptionStatus, Verb, sweep
from ledger.testing import NOON, authorize, capture, fund, order, set_clock, void
from tests.ledger.conftest import assert_books_are_sound, make_book

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


# Clocks change on the last day of March 2030 and of October 2032 in Berlin: the day has 23 hours, or 25.
MIDNIGHTS = [
    ("Asia/Kolkata", JANUARY),
    ("Australia/Lord_Howe", JANUARY),
    ("America/St_Johns", FEBRUARY),
    ("Pacific/Kiritimati", JANUARY),
    ("Europe/Berlin", date(2030, 3, 31)),
    ("Europe/Berlin", date(2032, 10, 31)),
]


@pytest.mark.parametrize(("zone", "last_day"), MIDNIGHTS)
@pytest.mark.parametrize("done_late", ["sweep", "merge", "split"])
async def test_what_falls_due_at_a_midnight_is_the_next_days_and_a_moment_before_is_not(
    ledger: Ledger,
    owner: asyncpg.Connection[Any],
    worker_pool: asyncpg.Pool[Any],
    zone: str,
    last_day: date,
    done_late: str,
) -> None:
    """Whatever posts it, and in whichever wallet it is by then."""
    book = await make_book(owner, time_zone=zone)
    next_day = last_day + timedelta(days=1)
    midnight = datetime.combine(next_day, time(), ZoneInfo(zone)).astimezone(UTC)
    await set_clock(owner, book, midnight - timedelta(hours=25))
    await ledger.fund(fund(book, 1_000))
    reviews = [
        order(book, points=10 + seconds, message_id=f"{seconds}", held_back=True, due_at=midnight + timedelta(seconds=seconds))
        for seconds in (-1, 0, 1)
    ]
    lots = [order(book, points=50, message_id=f"{day}", expires_on=day) for day in (last_day, next_day)]
    await ledger.grant_batch([*reviews, *lots, order(book, customer=8, points=7, expires_on=last_day)])
    for points, seconds in ((1, -1), (2, 0), (3, 1)):
        await ledger.redeem(authorize(book, 7, points, hold_s=25 * 3_600 + seconds))
    if done_late == "split":
        await ledger.merge(book, loser=7, survivor=8)
    posted_before = (await ledger.head(book)).seq
    await set_clock(owner, book, midnight + timedelta(days=2))
    if done_late == "merge":
        await ledger.merge(book, loser=7, survivor=8)
    elif done_late == "split":
        await ledger.split(book, customer=7, survivor=8)
    while await sweep(worker_pool, book):
        pass
    fell_due = [each for each in (await dated(ledger, book))[posted_before:] if each[0] not in (Verb.MERGE, Verb.SPLIT)]
    # Merged, the two have one lot of that day.
    expired = (
        [(Verb.EXPIRE, 52, last_day)] if done_late == "split" else [(Verb.EXPIRE, 45, last_day), (Verb.EXPIRE, 7, last_day)]
    )
    assert sorted(fell_due) == sorted(
        [
            (Verb.REJECT, 9, last_day),
            (Verb.REJECT, 10, next_day),
            (Verb.REJECT, 11, next_day),
            (Verb.TIME_OUT, 1, last_day),
            (Verb.TIME_OUT, 2, next_day),
            (Verb.TIME_OUT, 3, next_day),
            *expired,
            (Verb.EXPIRE, 50, next_day),
        ]
    )
    # What came back when its lot was dead has the book's grace.
    balances = [await ledger.balance(book, customer) for customer in (7, 8)]
    assert sorted(lot.points for balance in balances for lot in balance.lots) == [5]
    await assert_books_are_sound(owner)
