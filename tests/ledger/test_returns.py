"""Returns of purchases: what was earned is taken wherever it is now, once for each reference, whoever else is at it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import asyncpg

from ledger import Book, GrantOrder, GrantOutcome, Ledger, PointValue, ReturnOutcome, ReturnResult, audit, sweep
from ledger.testing import NOON, authorize, claw_back, fund, order, refund, returned, set_clock, void
from tests.ledger.conftest import CAMPAIGN, spendable
from tests.ledger.test_claw_backs import redeemed

ADA, BOB = 7, 8
BOUGHT, PER = 1_999, (3, 100)
HALF_A_CENT = PointValue(2, 1)


async def purchase(ledger: Ledger, book: Book, name: str = "order", **changed: Any) -> GrantOrder:
    """A purchase of 19.99, which earns 59 points."""
    await ledger.fund(fund(book, 1_000))
    made = order(book, customer=ADA, message_id=name, points=59, **changed)
    assert (await ledger.grant(made)).outcome in (GrantOutcome.GRANTED, GrantOutcome.HELD_BACK)
    return made


async def give_back(ledger: Ledger, bought: GrantOrder, amount: int, reference: str | None = None, **said: Any) -> ReturnResult:
    return await ledger.return_purchase(returned(bought, amount, bought=BOUGHT, per=PER, reference=reference, **said))


def sums(result: ReturnResult) -> tuple[int, int, int, int]:
    """Points, taken, short, and still to be taken."""
    assert result.outcome is ReturnOutcome.RETURNED, result
    return result.points, result.clawed_back, result.shortfall, result.outstanding


async def test_what_a_merge_has_moved_is_taken_from_the_survivor(ledger: Ledger, book: Book) -> None:
    bought = await purchase(ledger, book)
    await redeemed(ledger, authorize(book, ADA, 40, capture=True))
    assert (await ledger.merge(book, loser=ADA, survivor=BOB)).points == 19
    result = await give_back(ledger, bought, 999)
    assert (sums(result), result.customer, result.balance) == ((29, 19, 10, 10), BOB, 0)


async def test_a_split_takes_the_shortfall_to_who_has_the_redemption(ledger: Ledger, book: Book) -> None:
    bought = await purchase(ledger, book)
    held = await redeemed(ledger, authorize(book, ADA, 59))
    await ledger.merge(book, loser=ADA, survivor=BOB)
    assert sums(await give_back(ledger, bought, 999)) == (29, 0, 29, 29)
    await ledger.split(book, customer=ADA, survivor=BOB)
    await redeemed(ledger, void(book, held))
    assert (await spendable(ledger, book, ADA), await spendable(ledger, book, BOB)) == (30, 0)


async def test_a_time_out_pays_the_shortfall(
    ledger: Ledger, book: Book, owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any]
) -> None:
    await set_clock(owner, book, NOON)
    bought = await purchase(ledger, book)
    await redeemed(ledger, authorize(book, ADA, 59, hold_s=3600))
    assert sums(await give_back(ledger, bought, BOUGHT)) == (59, 0, 59, 59)
    await set_clock(owner, book, NOON + timedelta(hours=2))
    assert await spendable(ledger, book, ADA) == 0
    while await sweep(worker_pool, book):
        pass
    assert await ledger.budget(book, CAMPAIGN) == (1_000, 0)


async def test_what_was_paid_for_is_taken_by_nobody(ledger: Ledger, book: Book, owner: asyncpg.Connection[Any]) -> None:
    bought = await purchase(ledger, book)
    spent = await redeemed(ledger, authorize(book, ADA, 59, capture=True))
    paid = await give_back(ledger, bought, 999, value=HALF_A_CENT)
    assert (paid.withheld_points, paid.withheld_minor, paid.outstanding) == (29, 14, 0)
    (quote,) = await ledger.claw_back_quotes(book, [(CAMPAIGN, bought.key)])
    assert quote
    assert (quote.left, quote.spendable) == (30, 0)
    await redeemed(ledger, refund(book, spent))
    (quote,) = await ledger.claw_back_quotes(book, [(CAMPAIGN, bought.key)])
    assert quote
    assert (quote.left, quote.spendable) == (30, 30)
    assert (await ledger.claw_back(claw_back(bought))).clawed_back == 30
    assert sums(await give_back(ledger, bought, 1000)) == (30, 0, 0, 0)
    assert await spendable(ledger, book, ADA) == 29
    assert [finding for finding in await audit(owner, book) if finding.violations] == []


async def test_what_waited_too_long_for_its_approval_is_not_returned(
    ledger: Ledger, book: Book, owner: asyncpg.Connection[Any]
) -> None:
    await set_clock(owner, book, NOON)
    bought = await purchase(ledger, book, held_back=True, due_at=NOON + timedelta(hours=1))
    part = await give_back(ledger, bought, 1)
    assert (part.outcome, part.returned) == (ReturnOutcome.HELD_BACK_WHOLE, 0)
    await set_clock(owner, book, NOON + timedelta(hours=2))
    assert (await give_back(ledger, bought, BOUGHT)).outcome is ReturnOutcome.NOT_GRANTED


async def test_a_return_sent_many_times_at_once_happens_once(
    ledger: Ledger, book: Book, owner: asyncpg.Connection[Any]
) -> None:
    """Among other returns, holds and voids of the same points: nothing is taken twice, and no balance is below zero."""
    bought = await purchase(ledger, book)

    async def hold_and_void(points: int) -> None:
        result = await ledger.redeem(authorize(book, ADA, points))
        if result.redemption:
            await redeemed(ledger, void(book, result.redemption.redemption))

    same = [give_back(ledger, bought, 999, "once") for _ in range(6)]
    others = [give_back(ledger, bought, 100, f"part {n}") for n in range(12)]
    answers, _ = await asyncio.gather(asyncio.gather(*same, *others), asyncio.gather(*map(hold_and_void, range(10, 50, 5))))
    assert sum(not answer.replayed for answer in answers[:6] if answer.correction) == 1
    assert len({answer.correction for answer in answers[:6]}) == 1
    # 999 and ten times 100 are all of it; the last two parts are more than was bought.
    outcomes = [answer.outcome for answer in answers[6:]]
    assert (outcomes.count(ReturnOutcome.RETURNED), outcomes.count(ReturnOutcome.MORE_THAN_WAS_BOUGHT)) == (10, 2)
    assert await spendable(ledger, book, ADA) == 0
    assert await ledger.budget(book, CAMPAIGN) == (1_000, 0)
    assert [finding for finding in await audit(owner, book) if finding.violations] == []
