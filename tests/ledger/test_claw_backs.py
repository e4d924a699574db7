"""Claw-backs: what is left of a grant is taken, and what is not there now is taken when it comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from ledger import (
    AccountClass,
    AsOf,
    Book,
    ClawBackOutcome,
    ClawBackResult,
    GrantOrder,
    GrantOutcome,
    Ledger,
    Redeem,
    RedemptionOutcome,
    TrialBalanceLine,
    Verb,
    describe_account,
    sweep,
    track_layers,
)
from ledger.testing import NOON, authorize, capture, claw_back, fund, order, refund, set_clock, void
from tests.ledger.conftest import CAMPAIGN, assert_books_are_sound, spendable, written
from tests.statements_sent import statements_sent

ADA, BOB = 7, 8
SOON, LATER = date(2030, 1, 31), date(2030, 3, 31)
DAY_S = 86_400


@pytest.fixture
async def funded(book: Book, ledger: Ledger) -> Book:
    """A book with a campaign that can grant 10,000 points."""
    await ledger.fund(fund(book, 10_000))
    return book


async def grant(ledger: Ledger, book: Book, name: str, points: int, *, customer: int = ADA, **changed: Any) -> GrantOrder:
    """Grant points; ``name`` is the message."""
    changed.setdefault("expires_on", LATER)
    granted = order(book, customer=customer, message_id=name, points=points, **changed)
    assert (await ledger.grant(granted)).outcome in (GrantOutcome.GRANTED, GrantOutcome.HELD_BACK)
    return granted


async def redeemed(ledger: Ledger, step: Redeem) -> int:
    """Take a step that must succeed; returns the redemption."""
    result = await ledger.redeem(step)
    assert result.outcome is RedemptionOutcome.DONE, result
    assert result.redemption
    return result.redemption.redemption


def sums(result: ClawBackResult) -> tuple[int, int, int]:
    """What was clawed back, what was short, and what is still to be taken."""
    assert result.outcome is ClawBackOutcome.CLAWED_BACK, result
    return result.clawed_back, result.shortfall, result.outstanding


async def budget_left(ledger: Ledger, book: Book) -> int:
    funded, granted = await ledger.budget(book, CAMPAIGN)
    return funded - granted


async def lines(ledger: Ledger, book: Book, at: datetime) -> Sequence[TrialBalanceLine]:
    """The trial balance as of an instant."""
    as_of = await ledger.as_of(book, at)
    assert isinstance(as_of, AsOf)
    return (await ledger.trial_balance(book, as_of)).lines


async def clawed_back(ledger: Ledger, book: Book) -> list[tuple[str, int]]:
    """The claw-backs in the log: from and how many."""
    cut = await ledger.head(book)
    log = await ledger.transfers(book, after=0, cut=cut.seq)
    return [(describe_account(each.debit).kind.name.lower(), each.amount) for each in log if each.verb is Verb.CLAWBACK]


async def test_what_is_left_goes_back_to_the_budget(ledger: Ledger, funded: Book) -> None:
    first = await grant(ledger, funded, "first", 100)
    await grant(ledger, funded, "second", 50)
    await redeemed(ledger, authorize(funded, ADA, 30, capture=True))
    result = await ledger.claw_back(claw_back(first))
    assert sums(result) == (70, 30, 30)
    assert (result.balance, result.customer, result.left) == (50, ADA, 100)
    assert await spendable(ledger, funded, ADA) == 50
    assert await budget_left(ledger, funded) == 10_000 - 150 + 70
    uses = await ledger.grant_uses(funded, CAMPAIGN, first.key)
    assert uses
    assert (uses.left, [(use.verb, use.points) for use in uses.uses]) == (0, [(Verb.AUTHORIZE, 30), (Verb.CLAWBACK, 70)])


async def test_only_points_of_the_grant_are_taken(ledger: Ledger, funded: Book) -> None:
    await grant(ledger, funded, "first", 100)
    second = await grant(ledger, funded, "second", 50)
    await redeemed(ledger, authorize(funded, ADA, 120, capture=True))
    assert sums(await ledger.claw_back(claw_back(second))) == (30, 20, 20)
    assert await spendable(ledger, funded, ADA) == 0


async def test_a_part_is_taken_and_then_the_rest_but_never_more(ledger: Ledger, funded: Book) -> None:
    granted = await grant(ledger, funded, "first", 100)
    assert sums(await ledger.claw_back(claw_back(granted, 30))) == (30, 0, 0)
    refused = await ledger.claw_back(claw_back(granted, 71))
    assert (refused.outcome, refused.left) == (ClawBackOutcome.MORE_THAN_IS_LEFT, 70)
    assert sums(await ledger.claw_back(claw_back(granted))) == (70, 0, 0)
    assert sums(await ledger.claw_back(claw_back(granted))) == (0, 0, 0)
    assert await budget_left(ledger, funded) == 10_000


async def test_a_claw_back_is_replayed_under_its_key(ledger: Ledger, funded: Book, owner: asyncpg.Connection[Any]) -> None:
    granted = await grant(ledger, funded, "first", 100)
    asked = claw_back(granted, 30, key="once")
    first = await ledger.claw_back(asked)
    before = await written(owner)
    again = await ledger.claw_back(asked)
    assert again.replayed
    assert (again.clawed_back, again.correction, again.posted_at) == (30, first.correction, first.posted_at)
    other = await ledger.claw_back(claw_back(granted, 31, key="once"))
    assert other.outcome is ClawBackOutcome.IDEMPOTENCY_KEY_REUSED
    assert await written(owner) == before


@pytest.mark.parametrize("read", [False, True])
async def test_a_hold_that_is_voided_pays_the_shortfall_first(
    ledger: Ledger, funded: Book, worker_pool: asyncpg.Pool[Any], read: bool
) -> None:
    granted = await grant(ledger, funded, "first", 100)
    hold = await redeemed(ledger, authorize(funded, ADA, 100))
    if read:
        await track_layers(worker_pool, funded)
    assert sums(await ledger.claw_back(claw_back(granted))) == (0, 100, 100)
    voided = await ledger.redeem(void(funded, hold))
    assert voided.balance == 0
    assert voided.redemption
    assert (voided.redemption.released, voided.redemption.balance) == (100, 0)
    assert await spendable(ledger, funded, ADA) == 0
    assert await budget_left(ledger, funded) == 10_000
    assert sums(await ledger.claw_back(claw_back(granted))) == (0, 0, 0)


async def test_a_partial_capture_and_refunds_pay_it_as_far_as_they_return_the_grant(ledger: Ledger, funded: Book) -> None:
    await grant(ledger, funded, "first", 40)
    second = await grant(ledger, funded, "second", 60)
    hold = await redeemed(ledger, authorize(funded, ADA, 100))
    assert sums(await ledger.claw_back(claw_back(second, 50))) == (0, 50, 50)
    # 40 of the first and 20 of the second are spent; 40 of the second return, all of them taken.
    await redeemed(ledger, capture(funded, hold, 60))
    assert await spendable(ledger, funded, ADA) == 0
    # The newest are refunded first: 10 are taken, 10 more and the first 40 are the customer's.
    await redeemed(ledger, refund(funded, hold, 15))
    assert await spendable(ledger, funded, ADA) == 5
    await redeemed(ledger, refund(funded, hold))
    assert await spendable(ledger, funded, ADA) == 50
    assert await clawed_back(ledger, funded) == [("lot", 40), ("lot", 10)]


async def test_many_steps_at_once_pay_it(ledger: Ledger, funded: Book) -> None:
    granted = await grant(ledger, funded, "first", 100)
    await grant(ledger, funded, "of another", 100, customer=BOB)
    holds = [await redeemed(ledger, authorize(funded, ADA, 10)) for _ in range(4)]
    others = [await redeemed(ledger, authorize(funded, BOB, 10)) for _ in range(4)]
    assert sums(await ledger.claw_back(claw_back(granted))) == (60, 40, 40)
    steps = [void(funded, hold) for pair in zip(holds, others, strict=True) for hold in pair]
    results = await asyncio.gather(*[ledger.redeem(step) for step in steps])
    assert {result.outcome for result in results} == {RedemptionOutcome.DONE}
    assert (await spendable(ledger, funded, ADA), await spendable(ledger, funded, BOB)) == (0, 100)


async def test_a_hold_that_times_out_pays_it_at_its_deadline(
    ledger: Ledger,
    funded: Book,
    owner: asyncpg.Connection[Any],
    worker_pool: asyncpg.Pool[Any],
    application_pool: asyncpg.Pool[Any],
) -> None:
    granted = await grant(ledger, funded, "first", 100, expires_on=SOON)
    await redeemed(ledger, authorize(funded, ADA, 100, hold_s=DAY_S))
    assert sums(await ledger.claw_back(claw_back(granted, 70))) == (0, 70, 70)
    await set_clock(owner, funded, NOON + timedelta(days=40))
    balance = await ledger.balance(funded, ADA)
    assert (balance.spendable, balance.held) == (0, 0)
    uses = await ledger.grant_uses(funded, CAMPAIGN, granted.key)
    assert uses
    assert [(use.verb, use.points, use.seq) for use in uses.uses[1:]] == [(Verb.CLAWBACK, 70, None), (Verb.EXPIRE, 30, None)]
    at = NOON + timedelta(days=2)
    unposted = await lines(ledger, funded, at)
    while await sweep(worker_pool, funded):
        pass
    # It remembers nothing of what was reckoned.
    assert await lines(Ledger(application_pool), funded, at) == unposted
    due = await owner.fetch("SELECT verb, amount::bigint, due_on FROM ledger.transfer WHERE due_on IS NOT NULL ORDER BY seq")
    day = (NOON + timedelta(days=1)).date()
    assert [tuple(row) for row in due] == [(Verb.TIME_OUT, 100, day), (Verb.CLAWBACK, 70, day), (Verb.EXPIRE, 30, SOON)]


async def test_a_timed_out_hold_shows_what_is_taken_before_it_is_posted(
    ledger: Ledger, funded: Book, owner: asyncpg.Connection[Any]
) -> None:
    granted = await grant(ledger, funded, "first", 100)
    await redeemed(ledger, authorize(funded, ADA, 100, hold_s=60))
    await ledger.claw_back(claw_back(granted, 70))
    await set_clock(owner, funded, NOON + timedelta(hours=1))
    balance = await ledger.balance(funded, ADA)
    assert (balance.spendable, [lot.points for lot in balance.lots]) == (30, [30])
    (now,) = await ledger.spendable(funded, [ADA])
    assert now.points == 30
    refused = await ledger.redeem(authorize(funded, ADA, 31))
    assert (refused.outcome, refused.balance) == (RedemptionOutcome.INSUFFICIENT_BALANCE, 30)


async def test_what_is_held_back_is_rejected(ledger: Ledger, funded: Book) -> None:
    held_back = await grant(ledger, funded, "first", 100, held_back=True, due_at=NOON + timedelta(days=9))
    part = await ledger.claw_back(claw_back(held_back, 99))
    assert part.outcome is ClawBackOutcome.HELD_BACK_WHOLE
    whole = await ledger.claw_back(claw_back(held_back))
    assert (whole.outcome, whole.clawed_back, whole.shortfall) == (ClawBackOutcome.REJECTED, 100, 0)
    assert await budget_left(ledger, funded) == 10_000
    assert (await ledger.claw_back(claw_back(held_back))).outcome is ClawBackOutcome.NOT_GRANTED


async def test_what_has_expired_is_gone(ledger: Ledger, funded: Book, owner: asyncpg.Connection[Any]) -> None:
    granted = await grant(ledger, funded, "first", 100, expires_on=SOON)
    await set_clock(owner, funded, NOON + timedelta(days=40))
    assert sums(await ledger.claw_back(claw_back(granted))) == (0, 0, 0)
    assert (await ledger.claw_back(claw_back(granted, 1))).outcome is ClawBackOutcome.MORE_THAN_IS_LEFT


async def test_what_was_not_granted_cannot_be_taken(ledger: Ledger, funded: Book) -> None:
    waiting = order(funded, message_id="weak", waits=True)
    await ledger.grant(waiting)
    assert (await ledger.claw_back(claw_back(waiting))).outcome is ClawBackOutcome.NOT_GRANTED
    unknown = order(funded, message_id="never reported")
    assert (await ledger.claw_back(claw_back(unknown))).outcome is ClawBackOutcome.NOT_FOUND


async def test_an_unlimited_budget_gets_back_what_it_paid(ledger: Ledger, funded: Book, owner: asyncpg.Connection[Any]) -> None:
    granted = await grant(ledger, funded, "first", 100, unlimited=True, account_class=AccountClass.PURCHASE)
    assert sums(await ledger.claw_back(claw_back(granted))) == (100, 0, 0)
    left = await owner.fetchval("SELECT debits - credits FROM ledger.account WHERE kind = 6")
    assert left == 0


@pytest.mark.parametrize("read", [False, True])
async def test_a_merged_customers_grant_is_taken_from_the_survivor(
    ledger: Ledger, funded: Book, worker_pool: asyncpg.Pool[Any], read: bool
) -> None:
    of_bob = await grant(ledger, funded, "bob's", 100, customer=BOB)
    of_ada = await grant(ledger, funded, "ada's", 100)
    hold = await redeemed(ledger, authorize(funded, BOB, 60))
    await ledger.merge(funded, loser=BOB, survivor=ADA)
    if read:
        await track_layers(worker_pool, funded)
    result = await ledger.claw_back(claw_back(of_bob))
    assert (sums(result), result.customer) == ((40, 60, 60), ADA)
    await redeemed(ledger, void(funded, hold))
    assert await spendable(ledger, funded, ADA) == 100
    assert sums(await ledger.claw_back(claw_back(of_ada))) == (100, 0, 0)


async def test_a_shortfall_follows_the_redemption_through_a_merge_and_a_split(ledger: Ledger, funded: Book) -> None:
    of_bob = await grant(ledger, funded, "bob's", 100, customer=BOB)
    await grant(ledger, funded, "ada's", 100)
    hold = await redeemed(ledger, authorize(funded, BOB, 60))
    await ledger.claw_back(claw_back(of_bob))
    await ledger.merge(funded, loser=BOB, survivor=ADA)
    await redeemed(ledger, capture(funded, hold, 10, final=False))
    await ledger.split(funded, customer=BOB, survivor=ADA)
    await redeemed(ledger, void(funded, hold))
    assert (await spendable(ledger, funded, ADA), await spendable(ledger, funded, BOB)) == (100, 0)
    await redeemed(ledger, refund(funded, hold, 10))
    assert await spendable(ledger, funded, BOB) == 0
    assert await budget_left(ledger, funded) == 10_000 - 100


async def test_a_redemption_that_moved_with_an_empty_wallet_is_found(
    ledger: Ledger, funded: Book, worker_pool: asyncpg.Pool[Any]
) -> None:
    """A merge of nothing is no transfer, so nothing in the log says whose the redemption is."""
    of_bob = await grant(ledger, funded, "bob's", 100, customer=BOB)
    first = await redeemed(ledger, authorize(funded, BOB, 100, capture=True))
    await track_layers(worker_pool, funded)
    await redeemed(ledger, refund(funded, first))
    second = await redeemed(ledger, authorize(funded, BOB, 100))
    await ledger.merge(funded, loser=BOB, survivor=ADA)
    assert sums(await ledger.claw_back(claw_back(of_bob))) == (0, 100, 100)
    await redeemed(ledger, void(funded, second))
    assert await spendable(ledger, funded, ADA) == 0


async def test_claw_backs_and_redemptions_at_once_take_each_point_once(ledger: Ledger, funded: Book) -> None:
    grants = [await grant(ledger, funded, f"message {n}", 20) for n in range(5)]
    results = await asyncio.gather(
        *[ledger.redeem(authorize(funded, ADA, 15, capture=True)) for _ in range(8)],
        *[ledger.claw_back(claw_back(each)) for each in grants for _ in range(2)],
    )
    spent = 15 * sum(each.outcome is RedemptionOutcome.DONE for each in results)
    taken = sum(each.clawed_back for each in results if isinstance(each, ClawBackResult))
    short = sum(each.shortfall for each in results if isinstance(each, ClawBackResult))
    assert await spendable(ledger, funded, ADA) == 0
    assert (spent + taken, short) == (100, spent)


async def test_claw_backs_of_many_grants_of_one_customer_are_looked_up_in_few_statements(
    funded: Book, ledger: Ledger, owner: asyncpg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one claw-back takes is of its own grant: the others are whole as before, on this page and on the next."""
    grants = [await grant(ledger, funded, f"m{n}", 10 + n) for n in range(6)]
    asked = [claw_back(each) for each in grants]
    sent = statements_sent(monkeypatch, lambda query: "ledger." in query and not query.startswith("SELECT clock_offset"))
    taken = [*await ledger.claw_backs(funded, asked[:3]), *await ledger.claw_backs(funded, asked[3:])]
    # A look at each page, one again at each grant but its first, and the postings.
    assert len(sent) == 2 + 4 + 6
    monkeypatch.undo()
    assert [each.clawed_back for each in taken] == [10, 11, 12, 13, 14, 15]
    assert await spendable(ledger, funded, ADA) == 0
    await assert_books_are_sound(owner)


async def test_what_was_taken_of_a_grant_before_is_not_there_for_a_page_of_them(
    funded: Book, ledger: Ledger, owner: asyncpg.Connection[Any]
) -> None:
    first, second = [await grant(ledger, funded, name, 100) for name in ("m1", "m2")]
    await ledger.claw_back(claw_back(first, points=30))
    await redeemed(ledger, authorize(funded, ADA, 90))
    taken = await ledger.claw_backs(funded, [claw_back(first, key="all"), claw_back(second, key="all of it")])
    assert [(each.clawed_back, each.shortfall) for each in taken] == [(0, 70), (80, 20)]
    await assert_books_are_sound(owner)
