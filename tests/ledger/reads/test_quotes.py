"""Quotes: what a grant would be decided, and what is left, without writing anything; then the grant says the same."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger import Book, BookRefused, CapRoom, CapUse, Grade, GrantOrder, GrantOutcome, GrantQuote, GrantResult, Ledger
from ledger.testing import NOON, corroboration, fund, order, set_clock
from tests.ledger.conftest import make_book

DAY = timedelta(days=1)
_COUNTS = """
SELECT format('SELECT count(*), coalesce(sum(hashtext(t::text)::bigint), 0) FROM %s AS t', class.oid::regclass) AS statement
FROM pg_class AS class
JOIN pg_namespace AS namespace ON namespace.oid = class.relnamespace
WHERE namespace.nspname IN ('ledger', 'rewards') AND class.relkind = 'r'
    AND class.relname NOT IN ('api_key', 'key_quota', 'spool_report')
ORDER BY class.oid
"""


async def contents(owner: asyncpg.Connection[Any]) -> list[tuple[Any, ...]]:
    """What all tables hold, as sums: two equal answers say that nothing was written.

    The use of keys and what machines report are left out.
    """
    return [tuple(await owner.fetchrow(row["statement"]) or ()) for row in await owner.fetch(_COUNTS)]


async def quoted(ledger: Ledger, owner: asyncpg.Connection[Any], asked: GrantOrder) -> tuple[GrantQuote, GrantResult]:
    """Quote, then grant: both must say the same, and the quote has written nothing."""
    before = await contents(owner)
    quote = await ledger.quote(asked)
    assert await contents(owner) == before
    granted = await ledger.grant(asked)
    assert (quote.outcome, quote.points, quote.replayed) == (granted.outcome, granted.points, granted.replayed)
    return quote, granted


async def test_a_quote_says_what_is_left_and_the_grant_takes_it(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book
) -> None:
    await ledger.fund(fund(book, 100))
    caps = (
        CapUse(0, NOON.date(), max_grants=2),
        CapUse(1, None, max_grants=5, max_points=20),
        CapUse(2, NOON.date(), max_points=50, shared=True),
    )
    first, _ = await quoted(ledger, owner, order(book, points=10, caps=caps))
    assert (first.outcome, first.points, first.replayed) == (GrantOutcome.GRANTED, 10, False)
    assert first.caps == (CapRoom(2, None), CapRoom(5, 20), CapRoom(None, 50))
    assert (first.budget_left, first.balance, first.seq) == (100, 0, 1)
    again, _ = await quoted(ledger, owner, order(book, points=10, caps=caps))
    assert (again.outcome, again.points, again.replayed) == (GrantOutcome.GRANTED, 10, True)
    second, _ = await quoted(ledger, owner, order(book, message_id="second", points=10, caps=caps))
    assert second.caps == (CapRoom(1, None), CapRoom(4, 10), CapRoom(None, 40))
    assert (second.budget_left, second.balance, second.seq) == (90, 10, 2)
    third, _ = await quoted(ledger, owner, order(book, message_id="third", points=10, caps=caps))
    assert (third.outcome, third.points) == (GrantOutcome.CAP_REACHED, 0)
    assert third.caps == (CapRoom(0, None), CapRoom(3, 0), CapRoom(None, 30))
    another = await ledger.quote(order(book, customer=8, message_id="second", points=10, caps=caps))
    assert another.caps == (CapRoom(2, None), CapRoom(5, 20), CapRoom(None, 30))


async def test_a_cap_comes_before_the_budget(ledger: Ledger, owner: asyncpg.Connection[Any], book: Book) -> None:
    await ledger.fund(fund(book, 4))
    exhausted, _ = await quoted(ledger, owner, order(book))
    assert (exhausted.outcome, exhausted.budget_left) == (GrantOutcome.BUDGET_EXHAUSTED, 4)
    capped, _ = await quoted(ledger, owner, order(book, message_id="2", caps=(CapUse(0, NOON.date(), max_points=4),)))
    assert capped.outcome is GrantOutcome.CAP_REACHED
    unlimited, _ = await quoted(ledger, owner, order(book, message_id="3", unlimited=True))
    assert (unlimited.outcome, unlimited.budget_left) == (GrantOutcome.GRANTED, None)


async def test_a_limit_that_was_lowered_leaves_nothing_rather_than_less(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book
) -> None:
    await ledger.fund(fund(book, 100))
    for n in range(3):
        await ledger.grant(order(book, message_id=f"{n}", caps=(CapUse(0, NOON.date(), max_grants=5, max_points=50),)))
    quote, _ = await quoted(
        ledger, owner, order(book, message_id="next", caps=(CapUse(0, NOON.date(), max_grants=1, max_points=3),))
    )
    assert quote.caps == (CapRoom(0, 0),)


async def test_what_a_rolling_day_cannot_tell_any_more_is_quoted_as_refused(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book
) -> None:
    await ledger.fund(fund(book, 100))
    caps = (CapUse(0, None, max_grants=3),)
    for hours, outcome, room in ((72, GrantOutcome.GRANTED, 3), (74, GrantOutcome.CAP_REACHED, 0)):
        asked = order(book, message_id=f"{hours}", at=NOON - timedelta(hours=hours), caps=caps)
        quote, _ = await quoted(ledger, owner, asked)
        assert (quote.outcome, quote.caps) == (outcome, (CapRoom(room, None),))


async def test_what_waits_and_what_is_proved(ledger: Ledger, owner: asyncpg.Connection[Any], book: Book) -> None:
    await ledger.fund(fund(book, 100))
    weak: dict[str, Any] = {"action": "open", "grade": Grade.D, "waits": True, "points": 1, "corroboration": corroboration()}
    waits, _ = await quoted(ledger, owner, order(book, **weak))
    assert (waits.outcome, waits.points, waits.replayed) == (GrantOutcome.WAITING, 0, False)
    waits, _ = await quoted(ledger, owner, order(book, **weak))
    assert (waits.outcome, waits.replayed) == (GrantOutcome.WAITING, True)
    stronger, _ = await quoted(ledger, owner, order(book, action="open", points=1))
    assert (stronger.outcome, stronger.points, stronger.replayed) == (GrantOutcome.GRANTED, 1, False)
    # A person has clicked: what is reported of the message later is paid at once.
    await ledger.grant(order(book, message_id="other", corroboration=corroboration(message_id="other", may_wait=("open",))))
    weak["corroboration"] = corroboration(message_id="other")
    proved, _ = await quoted(ledger, owner, order(book, message_id="other", **weak))
    assert (proved.outcome, proved.points, proved.replayed) == (GrantOutcome.GRANTED, 1, False)


async def test_what_has_waited_is_paid_by_its_own_terms(ledger: Ledger, owner: asyncpg.Connection[Any], book: Book) -> None:
    """A proof that paid nothing when it came: nobody knew then that an open may wait."""
    await ledger.fund(fund(book, 100))
    weak: dict[str, Any] = {"action": "open", "grade": Grade.D, "waits": True}
    await ledger.grant(order(book, points=7, held_back=True, due_at=NOON + DAY, **weak))
    await ledger.grant(order(book, corroboration=corroboration()))
    asked = order(book, points=3, caps=(CapUse(0, NOON.date(), max_grants=9),), corroboration=corroboration(), **weak)
    quote, _ = await quoted(ledger, owner, asked)
    assert (quote.outcome, quote.points, quote.replayed) == (GrantOutcome.HELD_BACK, 7, True)
    assert quote.caps == (CapRoom(9, None),)


async def test_a_stale_customer_is_reported(ledger: Ledger, owner: asyncpg.Connection[Any], book: Book) -> None:
    await ledger.fund(fund(book, 100))
    await ledger.grant(order(book, customer=7))
    await ledger.merge(book, loser=7, survivor=8)
    for customer, former, outcome in (
        (7, (), GrantOutcome.STALE_CUSTOMER),
        (8, (), GrantOutcome.STALE_CUSTOMER),
        (8, (7,), GrantOutcome.GRANTED),
    ):
        quote, _ = await quoted(ledger, owner, order(book, customer=customer, former=former))
        assert quote.outcome is outcome
        assert (quote.points, quote.replayed) == ((5, True) if former else (0, False))


async def test_each_of_a_batch_is_quoted_as_if_it_were_the_only_one(ledger: Ledger, book: Book) -> None:
    await ledger.fund(fund(book, 5))
    quotes = await ledger.quotes([order(book, message_id=f"{n}", customer=n) for n in (1, 2, 3)])
    assert [(quote.outcome, quote.budget_left) for quote in quotes] == [(GrantOutcome.GRANTED, 5)] * 3
    assert await ledger.quotes([]) == []


async def test_orders_of_two_books_and_of_another_brands_book_are_refused(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book
) -> None:
    other = await make_book(owner, brand_id=2)
    with pytest.raises(ValueError, match="several books"):
        await ledger.quotes([order(book), order(other)])
    with pytest.raises(BookRefused):
        await ledger.quote(order(Book(brand_id=2, book_id=book.book_id)))


steps = st.lists(
    st.fixed_dictionaries(
        {
            "passes_h": st.sampled_from([0, 0, 1, 6, 20, 48]),
            "late_h": st.sampled_from([0, 0, 5, 24, 72, 74]),
            "customer": st.sampled_from([1, 1, 2]),
            "message": st.sampled_from([0, 1, 2, 3, 4]),
            "action": st.sampled_from(["open", "click"]),
            "grade": st.sampled_from([Grade.A, Grade.B, Grade.D]),
            "points": st.sampled_from([1, 5, 20]),
            "held_back": st.sampled_from([False, False, True]),
            "unlimited": st.sampled_from([False, False, False, True]),
            "again": st.sampled_from([False, False, True]),
        }
    ),
    min_size=1,
    max_size=25,
)
limits = st.lists(
    st.tuples(
        st.sampled_from(["day", "ever", "rolling", "shared"]),
        st.none() | st.integers(1, 4),
        st.none() | st.integers(1, 60),
    ),
    max_size=4,
    unique_by=lambda cap: cap[0],
)


def cap_uses(drawn: list[tuple[str, int | None, int | None]], at: datetime) -> tuple[CapUse, ...]:
    """Caps of any window, as they count at a time."""
    periods: dict[str, date | None] = {"day": at.date(), "ever": date(2000, 1, 1), "rolling": None, "shared": at.date()}
    return tuple(
        CapUse(number, periods[window], grants, points, shared=window == "shared")
        for number, (window, grants, points) in enumerate(drawn)
    )


def spent(quote: GrantQuote, points: int) -> tuple[CapRoom, ...]:
    """What the caps leave after a grant of so many points."""
    return tuple(
        CapRoom(
            None if room.grants_left is None else room.grants_left - 1,
            None if room.points_left is None else room.points_left - points,
        )
        for room in quote.caps
    )


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=steps, drawn=limits, budget=st.sampled_from([1, 30, 1_000]))
async def test_a_quote_and_the_grant_after_it_say_the_same_and_what_is_left_drops_by_what_was_granted(
    ledger: Ledger,
    owner: asyncpg.Connection[Any],
    steps: list[dict[str, Any]],
    drawn: list[tuple[str, int | None, int | None]],
    budget: int,
) -> None:
    book = await make_book(owner)
    await ledger.fund(fund(book, budget))
    now = NOON
    for step in steps:
        now += timedelta(hours=step["passes_h"])
        await set_clock(owner, book, now)
        at = now - timedelta(hours=step["late_h"])
        message_id, customer, action = f"{step['message']}", step["customer"], step["action"]
        asked = order(
            book,
            customer=customer,
            message_id=message_id,
            action=action,
            grade=step["grade"],
            points=step["points"],
            waits=step["grade"] is Grade.D,
            held_back=step["held_back"],
            due_at=now + 9 * DAY if step["held_back"] else None,
            unlimited=step["unlimited"],
            again=step["again"],
            caps=cap_uses(drawn, at),
            at=at,
            corroboration=corroboration(
                customer=customer,
                message_id=message_id,
                # A weak act proves nothing, whatever it is said to bear on.
                may_wait=tuple({"open", "click"} - {action}),
            ),
        )
        quote, granted = await quoted(ledger, owner, asked)
        after = await ledger.quote(asked)
        assert after.replayed
        if granted.balance_seq == quote.seq:
            assert (after.caps, after.budget_left, after.balance) == (quote.caps, quote.budget_left, quote.balance)
        elif granted.balance_seq == quote.seq + 1 and granted.seq == granted.balance_seq:
            # Its own transfer, and none of what waited for it.
            assert after.caps == spent(quote, granted.points)
            assert after.budget_left == (None if quote.budget_left is None else quote.budget_left - granted.points)
            paid = granted.points if granted.outcome is GrantOutcome.GRANTED else 0
            assert after.balance == granted.balance == quote.balance + paid
