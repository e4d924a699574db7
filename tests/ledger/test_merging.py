"""Merging: two customers turn out to be one. Nothing is lost, classes and last days stay, all comes to the survivor."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from ledger import (
    AccountClass,
    Book,
    BookRefused,
    DataRefused,
    GrantOutcome,
    GrantResult,
    Ledger,
    MergeOutcome,
    MergeResult,
    OwnerTag,
    Redeem,
    Redemption,
    RedemptionFilter,
    RedemptionOutcome,
    RedemptionStatus,
    Verb,
    describe_account,
    sweep,
)
from ledger.testing import NOON, authorize, capture, fund, order, refund, set_clock, void
from service.storage.database import APPLICATION_ROLE, create_pool
from tests.conftest import Database
from tests.ledger.conftest import make_book, written

LOSER, SURVIVOR, OTHER = 7, 8, 9
SOON, LATER, NEVER = date(2030, 1, 31), date(2030, 3, 31), None
MERGED = MergeOutcome.MERGED


async def earn(ledger: Ledger, book: Book, customer: int, *lots: tuple[date | None, int]) -> None:
    """Give a customer lots."""
    await ledger.fund(fund(book, 1_000))
    for n, (expires_on, points) in enumerate(lots):
        await ledger.grant(order(book, customer=customer, message_id=f"lot-{n}", points=points, expires_on=expires_on))


async def redeemed(ledger: Ledger, step: Redeem) -> Redemption:
    """Take a step that must succeed."""
    result = await ledger.redeem(step)
    assert result.outcome is RedemptionOutcome.DONE
    assert result.redemption is not None
    return result.redemption


async def merge(ledger: Ledger, book: Book, loser: int = LOSER, survivor: int = SURVIVOR) -> int:
    """Merge two who can be; how many points it moved."""
    result = await ledger.merge(book, loser=loser, survivor=survivor)
    assert (result.outcome, result.replayed) == (MERGED, False)
    return result.points


async def lots(ledger: Ledger, book: Book, customer: int) -> dict[date | None, int]:
    """A customer's points by last day."""
    return {lot.expires_on: lot.points for lot in (await ledger.balance(book, customer)).lots}


async def state(owner: asyncpg.Connection[Any], customer: int) -> tuple[int, bool, int | None, int]:
    """Points, frozen, moved_to and absorbed, as the books keep them."""
    row = await owner.fetchrow(
        "SELECT points, frozen, moved_to, absorbed FROM ledger.customer_state WHERE customer = $1", customer
    )
    assert row is not None
    return tuple(row)


# ---- What is moved


async def test_lots_keep_their_class_and_last_day_and_join_those_of_the_same(ledger: Ledger, book: Book) -> None:
    await earn(ledger, book, LOSER, (SOON, 10), (LATER, 20))
    await earn(ledger, book, SURVIVOR, (LATER, 1), (NEVER, 2))
    purchase = order(book, customer=LOSER, message_id="bought", points=5, account_class=AccountClass.PURCHASE, expires_on=SOON)
    await ledger.grant(purchase)

    assert await merge(ledger, book) == 35

    balance = await ledger.balance(book, SURVIVOR)
    assert (balance.spendable, balance.moved_to) == (38, None)
    assert [(lot.account_class, lot.expires_on, lot.points) for lot in balance.lots] == [
        (AccountClass.ENGAGEMENT, SOON, 10),
        (AccountClass.PURCHASE, SOON, 5),
        (AccountClass.ENGAGEMENT, LATER, 21),
        (AccountClass.ENGAGEMENT, NEVER, 2),
    ]
    emptied = await ledger.balance(book, LOSER)
    assert (emptied.spendable, emptied.held, emptied.lots, emptied.moved_to) == (0, 0, (), SURVIVOR)


async def test_each_lot_goes_through_transit_in_two_transfers_of_one_transaction(ledger: Ledger, book: Book) -> None:
    await earn(ledger, book, LOSER, (LATER, 20), (SOON, 10))
    head = await ledger.head(book)
    await merge(ledger, book)
    posted = await ledger.transfers(book, after=head.seq, cut=(await ledger.head(book)).seq)
    assert {transfer.verb for transfer in posted} == {Verb.MERGE}
    assert {transfer.transaction_id for transfer in posted} == {head.seq + 1}
    assert [(transfer.customer, transfer.amount) for transfer in posted] == [
        (LOSER, 10),
        (LOSER, 20),
        (SURVIVOR, 10),
        (SURVIVOR, 20),
    ]
    for leaving, coming in zip(posted[:2], posted[2:], strict=True):
        assert leaving.credit == coming.debit
        assert describe_account(leaving.credit).owner is OwnerTag.HOUSE
        assert leaving.debit[11:] == coming.credit[11:]


async def test_the_statements_of_both_tell_it(ledger: Ledger, book: Book) -> None:
    await earn(ledger, book, LOSER, (SOON, 10), (LATER, 20))
    await merge(ledger, book)
    told = [
        [(entry.verb, entry.points, entry.expires_on) for entry in await ledger.statement(book, customer)]
        for customer in (LOSER, SURVIVOR)
    ]
    assert told == [
        [("merge", -20, LATER), ("merge", -10, SOON), ("grant", 20, LATER), ("grant", 10, SOON)],
        [("merge", 20, LATER), ("merge", 10, SOON)],
    ]


HELD_BACK_UNTIL = NOON + timedelta(days=7)


@pytest.mark.parametrize("settled", ["matured", "rejected", "timed out"])
async def test_points_held_back_are_settled_for_the_survivor(
    ledger: Ledger, owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any], book: Book, settled: str
) -> None:
    await ledger.fund(fund(book, 100))
    held_back = order(
        book, customer=LOSER, points=15, held_back=True, due_at=HELD_BACK_UNTIL, account_class=AccountClass.PURCHASE
    )
    await ledger.grant(held_back)
    assert await merge(ledger, book) == 0
    balances = [await ledger.balance(book, customer) for customer in (LOSER, SURVIVOR)]
    assert [(balance.spendable, balance.pending) for balance in balances] == [(0, 0), (0, 15)]
    assert await ledger.statement(book, SURVIVOR) == []

    if settled == "matured":
        await ledger.mature(book, 1, held_back.key, expires_on=LATER)
    elif settled == "rejected":
        await ledger.reject(book, 1, held_back.key)
    else:
        await set_clock(owner, book, HELD_BACK_UNTIL)
        assert await sweep(worker_pool, book) == 1
    balance = await ledger.balance(book, SURVIVOR)
    assert balance.pending == 0
    assert await lots(ledger, book, SURVIVOR) == ({LATER: 15} if settled == "matured" else {})
    budget = await owner.fetchval("SELECT credits - debits FROM ledger.account WHERE kind = 5")
    assert budget == (85 if settled == "matured" else 100)


async def test_customers_whom_the_books_have_never_seen_are_merged_too(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book
) -> None:
    assert await merge(ledger, book) == 0
    assert await state(owner, LOSER) == (0, True, SURVIVOR, 0)
    assert await state(owner, SURVIVOR) == (0, False, None, 1)
    assert (await ledger.head(book)).seq == 0
    assert (await ledger.merge(book, loser=LOSER, survivor=SURVIVOR)).replayed


# ---- What comes back later comes to the survivor


async def test_a_hold_goes_on_and_what_it_gives_back_goes_to_the_survivor(ledger: Ledger, book: Book) -> None:
    await earn(ledger, book, LOSER, (SOON, 10), (LATER, 20))
    held = await redeemed(ledger, authorize(book, LOSER, 25))
    assert await merge(ledger, book) == 5
    assert (await ledger.balance(book, SURVIVOR)).held == 25

    await redeemed(ledger, capture(book, held.redemption, 12, final=False))
    await redeemed(ledger, capture(book, held.redemption, 3))
    assert await lots(ledger, book, SURVIVOR) == {LATER: 15}
    after = await redeemed(ledger, refund(book, held.redemption, 6))
    assert await lots(ledger, book, SURVIVOR) == {SOON: 1, LATER: 20}

    assert after.customer == SURVIVOR
    assert (after.status, after.captured, after.released, after.refunded) == (RedemptionStatus.PARTIALLY_REFUNDED, 15, 10, 6)
    assert [(each.verb, each.points) for each in after.operations] == [
        ("authorize", 25),
        ("capture", 12),
        ("capture", 3),
        ("void", 10),
        ("refund", 6),
    ]
    assert after == await ledger.redemption(book, held.redemption)
    assert [each.redemption for each in (await ledger.find_redemptions(book, RedemptionFilter(customer=SURVIVOR)))[0]] == [
        held.redemption
    ]
    assert (await ledger.find_redemptions(book, RedemptionFilter(customer=LOSER)))[0] == []


async def test_a_void_after_the_merge_gives_all_to_the_survivor(ledger: Ledger, book: Book) -> None:
    await earn(ledger, book, LOSER, (SOON, 10), (LATER, 20))
    held = await redeemed(ledger, authorize(book, LOSER, 25))
    await merge(ledger, book)
    voided = await redeemed(ledger, void(book, held.redemption))
    assert (voided.status, voided.customer, voided.balance) == (RedemptionStatus.VOIDED, SURVIVOR, 30)
    assert await lots(ledger, book, SURVIVOR) == {SOON: 10, LATER: 20}


async def test_a_closed_redemption_is_refunded_to_the_survivor(ledger: Ledger, book: Book) -> None:
    await earn(ledger, book, LOSER, (SOON, 10))
    spent = await redeemed(ledger, authorize(book, LOSER, 10, capture=True))
    assert await merge(ledger, book) == 0
    refunded = await redeemed(ledger, refund(book, spent.redemption))
    assert (refunded.status, refunded.balance) == (RedemptionStatus.REFUNDED, 10)
    assert [each.verb for each in refunded.operations] == ["authorize", "capture", "refund"]
    assert await lots(ledger, book, SURVIVOR) == {SOON: 10}


@pytest.mark.parametrize("sweeps", [False, True], ids=["the sweeper is late", "the sweeper is prompt"])
async def test_a_hold_that_times_out_after_the_merge_gives_back_to_the_survivor(
    ledger: Ledger, owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any], book: Book, sweeps: bool
) -> None:
    await earn(ledger, book, LOSER, (LATER, 20))
    held = await redeemed(ledger, authorize(book, LOSER, 15, hold_s=600))
    await merge(ledger, book)
    await set_clock(owner, book, NOON + timedelta(seconds=600))
    if sweeps:
        assert await sweep(worker_pool, book) == 1
    assert await lots(ledger, book, SURVIVOR) == {LATER: 20}
    redemption = await ledger.redemption(book, held.redemption)
    assert redemption is not None
    assert (redemption.status, redemption.customer) == (RedemptionStatus.EXPIRED, SURVIVOR)
    await redeemed(ledger, authorize(book, SURVIVOR, 20))


async def test_what_is_due_at_the_merge_is_posted_first(ledger: Ledger, owner: asyncpg.Connection[Any], book: Book) -> None:
    for customer in (LOSER, SURVIVOR):
        await earn(ledger, book, customer, (SOON, 10), (LATER, 20))
        await redeemed(ledger, authorize(book, customer, 12, hold_s=600))
    await earn(ledger, book, OTHER, (LATER, 1))
    await set_clock(owner, book, datetime(2030, 2, 5, 12, tzinfo=UTC))
    head = await ledger.head(book)

    # The holds timed out when the lots of January were alive, so those went back and then died.
    assert await merge(ledger, book) == 20
    posted = await ledger.transfers(book, after=head.seq, cut=(await ledger.head(book)).seq)
    assert [(transfer.verb.name, transfer.customer, transfer.amount) for transfer in posted] == [
        *[
            (verb, customer, n)
            for customer in (LOSER, SURVIVOR)
            for verb, n in (("TIME_OUT", 10), ("TIME_OUT", 2), ("EXPIRE", 10))
        ],
        ("MERGE", LOSER, 20),
        ("MERGE", SURVIVOR, 20),
    ]
    assert await lots(ledger, book, SURVIVOR) == {LATER: 40}


# ---- Lines of merges


async def test_who_was_merged_before_follows_to_the_last_of_the_line(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book
) -> None:
    for customer in (LOSER, SURVIVOR, OTHER):
        await earn(ledger, book, customer, (LATER, 20))
    held = await redeemed(ledger, authorize(book, LOSER, 15))
    await merge(ledger, book, LOSER, SURVIVOR)
    await redeemed(ledger, capture(book, held.redemption, 5, final=False))
    await merge(ledger, book, SURVIVOR, OTHER)

    assert await state(owner, LOSER) == (0, True, OTHER, 0)
    assert await state(owner, SURVIVOR) == (0, True, OTHER, 0)
    assert await state(owner, OTHER) == (45, False, None, 2)
    voided = await redeemed(ledger, void(book, held.redemption))
    assert (voided.customer, voided.balance) == (OTHER, 55)
    assert [(each.verb, each.points) for each in voided.operations] == [("authorize", 15), ("capture", 5), ("void", 10)]


async def test_the_same_merge_again_says_the_same_and_writes_nothing(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book
) -> None:
    await earn(ledger, book, OTHER, (SOON, 3))
    await earn(ledger, book, LOSER, (SOON, 10), (LATER, 20))
    await merge(ledger, book, OTHER, LOSER)
    held_back = order(
        book, customer=LOSER, message_id="held", points=4, held_back=True, due_at=HELD_BACK_UNTIL, former=(OTHER,)
    )
    await ledger.grant(held_back)
    assert await merge(ledger, book) == 33
    await ledger.grant(order(book, customer=SURVIVOR, message_id="more", points=5, former=(LOSER, OTHER)))
    before = await written(owner)
    assert await ledger.merge(book, loser=LOSER, survivor=SURVIVOR) == MergeResult(MERGED, replayed=True, points=33)
    # She had been merged into the loser, and followed.
    assert await ledger.merge(book, loser=OTHER, survivor=SURVIVOR) == MergeResult(MERGED, replayed=True, points=3)
    assert await written(owner) == before


async def test_who_was_merged_elsewhere_is_not_merged_again(ledger: Ledger, owner: asyncpg.Connection[Any], book: Book) -> None:
    await earn(ledger, book, LOSER, (SOON, 10))
    await merge(ledger, book)
    before = await written(owner)
    moved = MergeResult(MergeOutcome.STALE_CUSTOMER, replayed=False, points=0)
    assert await ledger.merge(book, loser=LOSER, survivor=OTHER) == moved
    assert await ledger.merge(book, loser=OTHER, survivor=LOSER) == moved
    assert await ledger.merge(book, loser=SURVIVOR, survivor=LOSER) == moved
    assert await written(owner) == before


async def test_a_merged_customer_can_authorize_nothing(ledger: Ledger, book: Book) -> None:
    await earn(ledger, book, LOSER, (SOON, 10))
    await merge(ledger, book)
    refused = await ledger.redeem(authorize(book, LOSER, 1, key="k"))
    assert refused.outcome is RedemptionOutcome.STALE_CUSTOMER
    await redeemed(ledger, authorize(book, SURVIVOR, 1, key="k"))


async def test_a_person_has_at_most_eight_ids(ledger: Ledger, owner: asyncpg.Connection[Any], book: Book) -> None:
    for n in range(1, 4):
        await merge(ledger, book, 100 + n, 100)
        await merge(ledger, book, 200 + n, 200)
    await earn(ledger, book, 300, (SOON, 10))
    await merge(ledger, book, 100, 200)
    assert (await state(owner, 200))[3] == 7
    before = await written(owner)
    too_many = MergeResult(MergeOutcome.TOO_MANY, replayed=False, points=0)
    assert await ledger.merge(book, loser=300, survivor=200) == too_many
    assert await ledger.merge(book, loser=200, survivor=300) == too_many
    assert await written(owner) == before
    assert await lots(ledger, book, 300) == {SOON: 10}


# ---- What cannot be right


async def test_nobody_is_merged_into_herself(ledger: Ledger, book: Book) -> None:
    with pytest.raises(DataRefused):
        await ledger.merge(book, loser=LOSER, survivor=LOSER)


async def test_another_brands_book_is_refused(ledger: Ledger, owner: asyncpg.Connection[Any], book: Book) -> None:
    await make_book(owner, brand_id=2)
    before = await written(owner)
    with pytest.raises(BookRefused):
        await ledger.merge(Book(brand_id=2, book_id=book.book_id), loser=LOSER, survivor=SURVIVOR)
    assert await written(owner) == before


# ---- At once


class LookUps:
    """Who is one with whom, as a service would keep it: it is said here first, and then in the book."""

    def __init__(self, customers: Sequence[int]) -> None:
        self.survivors = {customer: customer for customer in customers}

    def join(self, loser: int, survivor: int) -> None:
        """Let all who are one with the loser be one with the survivor."""
        self.survivors |= {each: survivor for each, now in self.survivors.items() if now == loser}

    def group(self, customer: int) -> tuple[int, tuple[int, ...]]:
        """Who she is now, and who was merged into her."""
        survivor = self.survivors[customer]
        return survivor, tuple(each for each, now in self.survivors.items() if now == survivor != each)


MERGES = ((11, 10), (13, 12), (12, 10), (16, 15), (14, 10), (15, 10), (17, 10))
CUSTOMERS = range(10, 18)


async def test_merges_grants_and_redemptions_at_once_lose_nothing_and_pay_nothing_twice(database: Database, book: Book) -> None:
    pools = [await create_pool(database.application_url, APPLICATION_ROLE) for _ in range(2)]
    async with Ledger(pools[0]) as first, Ledger(pools[1]) as second:
        ledgers, look_ups = (first, second), LookUps(CUSTOMERS)
        for customer in CUSTOMERS:
            await earn(first, book, customer, (SOON, 40), (LATER, 60))

        async def shop(n: int, customer: int) -> int:
            """Take 10 points and keep 4; how many those are."""
            result = await ledgers[n % 2].redeem(authorize(book, customer, 10, order_ref=f"order-{n}"))
            if result.outcome is RedemptionOutcome.STALE_CUSTOMER:
                moved_to = (await ledgers[n % 2].balance(book, customer)).moved_to
                assert moved_to is not None
                return await shop(n, moved_to)
            assert result.redemption is not None
            await redeemed(ledgers[n % 2], capture(book, result.redemption.redemption, 7))
            await redeemed(ledgers[(n + 1) % 2], refund(book, result.redemption.redemption, 3))
            return 4

        async def report(n: int, message_id: str, customer: int) -> GrantResult:
            """Report a click; where the book knows of fewer merges than the look-ups do, tell it, and report again."""
            survivor, former = look_ups.group(customer)
            click = order(book, customer=survivor, former=former, message_id=message_id, points=2, expires_on=LATER)
            result = await ledgers[n % 2].grant(click)
            if result.outcome is not GrantOutcome.STALE_CUSTOMER:
                return result
            survivor, former = look_ups.group(customer)
            for loser in former:
                await ledgers[n % 2].merge(book, loser=loser, survivor=survivor)
            return await report(n, message_id, customer)

        async def unite() -> set[MergeOutcome]:
            """Make all of them one, each merge asked for by both at once."""
            results: list[MergeResult] = []
            for loser, survivor in MERGES:
                look_ups.join(loser, survivor)
                results += await asyncio.gather(*(each.merge(book, loser=loser, survivor=survivor) for each in ledgers))
            return {result.outcome for result in results}

        # Each click is reported twice, by the name that she had then.
        reports = [report(n, f"message-{n % 60}", 10 + n % 60 % 8) for n in range(120)]
        merges, paid, decided = await asyncio.gather(
            unite(), asyncio.gather(*(shop(n, 10 + n % 8) for n in range(48))), asyncio.gather(*reports)
        )
        assert merges == {MERGED}
        assert Counter((each.outcome, each.replayed) for each in decided) == {
            (GrantOutcome.GRANTED, False): 60,
            (GrantOutcome.GRANTED, True): 60,
        }
        balances = [await first.balance(book, customer) for customer in CUSTOMERS]
        assert [balance.moved_to for balance in balances] == [None, *[10] * 7]
        assert [balance.spendable for balance in balances] == [800 + 60 * 2 - sum(paid), *[0] * 7]
        assert sum(balance.held for balance in balances) == 0
    for pool in pools:
        pool.terminate()
