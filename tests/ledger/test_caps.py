"""Caps: of the last day, of all customers together, and of what is decided again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger import Book, CapUse, Grade, GrantOutcome, GrantResult, Ledger, event_key
from ledger.testing import NOON, corroboration, fund, order, set_clock
from tests.ledger.conftest import make_book

DAY, GRANTED, CAP = timedelta(days=1), GrantOutcome.GRANTED, GrantOutcome.CAP_REACHED


@pytest.fixture(autouse=True)
async def funded(ledger: Ledger, book: Book) -> None:
    await ledger.fund(fund(book, 1_000_000))


def a_day(grants: int | None = None, points: int | None = None) -> tuple[CapUse, ...]:
    """A cap of the last 24 hours."""
    return (CapUse(0, None, grants, points),)


async def outcome(
    ledger: Ledger, book: Book, message_id: str, at: datetime, caps: tuple[CapUse, ...], **fields: Any
) -> GrantOutcome:
    """What is decided on one grant."""
    return (await ledger.grant(order(book, message_id=message_id, at=at, caps=caps, **fields))).outcome


async def test_a_day_is_24_hours_to_the_microsecond(ledger: Ledger, owner: asyncpg.Connection[Any], book: Book) -> None:
    await set_clock(owner, book, NOON + DAY)
    caps = a_day(grants=1)
    assert await outcome(ledger, book, "first", NOON, caps) is GRANTED
    assert await outcome(ledger, book, "too soon", NOON + DAY - timedelta(microseconds=1), caps) is CAP
    assert await outcome(ledger, book, "a day later", NOON + DAY, caps) is GRANTED


async def test_a_late_report_counts_what_came_after_it_too(ledger: Ledger, book: Book) -> None:
    caps = a_day(points=10)
    assert await outcome(ledger, book, "now", NOON, caps) is GRANTED
    assert await outcome(ledger, book, "before", NOON - timedelta(hours=23), caps) is GRANTED
    # 12 hours from both: within a day of it there would be fifteen points.
    assert await outcome(ledger, book, "between", NOON - timedelta(hours=12), caps) is CAP
    assert await outcome(ledger, book, "long before", NOON - timedelta(hours=48), caps) is GRANTED


async def test_what_is_granted_in_one_batch_counts_at_once(ledger: Ledger, book: Book) -> None:
    orders = [order(book, message_id=f"message-{n}", customer=7 + n % 2, caps=a_day(grants=3)) for n in range(10)]
    answers = await ledger.grant_batch(orders)
    assert [answer.outcome for answer in answers if isinstance(answer, GrantResult)] == [GRANTED] * 6 + [CAP] * 4


async def test_what_no_report_can_come_near_any_more_is_forgotten(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book
) -> None:
    for day in range(8):
        now = NOON + day * DAY
        await set_clock(owner, book, now)
        assert await outcome(ledger, book, f"day {day}", now, a_day(grants=1)) is GRANTED
    # Today's, and those of the three days and an hour that a report may be late, and a day before.
    assert await owner.fetchval("SELECT cardinality(counted_at) FROM ledger.cap_recent") == 5


async def test_what_happened_so_long_ago_that_it_cannot_be_compared_passes_a_cap_of_the_last_day(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book
) -> None:
    caps = a_day(grants=1)
    waits: dict[str, Any] = {"waits": True, "grade": Grade.D, "action": "open", "caps": caps}
    for message_id, at in (("first", NOON), ("second", NOON + timedelta(hours=5))):
        await set_clock(owner, book, at)
        await ledger.grant(
            order(book, message_id=message_id, at=at, corroboration=corroboration(message_id=message_id), **waits)
        )
    assert (
        await outcome(ledger, book, "first", NOON, caps, corroboration=corroboration(message_id="first", may_wait=("open",)))
        is GRANTED
    )
    # Four days later nobody knows any more what was granted around the second.
    now = NOON + 5 * DAY
    await set_clock(owner, book, now)
    assert await outcome(ledger, book, "third", now, caps) is GRANTED
    late = order(
        book, message_id="second", points=1, at=now, corroboration=corroboration(message_id="second", may_wait=("open",))
    )
    await ledger.grant(late)
    for message_id in ("first", "second"):
        key = event_key(campaign_no=1, message_id=message_id, customer=7, action="open")
        for_cap = await ledger.decision(book, 1, [key])
        assert for_cap is not None
        assert for_cap.outcome is CAP
        again = await ledger.grant(order(book, message_id=message_id, at=NOON, action="open", caps=a_day(grants=9), again=True))
        assert (again.outcome, again.replayed) == (CAP, True)


reports = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 72), st.sampled_from([1, 2, 5])), min_size=1, max_size=25)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(reports=reports, at_most=st.integers(1, 4), points=st.integers(4, 12))
async def test_no_span_of_24_hours_ever_holds_more_than_the_cap(
    ledger: Ledger,
    owner: asyncpg.Connection[Any],
    reports: list[tuple[int, int, int]],
    at_most: int,
    points: int,
) -> None:
    """Reports come in as hours pass, each up to three days late."""
    book = await make_book(owner)
    now = NOON
    paid: list[tuple[datetime, int]] = []
    for n, (hours, late, worth) in enumerate(reports):
        now += timedelta(hours=hours)
        await set_clock(owner, book, now)
        at = now - timedelta(hours=late)
        decided = await outcome(ledger, book, f"{n}", at, a_day(at_most, points), points=worth, unlimited=True)
        near = [value for when, value in paid if abs(when - at) < DAY]
        fits = len(near) < at_most and sum(near) + worth <= points
        assert decided is (GRANTED if fits else CAP)
        if all(delay == 0 for _, delay, _ in reports[: n + 1]):
            behind = [value for when, value in paid if when > at - DAY]
            assert fits == (len(behind) < at_most and sum(behind) + worth <= points)
        if fits:
            paid.append((at, worth))
    for start, _ in paid:
        span = [value for when, value in paid if start <= when < start + DAY]
        assert len(span) <= at_most
        assert sum(span) <= points


async def test_a_shared_cap_counts_all_customers_of_the_campaign(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book
) -> None:
    caps = (CapUse(0, NOON.date(), max_grants=3, shared=True), CapUse(1, NOON.date(), max_grants=2))
    orders = [order(book, customer=customer, message_id=f"{n}", caps=caps) for n, customer in enumerate([1, 1, 1, 2, 3, 4])]
    answers = await ledger.grant_batch(orders)
    assert [answer.outcome for answer in answers if isinstance(answer, GrantResult)] == [
        GRANTED,
        GRANTED,
        CAP,
        GRANTED,
        CAP,
        CAP,
    ]
    assert await outcome(ledger, book, "later", NOON, caps, customer=5) is CAP
    assert await outcome(ledger, book, "other", NOON, caps, customer=5, campaign_no=2, unlimited=True) is GRANTED
    assert await owner.fetchrow("SELECT grants, points FROM ledger.cap_use WHERE customer = 0 AND campaign_no = 1") == (3, 15)


async def test_a_refusal_is_decided_again_when_asked(ledger: Ledger, owner: asyncpg.Connection[Any], book: Book) -> None:
    def capped(at_most: int, **fields: Any) -> Any:
        return order(book, message_id="second", caps=(CapUse(0, NOON.date(), at_most),), **fields)

    await ledger.grant(order(book, message_id="first", caps=(CapUse(0, NOON.date(), 1),)))
    refused = await ledger.grant(capped(1))
    assert refused.outcome is CAP
    still = await ledger.grant(capped(1, again=True))
    assert (still.outcome, still.replayed, still.seq) == (CAP, True, refused.seq)
    assert await owner.fetchval("SELECT place FROM ledger.event WHERE place IS NOT NULL") == 1
    assert (await ledger.grant(capped(2))).outcome is CAP
    paid = await ledger.grant(capped(2, again=True))
    assert (paid.outcome, paid.points, paid.replayed, paid.balance) == (GRANTED, 5, False, 10)
    once = await ledger.grant(capped(9, again=True))
    assert (once.outcome, once.replayed, once.balance) == (GRANTED, True, 10)
    assert await owner.fetchval("SELECT count(*) FROM ledger.event WHERE place IS NOT NULL") == 0
