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
from ledger.testing import NOON, authorize, fund, order, set_clock
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


async def test_what_matures_dead_is_swept(
    ledger: Ledger, owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any], book: Book
) -> None:
    review = a_review(book)
    await ledger.grant(review)
    while await sweep(worker_pool, book):
        pass
    await ledger.mature(book, 1, review.key, expires_on=NOON.date() - timedelta(days=3))
    assert (await ledger.balance(book, 7)).spendable == 0
    assert await sweep(worker_pool, book) == 1
    assert await owner.fetchval("SELECT count(*) FROM ledger.transfer WHERE verb = $1", Verb.EXPIRE) == 1
