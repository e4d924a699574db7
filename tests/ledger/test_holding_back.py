"""Points that are held back: granted, but nobody's to spend until somebody approves."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from typing import Any

import asyncpg
import pytest

from ledger import (
    AccountClass,
    Book,
    CapUse,
    GrantOrder,
    GrantOutcome,
    Ledger,
    Lot,
    Settlement,
    SettleOutcome,
    Verb,
    sweep,
)
from ledger.testing import NOON, authorize, fund, order, set_clock, void
from tests.ledger.conftest import written

DUE = NOON + timedelta(days=14)
MARCH = date(2030, 3, 31)
SETTLED = Settlement(SettleOutcome.SETTLED, replayed=False)
AGAIN = Settlement(SettleOutcome.SETTLED, replayed=True)
NOT_HELD_BACK = Settlement(SettleOutcome.NOT_HELD_BACK, replayed=False)


@pytest.fixture(autouse=True)
async def funded(ledger: Ledger, book: Book) -> None:
    await ledger.fund(fund(book, 100))


def a_review(book: Book, **fields: Any) -> GrantOrder:
    """A review, for which 20 points are promised."""
    told: dict[str, Any] = {"action": "voice.review", "points": 20, "held_back": True, "due_at": DUE, "expires_on": MARCH}
    return order(book, **told | fields)


async def test_what_is_held_back_has_left_the_budget_and_cannot_be_spent(ledger: Ledger, book: Book) -> None:
    result = await ledger.grant(a_review(book))
    assert (result.outcome, result.points, result.balance, result.seq) == (GrantOutcome.HELD_BACK, 20, 0, 2)
    balance = await ledger.balance(book, 7)
    assert (balance.spendable, balance.pending, balance.lots) == (0, 20, ())
    assert (await ledger.redeem(authorize(book, 7, 1))).balance == 0
    assert await ledger.budget(book, 1) == (100, 20)
    again = await ledger.grant(a_review(book))
    assert (again.outcome, again.points, again.replayed) == (GrantOutcome.HELD_BACK, 20, True)


async def test_it_matures_into_a_lot_that_lasts_from_then_on(ledger: Ledger, book: Book) -> None:
    review = a_review(book, account_class=AccountClass.PURCHASE)
    await ledger.grant(review)
    later = date(2030, 6, 30)
    assert await ledger.mature(book, 1, review.key, expires_on=later) == SETTLED
    balance = await ledger.balance(book, 7)
    assert (balance.pending, balance.lots) == (0, (Lot(AccountClass.PURCHASE, later, 20),))
    result = await ledger.grant(review)
    assert (result.outcome, result.points, result.replayed, result.balance) == (GrantOutcome.GRANTED, 20, True, 20)


async def test_a_rejection_gives_the_budget_and_the_caps_back(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book
) -> None:
    caps = (CapUse(0, NOON.date(), max_grants=1), CapUse(1, None, max_points=20), CapUse(2, NOON.date(), 1, shared=True))
    review = a_review(book, caps=caps)
    await ledger.grant(review)
    refused = await ledger.grant(a_review(book, message_id="second", caps=caps))
    assert refused.outcome is GrantOutcome.CAP_REACHED
    assert await ledger.reject(book, 1, review.key) == SETTLED
    assert await ledger.budget(book, 1) == (100, 0)
    assert (await ledger.balance(book, 7)).pending == 0
    result = await ledger.grant(review)
    assert (result.outcome, result.points, result.replayed) == (GrantOutcome.REJECTED, 0, True)
    third = await ledger.grant(a_review(book, message_id="third", caps=caps))
    assert third.outcome is GrantOutcome.HELD_BACK
    assert await owner.fetchval("SELECT credits - debits FROM ledger.account WHERE kind = 5") == 80


@pytest.mark.parametrize("first", ["mature", "reject"])
async def test_the_first_to_settle_settles(ledger: Ledger, owner: asyncpg.Connection[Any], book: Book, first: str) -> None:
    review = a_review(book)
    await ledger.grant(review)

    async def settle(how: str) -> Settlement:
        if how == "mature":
            return await ledger.mature(book, 1, review.key, expires_on=MARCH)
        return await ledger.reject(book, 1, review.key)

    assert await settle(first) == SETTLED
    before = await written(owner)
    assert await settle(first) == AGAIN
    assert await settle("reject" if first == "mature" else "mature") == NOT_HELD_BACK
    assert await written(owner) == before


async def test_many_who_settle_at_once_settle_once(ledger: Ledger, owner: asyncpg.Connection[Any], book: Book) -> None:
    review = a_review(book)
    await ledger.grant(review)
    settling = [
        ledger.reject(book, 1, review.key) if n % 2 else ledger.mature(book, 1, review.key, expires_on=MARCH) for n in range(20)
    ]
    answers = await asyncio.gather(*settling)
    assert answers.count(SETTLED) == 1
    assert answers.count(AGAIN) == 9
    assert await owner.fetchval("SELECT count(*) FROM ledger.transfer WHERE verb IN (4, 5)") == 1


async def test_after_its_deadline_it_is_rejected_and_nothing_else(
    ledger: Ledger, owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any], book: Book
) -> None:
    late, forgotten, settled = (a_review(book, message_id=name) for name in ("late", "forgotten", "settled"))
    await ledger.grant_batch([late, forgotten, settled, a_review(book, message_id="long", due_at=DUE + timedelta(days=1))])
    await ledger.mature(book, 1, settled.key, expires_on=MARCH)
    await set_clock(owner, book, DUE)
    assert await ledger.mature(book, 1, late.key, expires_on=MARCH) == NOT_HELD_BACK
    assert await sweep(worker_pool, book) == 1
    assert await sweep(worker_pool, book) == 0
    outcomes = [await ledger.decision(book, 1, [each.key]) for each in (late, forgotten, settled)]
    assert [each.outcome for each in outcomes if each] == [
        GrantOutcome.REJECTED,
        GrantOutcome.REJECTED,
        GrantOutcome.GRANTED,
    ]
    balance = await ledger.balance(book, 7)
    assert (balance.spendable, balance.pending) == (20, 20)


async def test_nothing_else_can_be_settled(ledger: Ledger, book: Book) -> None:
    granted, weak = order(book, message_id="granted"), order(book, message_id="weak", waits=True)
    await ledger.grant_batch([granted, weak])
    for each in (granted, weak):
        assert await ledger.reject(book, 1, each.key) == NOT_HELD_BACK
        assert await ledger.mature(book, 1, each.key, expires_on=None) == NOT_HELD_BACK
    unknown = Settlement(SettleOutcome.NOT_FOUND, replayed=False)
    assert await ledger.reject(book, 1, bytes(16)) == unknown


async def test_what_matures_is_never_dead(ledger: Ledger, book: Book) -> None:
    """Midnight may pass while somebody approves."""
    review = a_review(book)
    await ledger.grant(review)
    await ledger.mature(book, 1, review.key, expires_on=NOON.date() - timedelta(days=15))
    assert [lot.expires_on for lot in (await ledger.balance(book, 7)).lots] == [date(2030, 1, 31)]


async def rejected(owner: asyncpg.Connection[Any]) -> list[tuple[int, date]]:
    """Whose points were rejected by time, and on which day that counts."""
    rows = await owner.fetch("SELECT customer, due_on FROM ledger.transfer WHERE verb = $1 ORDER BY seq", Verb.REJECT)
    return [tuple(row) for row in rows]


async def test_what_nobody_approved_in_time_is_not_the_customers_from_then_on(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book
) -> None:
    early = a_review(book, points=5, due_at=DUE - timedelta(days=1))
    await ledger.grant_batch([a_review(book, message_id="second"), early, order(book, points=3, message_id="click")])
    for at, pending in ((DUE - timedelta(days=1, seconds=1), 25), (DUE - timedelta(days=1), 20), (DUE, 0)):
        await set_clock(owner, book, at)
        balance = await ledger.balance(book, 7)
        assert (balance.pending, balance.spendable) == (pending, 3)
    assert await rejected(owner) == []


async def test_whoever_takes_from_a_wallet_finds_what_was_held_back_rejected(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book
) -> None:
    caps = (CapUse(0, NOON.date(), max_grants=2),)
    reviews = [a_review(book, message_id=f"{n}", points=5, due_at=DUE + n * timedelta(days=1), caps=caps) for n in range(2)]
    await ledger.grant_batch([*reviews, order(book, points=3, message_id="click")])
    await set_clock(owner, book, DUE + timedelta(hours=12))
    await ledger.redeem(authorize(book, 7, 1))
    assert await rejected(owner) == [(7, DUE.date())]
    assert await ledger.budget(book, 1) == (100, 8)
    # The cap has room again.
    third = a_review(book, message_id="third", points=5, due_at=DUE + timedelta(days=2), caps=caps)
    assert (await ledger.grant(third)).outcome is GrantOutcome.HELD_BACK
    await set_clock(owner, book, DUE + timedelta(days=3))
    await ledger.redeem(authorize(book, 7, 1))
    assert await rejected(owner) == [(7, (DUE + timedelta(days=n)).date()) for n in range(3)]


@pytest.mark.parametrize("whose", [7, 8])
async def test_a_merge_moves_nothing_that_is_due(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book, whose: int
) -> None:
    await ledger.grant_batch([a_review(book, customer=whose), order(book, customer=7), order(book, customer=8)])
    await set_clock(owner, book, DUE + timedelta(days=3))
    await ledger.merge(book, loser=7, survivor=8)
    assert await rejected(owner) == [(whose, DUE.date())]
    assert (await ledger.balance(book, 8)).pending == 0


async def test_a_merge_takes_what_is_held_back_along_with_its_deadline_and_a_split_gives_back_only_what_is_not_due(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book
) -> None:
    later = DUE + timedelta(days=5)
    reviews = [a_review(book, message_id=f"{due:%d}", points=5, due_at=due) for due in (DUE, later)]
    await ledger.grant_batch([*reviews, order(book, customer=8)])
    await ledger.merge(book, loser=7, survivor=8)
    assert (await ledger.balance(book, 8)).pending == 10
    await set_clock(owner, book, DUE)
    assert (await ledger.balance(book, 8)).pending == 5
    await ledger.split(book, customer=7, survivor=8)
    assert await rejected(owner) == [(8, DUE.date())]
    assert [(await ledger.balance(book, customer)).pending for customer in (7, 8)] == [5, 0]
    await set_clock(owner, book, later)
    await ledger.redeem(authorize(book, 7, 1))
    assert await rejected(owner) == [(8, DUE.date()), (7, later.date())]


async def test_a_hold_that_ends_leaves_the_deadline_of_what_is_held_back(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book
) -> None:
    await ledger.grant_batch([a_review(book), order(book, points=10)])
    held = await ledger.redeem(authorize(book, 7, 1, hold_s=60))
    assert held.redemption
    await ledger.redeem(void(book, held.redemption.redemption))
    await set_clock(owner, book, DUE)
    await ledger.redeem(authorize(book, 7, 1))
    assert await rejected(owner) == [(7, DUE.date())]


async def test_events_say_that_it_is_over_from_the_deadline_on_whenever_that_is_posted(
    ledger: Ledger, owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any], book: Book
) -> None:
    review = a_review(book)
    await ledger.grant(review)
    await ledger.merge(book, loser=7, survivor=8)

    async def said() -> list[tuple[GrantOutcome, int]]:
        """By its key, as a decision, as one of a former customer, and in both lists."""
        lists = [await ledger.find_events(book, customers=customers) for customers in ((), (7,))]
        found = [
            await ledger.event(book, 1, review.key),
            await ledger.decision(book, 1, [review.key]),
            *await ledger.past_events(book, 1, 8, [(7, review.key)]),
            *[event for events, _ in lists for event in events],
        ]
        assert None not in found
        return [(each.outcome, each.points) for each in found if each]

    async def listed(outcome: GrantOutcome) -> list[int]:
        pages = [await ledger.find_events(book, outcomes=[outcome], customers=customers) for customers in ((), (7,))]
        return [len(events) for events, _ in pages]

    await set_clock(owner, book, DUE - timedelta(minutes=2))
    assert set(await said()) == {(GrantOutcome.HELD_BACK, 20)}
    assert await listed(GrantOutcome.HELD_BACK) == [1, 1]
    await set_clock(owner, book, DUE)
    unposted = await said()
    assert len(unposted) == 5
    assert set(unposted) == {(GrantOutcome.REJECTED, 0)}
    assert (await listed(GrantOutcome.HELD_BACK), await listed(GrantOutcome.REJECTED)) == ([0, 0], [1, 1])
    assert await sweep(worker_pool, book, limit=10) == 1
    assert await said() == unposted
    assert (await listed(GrantOutcome.HELD_BACK), await listed(GrantOutcome.REJECTED)) == ([0, 0], [1, 1])
