"""Late captures: a till that was offline captures after the hold has timed out. `test_redemptions` tells stories of them."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from ledger import (
    AsOf,
    Book,
    ClawBackOutcome,
    Ledger,
    Redeem,
    Redemption,
    RedemptionOutcome,
    RedemptionResult,
    Verb,
    audit,
    describe_account,
    sweep,
    track_layers,
)
from ledger.testing import NOON, authorize, capture, claw_back, fund, order, refund, set_clock, void
from tests.ledger.conftest import CAMPAIGN, spendable

ADA, BOB = 7, 8
SOON, LATER = date(2030, 1, 31), date(2030, 3, 31)
HOUR_S = 3_600
GRACE_S = 48 * HOUR_S
LATE = NOON + timedelta(hours=30)
EARNED = 100


@pytest.fixture
async def held(owner: asyncpg.Connection[Any], ledger: Ledger, book: Book) -> Redemption:
    """Sixty of Ada's hundred points, set aside for a day, and it is six hours after that."""
    await ledger.fund(fund(book, 10_000))
    await ledger.grant(order(book, customer=ADA, message_id="first", points=EARNED, expires_on=LATER))
    held = await redeemed(ledger, authorize(book, ADA, 60, hold_s=24 * HOUR_S))
    await set_clock(owner, book, LATE)
    return held


async def redeemed(ledger: Ledger, step: Redeem) -> Redemption:
    """Take a step that must succeed."""
    result = await ledger.redeem(step)
    assert result.outcome is RedemptionOutcome.DONE, result
    assert result.redemption
    return result.redemption


async def log(ledger: Ledger, book: Book) -> list[tuple[str, str, str, int]]:
    """What was posted since the authorization: verb, from, to and how many."""
    cut = await ledger.head(book)
    transfers = await ledger.transfers(book, after=0, cut=cut.seq)
    begun = next(each.seq for each in transfers if each.verb is Verb.AUTHORIZE)
    return [
        (each.verb.name, describe_account(each.debit).kind.name, describe_account(each.credit).kind.name, each.amount)
        for each in transfers
        if each.seq > begun
    ]


LATE_CAPTURE = [("TIME_OUT", "HELD", "LOT", 60), ("CAPTURE", "LOT", "SPENT", 60)]


@pytest.mark.parametrize("sweeps", [False, True], ids=["before the sweeper", "after the sweeper"])
async def test_the_release_is_posted_and_then_the_capture(
    ledger: Ledger, worker_pool: asyncpg.Pool[Any], book: Book, held: Redemption, sweeps: bool
) -> None:
    while sweeps and await sweep(worker_pool, book):
        pass
    late = await redeemed(ledger, capture(book, held.redemption, grace_s=GRACE_S))
    assert await log(ledger, book) == LATE_CAPTURE
    assert (late.status, late.captured, late.released, late.balance) == ("captured", 60, 0, 40)
    assert [(each.verb, each.points) for each in late.operations] == [("authorize", 60), ("void", 60), ("capture", 60)]


async def test_a_late_capture_counts_on_its_own_day_and_the_release_on_that_of_the_deadline(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book, held: Redemption
) -> None:
    await set_clock(owner, book, LATE + timedelta(days=1))
    await redeemed(ledger, capture(book, held.redemption, grace_s=GRACE_S, occurred_at=NOON))
    cut = await ledger.head(book)
    *_, released, captured = await ledger.transfers(book, after=0, cut=cut.seq)
    assert released.accounting_date == held.expires_at.date()
    assert (captured.accounting_date, captured.occurred_at) == ((LATE + timedelta(days=1)).date(), NOON)


async def test_a_close_in_between_stays_as_it_is(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book, held: Redemption
) -> None:
    midnight = datetime(2030, 1, 16, 23, tzinfo=UTC)  # in Berlin
    await set_clock(owner, book, midnight + timedelta(hours=1))
    as_of = await ledger.as_of(book, midnight)
    assert isinstance(as_of, AsOf)
    before = await ledger.trial_balance(book, as_of)
    await redeemed(ledger, capture(book, held.redemption, grace_s=GRACE_S))
    assert await ledger.trial_balance(book, as_of) == before


async def test_sent_again_and_by_two_tills_at_once_it_is_one_debit(ledger: Ledger, book: Book, held: Redemption) -> None:
    tills = [capture(book, held.redemption, key=f"till-{n}", grace_s=GRACE_S) for n in range(2)]
    results = await asyncio.gather(*(ledger.redeem(till) for _ in range(5) for till in tills))
    done = [result for result in results if result.outcome is RedemptionOutcome.DONE]
    assert {result.outcome for result in results} == {RedemptionOutcome.DONE, RedemptionOutcome.FULLY_CAPTURED}
    assert [result.replayed for result in done].count(False) == 1
    assert len({repr(result.redemption) for result in done}) == 1
    assert await log(ledger, book) == LATE_CAPTURE
    assert await spendable(ledger, book, ADA) == EARNED - 60


async def test_whoever_has_spent_the_points_meanwhile_keeps_them(ledger: Ledger, book: Book, held: Redemption) -> None:
    await redeemed(ledger, authorize(book, ADA, 41, capture=True))
    refused = await ledger.redeem(capture(book, held.redemption, key="late", grace_s=GRACE_S))
    assert (refused.outcome, refused.balance) == (RedemptionOutcome.POINTS_GONE, 59)
    # Decided is decided; but the POS may ask for less, or again.
    await ledger.grant(order(book, customer=ADA, message_id="more", points=1, expires_on=LATER))
    again = await ledger.redeem(capture(book, held.redemption, key="late", grace_s=GRACE_S))
    assert (again.outcome, again.replayed) == (RedemptionOutcome.POINTS_GONE, True)
    assert (await redeemed(ledger, capture(book, held.redemption, grace_s=GRACE_S))).captured == 60
    assert await spendable(ledger, book, ADA) == 0


async def test_a_merge_and_a_split_take_the_redemption_along(ledger: Ledger, book: Book, held: Redemption) -> None:
    await ledger.grant(order(book, customer=BOB, message_id="bob's", points=5, expires_on=SOON))
    assert (await ledger.merge(book, loser=ADA, survivor=BOB)).points == EARNED
    first = await redeemed(ledger, capture(book, held.redemption, 20, final=False, grace_s=GRACE_S))
    assert (first.customer, await spendable(ledger, book, BOB)) == (BOB, 85)
    await ledger.split(book, customer=ADA, survivor=BOB)
    there = await spendable(ledger, book, ADA), await spendable(ledger, book, BOB)
    assert sum(there) == 85
    rest = await redeemed(ledger, capture(book, held.redemption, grace_s=GRACE_S))
    assert (rest.customer, rest.captured) == (ADA, 60)
    assert await spendable(ledger, book, ADA) == there[0] - 40
    assert await spendable(ledger, book, BOB) == there[1]


async def test_what_a_claw_back_takes_of_the_release_is_not_there(ledger: Ledger, book: Book, held: Redemption) -> None:
    mistake = order(book, customer=ADA, message_id="first", points=EARNED, expires_on=LATER)
    taken = await ledger.claw_back(claw_back(mistake, 70))
    assert (taken.outcome, taken.clawed_back, taken.shortfall) == (ClawBackOutcome.CLAWED_BACK, 70, 0)
    refused = await ledger.redeem(capture(book, held.redemption, grace_s=GRACE_S))
    assert (refused.outcome, refused.balance) == (RedemptionOutcome.POINTS_GONE, 30)
    assert (await redeemed(ledger, capture(book, held.redemption, 30, grace_s=GRACE_S))).balance == 0


@pytest.fixture
async def owed(owner: asyncpg.Connection[Any], ledger: Ledger, book: Book) -> Redemption:
    """Of sixty points, all of one grant, ten are spent and fifty held. Of the grant forty were taken back at once, and thirty
    are still to be: they are taken when the hold times out. Ada has thirty points of another.
    """
    await ledger.fund(fund(book, 10_000))
    mistake = order(book, customer=ADA, message_id="mistake", points=EARNED, expires_on=LATER)
    await ledger.grant(mistake)
    await ledger.grant(order(book, customer=ADA, message_id="second", points=30, expires_on=LATER))
    held = await redeemed(ledger, authorize(book, ADA, 60, hold_s=24 * HOUR_S))
    await redeemed(ledger, capture(book, held.redemption, 10, final=False))
    taken = await ledger.claw_back(claw_back(mistake, 70))
    assert (taken.clawed_back, taken.shortfall) == (40, 30)
    await set_clock(owner, book, LATE)
    return held


async def test_what_is_owed_is_paid_by_the_release_first(ledger: Ledger, book: Book, owed: Redemption) -> None:
    refused = await ledger.redeem(capture(book, owed.redemption, 51, grace_s=GRACE_S))
    assert (refused.outcome, refused.balance) == (RedemptionOutcome.CAPTURE_EXCEEDS_AUTHORIZED, 50)
    late = await redeemed(ledger, capture(book, owed.redemption, grace_s=GRACE_S))
    assert (late.captured, late.balance) == (60, 0)
    # Nothing is owed any more: what comes back is the customer's.
    assert (await redeemed(ledger, refund(book, owed.redemption))).balance == 60


async def test_a_redemption_that_owes_of_what_it_has_spent_is_not_captured_late(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book, owed: Redemption
) -> None:
    mistake = order(book, customer=ADA, message_id="mistake", points=EARNED, expires_on=LATER)
    taken = await ledger.claw_back(claw_back(mistake))
    assert (taken.clawed_back, taken.shortfall) == (20, 10)
    refused = await ledger.redeem(capture(book, owed.redemption, 5, grace_s=GRACE_S))
    assert (refused.outcome, refused.balance) == (RedemptionOutcome.POINTS_GONE, 30)
    assert (await redeemed(ledger, refund(book, owed.redemption))).balance == 30
    late = await redeemed(ledger, capture(book, owed.redemption, 5, grace_s=GRACE_S))
    assert (late.captured, late.refunded, late.balance) == (15, 10, 25)


async def test_a_claw_back_finds_what_was_captured_late(ledger: Ledger, book: Book, held: Redemption) -> None:
    mistake = order(book, customer=ADA, message_id="first", points=EARNED, expires_on=LATER)
    await redeemed(ledger, capture(book, held.redemption, grace_s=GRACE_S))
    taken = await ledger.claw_back(claw_back(mistake))
    assert (taken.clawed_back, taken.shortfall) == (40, 60)
    assert (await redeemed(ledger, refund(book, held.redemption, 25))).balance == 0
    assert (await ledger.claw_back(claw_back(mistake, key="again"))).outstanding == 35


async def test_sources_and_uses_follow_the_points_of_a_late_capture(
    ledger: Ledger, worker_pool: asyncpg.Pool[Any], book: Book, held: Redemption
) -> None:
    second = order(book, customer=ADA, message_id="second", points=30, expires_on=SOON)
    await ledger.grant(second)
    await redeemed(ledger, capture(book, held.redemption, grace_s=GRACE_S))
    for _ in range(2):
        sources = await ledger.redemption_sources(book, held.redemption)
        assert sources
        assert [(each.expires_on, each.authorized, each.held, each.captured) for each in sources.sources] == [
            (SOON, 30, 0, 30),
            (LATER, 90, 0, 30),
        ]
        uses = await ledger.grant_uses(book, CAMPAIGN, second.key)
        assert uses
        assert (uses.left, [(each.redemption, each.points, each.captured) for each in uses.uses]) == (
            0,
            [(held.redemption, 30, 30)],
        )
        while await track_layers(worker_pool, book):
            pass


async def test_a_line_of_the_statement_says_what_was_taken(ledger: Ledger, book: Book, held: Redemption) -> None:
    await redeemed(ledger, capture(book, held.redemption, grace_s=GRACE_S))
    lines = (await ledger.statements([(book, ADA)], limit=10))[book, ADA]
    assert [(line.verb, line.points, line.redemption) for line in lines[:3]] == [
        ("capture", -60, held.redemption),
        ("void", 60, held.redemption),
        ("authorize", -60, held.redemption),
    ]


async def test_the_audit_finds_a_late_capture_that_nobody_remembers(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book, held: Redemption
) -> None:
    await redeemed(ledger, capture(book, held.redemption, grace_s=GRACE_S))
    for forgery in ("since_time_out = NULL", "since_time_out = 3", "deadline = deadline + interval '1 year'"):
        async with owner.transaction():
            await owner.execute(f"UPDATE ledger.redemption SET {forgery}")
            wrong = {finding.invariant for finding in await audit(owner, book) if finding.violations}
            assert "late_captures_follow_time_outs" in wrong
            await owner.execute("UPDATE ledger.redemption SET since_time_out = 2, deadline = $1", held.expires_at)


MAY_NOT_HAVE_OCCURRED = {
    "in the future": LATE + timedelta(minutes=5, seconds=1),
    "before the authorization": NOON - timedelta(minutes=5, seconds=1),
}


@pytest.mark.parametrize("occurred_at", MAY_NOT_HAVE_OCCURRED.values(), ids=list(MAY_NOT_HAVE_OCCURRED))
async def test_a_capture_cannot_have_happened(ledger: Ledger, book: Book, held: Redemption, occurred_at: datetime) -> None:
    step = capture(book, held.redemption, key="late", grace_s=GRACE_S, occurred_at=occurred_at)
    assert (await ledger.redeem(step)).outcome is RedemptionOutcome.OCCURRED_OUT_OF_RANGE
    # It is not kept: the till sets its clock and asks again.
    right = await redeemed(ledger, capture(book, held.redemption, key="late", grace_s=GRACE_S, occurred_at=NOON))
    assert [each.occurred_at for each in right.operations] == [None, held.expires_at, NOON]


async def test_an_offline_till_says_when_it_authorized_too(ledger: Ledger, book: Book, held: Redemption) -> None:
    too_old = authorize(book, ADA, 5, occurred_at=LATE - timedelta(days=30, seconds=1))
    assert (await ledger.redeem(too_old)).outcome is RedemptionOutcome.OCCURRED_OUT_OF_RANGE
    begun = await redeemed(ledger, authorize(book, ADA, 5, occurred_at=NOON))
    # Of the capture before the authorization arrived, the till's own times count.
    spent = await redeemed(ledger, capture(book, begun.redemption, occurred_at=NOON + timedelta(minutes=1)))
    assert [(each.verb, each.occurred_at) for each in spent.operations] == [
        ("authorize", NOON),
        ("capture", NOON + timedelta(minutes=1)),
    ]
    assert {each.posted_at for each in spent.operations} == {LATE}


@pytest.mark.parametrize("seed", range(4))
async def test_the_network_comes_back_and_everything_happens_at_once(
    ledger: Ledger, worker_pool: asyncpg.Pool[Any], book: Book, held: Redemption, seed: int
) -> None:
    """A capture of two tills, each sent twice, with a merge, a refund, the sweeper and another purchase: one debit."""
    await ledger.grant(order(book, customer=BOB, message_id="bob's", points=EARNED, expires_on=SOON))
    tills = [capture(book, held.redemption, key=f"till-{n}", grace_s=GRACE_S) for n in range(2)]
    doing: list[Any] = [ledger.redeem(till) for till in (*tills, *tills)]
    doing += [ledger.redeem(refund(book, held.redemption, 10)), sweep(worker_pool, book)]
    doing += [ledger.merge(book, loser=ADA, survivor=BOB), ledger.redeem(void(book, held.redemption, key="void"))]
    results: list[Any] = await asyncio.gather(*(doing[(n + 2 * seed) % len(doing)] for n in range(len(doing))))
    captured = [each for each in results if isinstance(each, RedemptionResult) and _captured(each)]
    redemption = await ledger.redemption(book, held.redemption)
    assert redemption
    assert redemption.captured == (60 if captured else 0)
    there = await spendable(ledger, book, BOB) + await spendable(ledger, book, ADA)
    assert there + redemption.captured - redemption.refunded == 2 * EARNED
    assert [verb for verb, debit, _, _ in await log(ledger, book) if (verb, debit) == ("CAPTURE", "LOT")] == ["CAPTURE"] * bool(
        captured
    )


def _captured(result: RedemptionResult) -> bool:
    return result.outcome is RedemptionOutcome.DONE and bool(result.redemption and result.redemption.captured)
