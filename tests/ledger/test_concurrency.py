"""Many callers at once: what may not be exceeded is not, what must happen once does, and everybody is answered."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import asyncpg
import pytest

from ledger import (
    Book,
    CapUse,
    FundOutcome,
    GrantOutcome,
    GrantResult,
    Ledger,
    Redeem,
    RedemptionOutcome,
    RedemptionResult,
)
from ledger.testing import NOON, authorize, capture, fund, order, refund
from service.storage.database import APPLICATION_ROLE, create_pool
from tests.conftest import Database
from tests.ledger.conftest import make_book, spendable

DONE = RedemptionOutcome.DONE
CUSTOMER = 7


@pytest.fixture
async def ledgers(database: Database) -> Any:
    """Two ledgers on the same database, as two processes would have them."""
    pools = [await create_pool(database.application_url, APPLICATION_ROLE) for _ in range(2)]
    async with Ledger(pools[0]) as first, Ledger(pools[1]) as second:
        yield first, second
    for pool in pools:
        pool.terminate()


async def redeem_all(ledgers: tuple[Ledger, Ledger], steps: list[Redeem]) -> list[RedemptionResult]:
    """Take all steps at once, half of them through each ledger."""
    return await asyncio.gather(*(ledgers[n % 2].redeem(step) for n, step in enumerate(steps)))


async def earn(ledger: Ledger, book: Book, points: int) -> None:
    """Give the customer points."""
    await ledger.fund(fund(book, points))
    await ledger.grant(order(book, message_id="earned", points=points))


async def test_200_authorizations_at_once_never_overspend_and_exactly_the_right_number_succeed(
    ledgers: tuple[Ledger, Ledger], book: Book
) -> None:
    await earn(ledgers[0], book, 1000)
    results = await redeem_all(ledgers, [authorize(book, CUSTOMER, 7, order_ref=f"order-{n}") for n in range(200)])
    assert Counter(result.outcome for result in results) == {
        DONE: 142,  # 142 * 7 = 994
        RedemptionOutcome.INSUFFICIENT_BALANCE: 58,
    }
    balance = await ledgers[0].balance(book, CUSTOMER)
    assert (balance.spendable, balance.held) == (6, 994)


async def test_50_identical_authorizations_with_one_key_make_one_hold_and_50_equal_answers(
    ledgers: tuple[Ledger, Ledger], owner: asyncpg.Connection[Any], book: Book
) -> None:
    await earn(ledgers[0], book, 1000)
    results = await redeem_all(ledgers, [authorize(book, CUSTOMER, 10, key="one")] * 50)
    assert [result.outcome for result in results] == [DONE] * 50
    assert Counter(result.replayed for result in results) == {False: 1, True: 49}
    assert all(result.redemption == results[0].redemption for result in results)
    assert await owner.fetchval("SELECT count(*) FROM ledger.redemption") == 1
    assert await spendable(ledgers[0], book, CUSTOMER) == 990


async def test_50_refunds_at_once_never_exceed_what_was_captured(ledgers: tuple[Ledger, Ledger], book: Book) -> None:
    await earn(ledgers[0], book, 100)
    (spent,) = await redeem_all(ledgers, [authorize(book, CUSTOMER, 100, capture=True)])
    assert spent.redemption is not None
    results = await redeem_all(ledgers, [refund(book, spent.redemption.redemption, 3) for _ in range(50)])
    assert Counter(result.outcome for result in results) == {
        DONE: 33,
        RedemptionOutcome.REFUND_EXCEEDS_CAPTURED: 17,
    }
    assert await spendable(ledgers[0], book, CUSTOMER) == 99


async def test_captures_at_once_never_exceed_what_is_held(ledgers: tuple[Ledger, Ledger], book: Book) -> None:
    await earn(ledgers[0], book, 100)
    (held,) = await redeem_all(ledgers, [authorize(book, CUSTOMER, 50)])
    assert held.redemption is not None
    steps = [capture(book, held.redemption.redemption, 7, final=False) for _ in range(20)]
    outcomes = Counter(result.outcome for result in await redeem_all(ledgers, steps))
    assert outcomes == {DONE: 7, RedemptionOutcome.CAPTURE_EXCEEDS_AUTHORIZED: 13}
    redemption = await ledgers[0].redemption(book, held.redemption.redemption)
    assert redemption is not None
    assert (redemption.captured, redemption.released) == (49, 0)


async def test_two_ledgers_that_grant_the_same_2000_events_pay_each_once(
    ledgers: tuple[Ledger, Ledger], owner: asyncpg.Connection[Any], book: Book
) -> None:
    await ledgers[0].fund(fund(book, 10_000))
    orders = [order(book, customer=n % 50, message_id=f"message-{n}", points=1 + n % 9) for n in range(2000)]
    asked = sum(each.terms.points for each in orders)
    batches = [orders[start : start + 100] for start in range(0, 2000, 100)]
    answers = await asyncio.gather(
        *(ledgers[0].grant_batch(batch) for batch in batches), *(ledgers[1].grant_batch(batch) for batch in reversed(batches))
    )
    results = [result for batch in answers for result in batch if isinstance(result, GrantResult)]
    assert Counter((result.outcome, result.replayed) for result in results) == {
        (GrantOutcome.GRANTED, False): 2000,
        (GrantOutcome.GRANTED, True): 2000,
    }
    assert await owner.fetchval("SELECT sum(amount) FROM ledger.transfer WHERE verb = 2") == asked
    by_customer = await asyncio.gather(*(spendable(ledgers[0], book, customer) for customer in range(50)))
    assert sum(by_customer) == asked


async def test_budget_and_cap_are_exact_when_two_ledgers_grant_at_once(
    ledgers: tuple[Ledger, Ledger], owner: asyncpg.Connection[Any], book: Book
) -> None:
    await ledgers[0].fund(fund(book, 500))
    caps = (CapUse(0, NOON.date(), max_grants=3),)
    orders = [order(book, customer=n % 100, message_id=f"message-{n}", points=2, caps=caps) for n in range(600)]
    results = await asyncio.gather(*(ledgers[n % 2].grant(each) for n, each in enumerate(orders)))
    outcomes = Counter(result.outcome for result in results)
    assert outcomes[GrantOutcome.GRANTED] == 250
    assert await owner.fetchval("SELECT max(grants) FROM ledger.cap_use") == 3


async def test_grants_to_several_books_at_once_do_not_lock_each_other_out(
    ledgers: tuple[Ledger, Ledger], owner: asyncpg.Connection[Any], book: Book
) -> None:
    books = [book, *[await make_book(owner, brand_id=brand_id) for brand_id in (2, 3, 4)]]
    batches = [
        [order(each, message_id=f"message-{n}", unlimited=True) for each in (books if n % 2 else reversed(books))]
        for n in range(40)
    ]
    answers = await asyncio.gather(*(ledgers[n // 2 % 2].grant_batch(batch) for n, batch in enumerate(batches)))
    assert all(isinstance(answer, GrantResult) and not answer.replayed for batch in answers for answer in batch)
    assert [(await ledgers[0].head(each)).seq for each in books] == [40] * 4


async def test_fundings_at_once_never_issue_more_than_the_brand_authorized(
    ledgers: tuple[Ledger, Ledger], owner: asyncpg.Connection[Any]
) -> None:
    book = await make_book(owner, issue_limit=1000)
    results = await asyncio.gather(*(ledgers[n % 2].fund(fund(book, 30, campaign_no=n)) for n in range(50)))
    assert Counter(result.outcome for result in results) == {FundOutcome.FUNDED: 33, FundOutcome.ISSUE_LIMIT_REACHED: 17}
    assert max(result.issued for result in results) == 990


async def test_identical_fundings_with_one_key_fund_once(ledgers: tuple[Ledger, Ledger], book: Book) -> None:
    results = await asyncio.gather(*(ledgers[n % 2].fund(fund(book, 30, key="one")) for n in range(20)))
    assert Counter((result.outcome, result.replayed, result.budget, result.issued) for result in results) == {
        (FundOutcome.FUNDED, False, 30, 30): 1,
        (FundOutcome.FUNDED, True, 30, 30): 19,
    }


async def test_everything_at_once_leaves_a_sound_book(ledgers: tuple[Ledger, Ledger], book: Book) -> None:
    await earn(ledgers[0], book, 1000)
    first, second = ledgers

    async def shop(ledger: Ledger, n: int) -> None:
        held = await ledger.redeem(authorize(book, CUSTOMER, 50, order_ref=f"order-{n}"))
        if held.redemption and held.outcome is DONE:
            await ledger.redeem(capture(book, held.redemption.redemption, 20))
            await ledger.redeem(refund(book, held.redemption.redemption, 5))

    await asyncio.gather(
        *(shop(ledgers[n % 2], n) for n in range(20)),
        *(first.grant(order(book, message_id=f"message-{n}", unlimited=True)) for n in range(100)),
        *(second.grant(order(book, message_id=f"message-{n}", unlimited=True)) for n in range(50, 150)),
        *(second.fund(fund(book, 1)) for _ in range(20)),
    )
    balance = await first.balance(book, CUSTOMER)
    assert balance.held == 0
    assert balance.spendable == 1000 + 150 * 5 - 20 * 15
