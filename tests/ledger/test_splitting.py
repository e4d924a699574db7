"""Splitting: a merge that was a mistake is undone. What was brought comes back; what was decided meanwhile counts for both."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import msgspec
import pytest

from ledger import (
    AccountClass,
    Book,
    BookRefused,
    CapUse,
    Grade,
    GrantOutcome,
    GrantResult,
    Ledger,
    MergeOutcome,
    OwnerTag,
    Redeem,
    Redemption,
    RedemptionFilter,
    RedemptionOutcome,
    SplitOutcome,
    SplitResult,
    Standing,
    Verb,
    audit,
    describe_account,
    sweep,
)
from ledger.testing import NOON, authorize, capture, corroboration, fund, order, refund, set_clock, void
from tests.ledger.conftest import make_book, written

ADA, BOB, CLEO, DORA = 7, 8, 9, 10
SOON, LATER, NEVER = date(2030, 1, 31), date(2030, 3, 31), None
HELD_BACK_UNTIL = NOON + timedelta(days=7)
GRANTED, STALE_CUSTOMER, WAITING = GrantOutcome.GRANTED, GrantOutcome.STALE_CUSTOMER, GrantOutcome.WAITING
CAP_REACHED = GrantOutcome.CAP_REACHED


async def earn(ledger: Ledger, book: Book, customer: int, *lots: tuple[date | None, int], generation: int = 0) -> None:
    """Give a customer lots."""
    await ledger.fund(fund(book, 1_000))
    for expires_on, points in lots:
        message_id = f"lot-{next(_numbers)}"
        told = await ledger.grant(
            order(book, customer=customer, message_id=message_id, points=points, expires_on=expires_on, generation=generation)
        )
        assert told.outcome is GRANTED


_numbers = itertools.count(1)


async def merge(ledger: Ledger, book: Book, loser: int, survivor: int) -> int:
    """Merge two who can be; how many points it moved."""
    result = await ledger.merge(book, loser=loser, survivor=survivor)
    assert (result.outcome, result.replayed) == (MergeOutcome.MERGED, False)
    return result.points


async def split(ledger: Ledger, book: Book, customer: int, survivor: int) -> int:
    """Split one off who can be; how many points went with her."""
    result = await ledger.split(book, customer=customer, survivor=survivor)
    assert (result.outcome, result.replayed) == (SplitOutcome.SPLIT, False)
    return result.points


async def redeemed(ledger: Ledger, step: Redeem) -> Redemption:
    """Take a step that must succeed."""
    result = await ledger.redeem(step)
    assert result.outcome is RedemptionOutcome.DONE
    assert result.redemption is not None
    return result.redemption


async def lots(ledger: Ledger, book: Book, customer: int) -> dict[date | None, int]:
    """A customer's points by last day."""
    return {lot.expires_on: lot.points for lot in (await ledger.balance(book, customer)).lots}


async def generation(ledger: Ledger, book: Book, customer: int) -> int:
    """Which state of her merges and splits the book knows."""
    return (await ledger.balance(book, customer)).generation


# ---- What comes back


async def test_what_a_customer_brought_comes_back_with_its_class_and_last_day(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book
) -> None:
    await earn(ledger, book, ADA, (SOON, 10), (LATER, 20))
    await ledger.grant(order(book, customer=ADA, message_id="bought", points=5, account_class=AccountClass.PURCHASE))
    await earn(ledger, book, BOB, (LATER, 1), (NEVER, 2))
    before = [await ledger.balance(book, customer) for customer in (ADA, BOB)]
    await merge(ledger, book, ADA, BOB)

    assert await split(ledger, book, ADA, BOB) == 35

    after = [await ledger.balance(book, customer) for customer in (ADA, BOB)]
    assert [balance.lots for balance in after] == [balance.lots for balance in before]
    assert [balance.moved_to for balance in after] == [None, None]
    rows = await owner.fetch("SELECT customer, frozen, moved_to, absorbed FROM ledger.customer_state WHERE customer IN (7, 8)")
    assert sorted(tuple(row) for row in rows) == [(ADA, False, None, 0), (BOB, False, None, 0)]


async def test_a_split_is_told_like_a_merge(ledger: Ledger, book: Book) -> None:
    await earn(ledger, book, ADA, (LATER, 20), (SOON, 10))
    await merge(ledger, book, ADA, BOB)
    head = await ledger.head(book)
    await split(ledger, book, ADA, BOB)
    posted = await ledger.transfers(book, after=head.seq, cut=(await ledger.head(book)).seq)
    assert {transfer.verb for transfer in posted} == {Verb.SPLIT}
    assert {transfer.transaction_id for transfer in posted} == {head.seq + 1}
    assert [(transfer.customer, transfer.amount) for transfer in posted] == [(BOB, 10), (BOB, 20), (ADA, 10), (ADA, 20)]
    for leaving, coming in zip(posted[:2], posted[2:], strict=True):
        assert leaving.credit == coming.debit
        assert describe_account(leaving.credit).owner is OwnerTag.HOUSE
        assert leaving.debit[11:] == coming.credit[11:]
    told = [[(entry.verb, entry.points) for entry in await ledger.statement(book, each, limit=2)] for each in (ADA, BOB)]
    assert told == [[("split", 20), ("split", 10)], [("split", -20), ("split", -10)]]


async def test_what_was_spent_since_stays_spent(ledger: Ledger, book: Book) -> None:
    await earn(ledger, book, ADA, (SOON, 10), (LATER, 20))
    await earn(ledger, book, BOB, (LATER, 5))
    await merge(ledger, book, ADA, BOB)
    await redeemed(ledger, authorize(book, BOB, 22, capture=True))
    # Of the lot of March 13 are left; Bob had 5 of them himself, but nobody can say which.
    assert await split(ledger, book, ADA, BOB) == 13
    assert (await lots(ledger, book, ADA), await lots(ledger, book, BOB)) == ({LATER: 13}, {})


async def test_what_was_earned_since_stays(ledger: Ledger, book: Book) -> None:
    await earn(ledger, book, ADA, (LATER, 20))
    await merge(ledger, book, ADA, BOB)
    await earn(ledger, book, BOB, (LATER, 7), (SOON, 3), generation=1)
    assert await split(ledger, book, ADA, BOB) == 20
    assert await lots(ledger, book, BOB) == {SOON: 3, LATER: 7}


async def test_what_has_expired_since_has_expired(ledger: Ledger, owner: asyncpg.Connection[Any], book: Book) -> None:
    await earn(ledger, book, ADA, (SOON, 10), (LATER, 20))
    await merge(ledger, book, ADA, BOB)
    await set_clock(owner, book, datetime(2030, 2, 5, 12, tzinfo=UTC))
    assert await split(ledger, book, ADA, BOB) == 20
    assert (await lots(ledger, book, ADA), await lots(ledger, book, BOB)) == ({LATER: 20}, {})


async def test_redemptions_go_to_whom_they_began_with(ledger: Ledger, book: Book) -> None:
    await earn(ledger, book, ADA, (SOON, 10), (LATER, 20))
    await earn(ledger, book, BOB, (LATER, 30))
    hers = await redeemed(ledger, authorize(book, ADA, 12, order_ref="hers"))
    await merge(ledger, book, ADA, BOB)
    theirs = await redeemed(ledger, authorize(book, BOB, 40, order_ref="theirs"))
    await redeemed(ledger, capture(book, hers.redemption, 4, final=False))
    assert await split(ledger, book, ADA, BOB) == 8

    for customer, held in ((ADA, 8), (BOB, 40)):
        assert (await ledger.balance(book, customer)).held == held
    voided = await redeemed(ledger, void(book, theirs.redemption))
    assert (voided.customer, await lots(ledger, book, BOB)) == (BOB, {LATER: 40})
    await redeemed(ledger, capture(book, hers.redemption, 2))
    refunded = await redeemed(ledger, refund(book, hers.redemption))
    assert refunded.customer == ADA
    assert [(each.verb, each.points) for each in refunded.operations] == [
        ("authorize", 12),
        ("capture", 4),
        ("capture", 2),
        ("void", 6),
        ("refund", 6),
    ]
    assert await lots(ledger, book, ADA) == {SOON: 10, LATER: 10}
    assert [each.redemption for each in (await ledger.find_redemptions(book, RedemptionFilter(customer=ADA)))[0]] == [
        hers.redemption
    ]


@pytest.mark.parametrize("settled", ["matured", "rejected", "timed out"])
async def test_points_held_back_go_to_whom_they_were_promised(
    ledger: Ledger, owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any], book: Book, settled: str
) -> None:
    await ledger.fund(fund(book, 100))
    terms: dict[str, Any] = {"held_back": True, "due_at": HELD_BACK_UNTIL, "account_class": AccountClass.PURCHASE}
    hers, theirs = [
        order(book, customer=ADA, points=15, **terms),
        order(book, customer=BOB, points=4, message_id="theirs", former=(ADA,), **terms),
    ]
    await ledger.grant(hers)
    await merge(ledger, book, ADA, BOB)
    await ledger.grant(theirs)
    assert await split(ledger, book, ADA, BOB) == 0
    assert [(await ledger.balance(book, each)).pending for each in (ADA, BOB)] == [15, 4]
    if settled == "matured":
        for each in (hers, theirs):
            await ledger.mature(book, 1, each.key, expires_on=LATER)
    elif settled == "rejected":
        for each in (hers, theirs):
            await ledger.reject(book, 1, each.key)
    else:
        await set_clock(owner, book, HELD_BACK_UNTIL)
        assert await sweep(worker_pool, book) == 2
    expected: list[dict[date | None, int]] = [{LATER: 15}, {LATER: 4}] if settled == "matured" else [{}, {}]
    assert [await lots(ledger, book, each) for each in (ADA, BOB)] == expected
    assert [(await ledger.balance(book, each)).pending for each in (ADA, BOB)] == [0, 0]


async def test_the_same_split_again_says_the_same_and_writes_nothing(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book
) -> None:
    await earn(ledger, book, ADA, (SOON, 10))
    await merge(ledger, book, ADA, BOB)
    await split(ledger, book, ADA, BOB)
    await earn(ledger, book, ADA, (SOON, 1), generation=1)
    before = await written(owner)
    again = await ledger.split(book, customer=ADA, survivor=BOB)
    assert again == SplitResult(SplitOutcome.SPLIT, replayed=True, points=10)
    assert await written(owner) == before
    assert await ledger.points_returned(book, ADA) == 10
    assert await ledger.points_returned(book, BOB) == 0


async def test_who_is_not_part_of_another_is_not_split_off(ledger: Ledger, owner: asyncpg.Connection[Any], book: Book) -> None:
    await merge(ledger, book, ADA, BOB)
    before = await written(owner)
    refused = SplitResult(SplitOutcome.NOT_PART, replayed=False, points=0)
    for customer, survivor in ((BOB, ADA), (ADA, CLEO), (CLEO, BOB), (BOB, BOB)):
        assert await ledger.split(book, customer=customer, survivor=survivor) == refused
    assert await written(owner) == before


async def test_another_brands_book_is_refused(ledger: Ledger, owner: asyncpg.Connection[Any], book: Book) -> None:
    await make_book(owner, brand_id=2)
    await merge(ledger, book, ADA, BOB)
    before = await written(owner)
    foreign = Book(brand_id=2, book_id=book.book_id)
    with pytest.raises(BookRefused):
        await ledger.split(foreign, customer=ADA, survivor=BOB)
    with pytest.raises(BookRefused):
        await ledger.align(foreign, [Standing(ADA, ADA, 5)])
    assert await ledger.points_returned(foreign, ADA) == 0
    assert await written(owner) == before


# ---- Again, and in lines


async def test_a_pair_may_be_merged_and_split_again_and_again(ledger: Ledger, book: Book) -> None:
    await earn(ledger, book, ADA, (LATER, 20))
    for n in range(1, 4):
        assert await merge(ledger, book, ADA, BOB) == 20
        assert await split(ledger, book, ADA, BOB) == 20
        assert (await generation(ledger, book, ADA), await generation(ledger, book, BOB)) == (n, 2 * n)
    # The other way round.
    assert await merge(ledger, book, BOB, ADA) == 0
    assert await split(ledger, book, BOB, ADA) == 0
    assert await lots(ledger, book, ADA) == {LATER: 20}


@pytest.mark.parametrize("first", [ADA, BOB])
async def test_each_of_a_line_takes_only_what_they_brought_themselves(ledger: Ledger, book: Book, first: int) -> None:
    for customer, points in ((ADA, 10), (BOB, 20), (CLEO, 40)):
        await earn(ledger, book, customer, (LATER, points))
    await merge(ledger, book, ADA, BOB)
    await merge(ledger, book, BOB, CLEO)
    assert [await split(ledger, book, each, CLEO) for each in ((ADA, BOB) if first == ADA else (BOB, ADA))] == (
        [10, 20] if first == ADA else [20, 10]
    )
    assert [await lots(ledger, book, each) for each in (ADA, BOB, CLEO)] == [{LATER: 10}, {LATER: 20}, {LATER: 40}]


async def test_of_a_line_that_has_spent_they_share_what_is_left_in_the_order_of_their_numbers(
    ledger: Ledger, book: Book
) -> None:
    for customer, points in ((ADA, 10), (BOB, 20), (CLEO, 40)):
        await earn(ledger, book, customer, (LATER, points))
    await merge(ledger, book, ADA, BOB)
    await redeemed(ledger, authorize(book, BOB, 15, capture=True))
    # 15 are left, of which Ada is taken to have brought 10.
    assert await merge(ledger, book, BOB, CLEO) == 15
    assert await split(ledger, book, BOB, CLEO) == 5
    assert await split(ledger, book, ADA, CLEO) == 10


async def test_an_earlier_merge_stays_with_the_survivor(ledger: Ledger, book: Book) -> None:
    await merge(ledger, book, ADA, BOB)
    await merge(ledger, book, BOB, CLEO)
    await split(ledger, book, BOB, CLEO)
    assert [(await ledger.balance(book, each)).moved_to for each in (ADA, BOB)] == [CLEO, None]


async def test_a_split_makes_room_for_an_eighth(ledger: Ledger, book: Book) -> None:
    for n in range(1, 8):
        await merge(ledger, book, 100 + n, 100)
    assert (await ledger.merge(book, loser=200, survivor=100)).outcome is MergeOutcome.TOO_MANY
    await split(ledger, book, 103, 100)
    await merge(ledger, book, 200, 100)
    assert (await ledger.merge(book, loser=103, survivor=100)).outcome is MergeOutcome.TOO_MANY


# ---- Who is told that she has moved


async def test_nobody_acts_on_a_group_of_before_however_alike_it_is(ledger: Ledger, book: Book) -> None:
    await ledger.fund(fund(book, 100))
    await merge(ledger, book, ADA, BOB)
    known = order(book, customer=BOB, former=(ADA,))
    till = authorize(book, BOB, 1, order_ref="till")
    await split(ledger, book, ADA, BOB)
    await merge(ledger, book, CLEO, BOB)
    assert (await ledger.grant(known)).outcome is STALE_CUSTOMER
    assert (await ledger.grant(order(book, customer=BOB))).outcome is STALE_CUSTOMER
    # Ada as she was before all this.
    assert (await ledger.grant(order(book, customer=ADA))).outcome is STALE_CUSTOMER
    for customer, knows in ((BOB, 0), (BOB, 1), (ADA, 0), (99, 1)):
        told = await ledger.redeem(_knowing(authorize(book, customer, 1), knows))
        assert told.outcome is RedemptionOutcome.STALE_CUSTOMER, (customer, knows)
    now = await generation(ledger, book, BOB)
    told = await ledger.grant(order(book, customer=BOB, former=(CLEO,), past=(ADA,), generation=now))
    assert told.outcome is GRANTED
    assert (await ledger.redeem(_knowing(till, now))).outcome is RedemptionOutcome.DONE


def _knowing(step: Redeem, generation: int) -> Redeem:
    return msgspec.structs.replace(step, generation=generation)


async def test_who_is_in_one_batch_with_somebody_who_knows_otherwise_is_told_too(ledger: Ledger, book: Book) -> None:
    await ledger.fund(fund(book, 100))
    orders = [
        order(book, customer=BOB, message_id="m-1"),
        order(book, customer=BOB, message_id="m-2", former=(ADA,)),
        order(book, customer=CLEO, message_id="m-3"),
    ]
    told = await ledger.grant_batch(orders)
    assert [each.outcome for each in told if isinstance(each, GrantResult)] == [STALE_CUSTOMER, STALE_CUSTOMER, GRANTED]


# ---- What counts as decided


@pytest.fixture
async def events(ledger: Ledger, book: Book) -> dict[str, GrantResult]:
    """Bob's clicks before, while and after Ada is part of him, and Ada's before and after."""
    await ledger.fund(fund(book, 1_000))
    told: dict[str, GrantResult] = {}
    told["hers before"] = await ledger.grant(order(book, customer=ADA, message_id="hers before"))
    told["theirs before"] = await ledger.grant(order(book, customer=BOB, message_id="theirs before"))
    await merge(ledger, book, ADA, BOB)
    for message_id in ("meanwhile", "at the end"):
        told[message_id] = await ledger.grant(order(book, customer=BOB, former=(ADA,), message_id=message_id))
    await split(ledger, book, ADA, BOB)
    told["theirs after"] = await ledger.grant(order(book, customer=BOB, past=(ADA,), generation=2, message_id="theirs after"))
    told["hers after"] = await ledger.grant(order(book, customer=ADA, past=(BOB,), generation=1, message_id="hers after"))
    assert {each.outcome for each in told.values()} == {GRANTED}
    return told


@pytest.mark.parametrize(
    ("customer", "paid_before"),
    [
        (ADA, {"hers before", "meanwhile", "at the end", "hers after"}),
        (BOB, {"theirs before", "meanwhile", "at the end", "theirs after"}),
    ],
)
async def test_what_was_decided_while_they_were_one_was_decided_for_both(
    ledger: Ledger, book: Book, events: dict[str, GrantResult], customer: int, paid_before: set[str]
) -> None:
    other, knows = (BOB, 1) if customer == ADA else (ADA, 2)
    found: set[str] = set()
    for message_id, first in events.items():
        late = order(book, customer=customer, past=(other,), generation=knows, message_id=message_id)
        past = await ledger.past_events(book, 1, customer, late.past_keys)
        told = await ledger.grant(late)
        assert told.outcome is GRANTED
        if told.replayed:
            assert (told.seq, told.key) == (first.seq, first.key)
            found.add(message_id)
        of_other = told.replayed and told.key != late.key
        assert [event.seq for event in past] == ([first.seq] if of_other else [])
        assert (await ledger.grant(late)).replayed
    assert found == paid_before


async def test_a_refusal_while_they_were_one_is_for_both_and_what_waits_is_for_nobody_yet(ledger: Ledger, book: Book) -> None:
    await ledger.fund(fund(book, 100))
    cap = (CapUse(0, NOON.date(), max_grants=0),)
    # Both before and after it, in places of their own.
    await ledger.grant(order(book, customer=BOB, message_id="before", caps=cap))
    await merge(ledger, book, ADA, BOB)
    await ledger.grant(order(book, customer=BOB, former=(ADA,), message_id="refused", caps=cap))
    await ledger.grant(order(book, customer=BOB, former=(ADA,), message_id="waits", waits=True, grade=Grade.D))
    await split(ledger, book, ADA, BOB)
    await ledger.grant(order(book, customer=BOB, past=(ADA,), generation=2, message_id="after", caps=cap))
    told = {
        message_id: await ledger.grant(order(book, customer=ADA, past=(BOB,), generation=1, message_id=message_id))
        for message_id in ("before", "refused", "waits", "after")
    }
    assert {message_id: (each.outcome, each.replayed) for message_id, each in told.items()} == {
        "before": (GRANTED, False),
        "refused": (GrantOutcome.CAP_REACHED, True),
        "waits": (GRANTED, False),
        "after": (GRANTED, False),
    }
    # What waited still waits, for Bob.
    theirs = await ledger.grant(order(book, customer=BOB, past=(ADA,), generation=2, message_id="waits"))
    assert (theirs.outcome, theirs.replayed) == (GRANTED, False)


@pytest.mark.parametrize(
    ("is_lifted", "waited", "told"),
    [
        (True, False, (GRANTED, False, "own")),
        (True, True, (WAITING, True, "own")),
        (False, False, (CAP_REACHED, True, "the other's")),
        (False, True, (CAP_REACHED, True, "the other's")),
    ],
)
async def test_a_refusal_while_they_were_one_counts_until_it_is_decided_again_even_in_the_same_batch(
    ledger: Ledger, book: Book, is_lifted: bool, waited: bool, told: tuple[GrantOutcome, bool, str]
) -> None:
    await ledger.fund(fund(book, 100))
    cap = (CapUse(0, NOON.date(), max_grants=0),)
    if waited:
        await ledger.grant(order(book, customer=ADA, waits=True))
    await merge(ledger, book, ADA, BOB)
    refused = await ledger.grant(order(book, customer=BOB, former=(ADA,), caps=cap))
    assert refused.outcome is CAP_REACHED
    await split(ledger, book, ADA, BOB)
    again = order(book, customer=BOB, past=(ADA,), generation=2, again=True, caps=() if is_lifted else cap)
    own = order(book, customer=ADA, past=(BOB,), generation=1, waits=waited)
    theirs, answer = await ledger.grant_batch([again, own])
    assert isinstance(theirs, GrantResult)
    assert isinstance(answer, GrantResult)
    assert theirs.outcome is (GRANTED if is_lifted else CAP_REACHED)
    outcome, replayed, whose = told
    assert (answer.outcome, answer.replayed, answer.key) == (
        outcome,
        replayed,
        {"own": own.key, "the other's": again.key}[whose],
    )


async def test_what_waited_under_hers_and_was_paid_while_they_were_one_was_paid_to_both(ledger: Ledger, book: Book) -> None:
    await ledger.fund(fund(book, 100))
    opened: dict[str, Any] = {"action": "open", "waits": True, "grade": Grade.D}
    await ledger.grant(order(book, customer=ADA, **opened))
    await merge(ledger, book, ADA, BOB)
    proves = corroboration(customer=BOB, former=(ADA,), may_wait=("open",))
    await ledger.grant(order(book, customer=BOB, former=(ADA,), corroboration=proves))
    assert (await ledger.balance(book, BOB)).spendable == 10
    assert await split(ledger, book, ADA, BOB) == 0
    for customer, other, knows in ((ADA, BOB, 1), (BOB, ADA, 2)):
        again = order(book, customer=customer, past=(other,), generation=knows, **opened)
        told = await ledger.grant(again)
        assert (told.outcome, told.replayed) == (GRANTED, True), customer


@pytest.mark.parametrize("is_split", [True, False])
async def test_what_waits_under_the_own_number_is_not_proved_if_it_was_paid_to_both(
    ledger: Ledger, book: Book, is_split: bool
) -> None:
    await ledger.fund(fund(book, 100))
    await ledger.grant(order(book, customer=ADA, action="open", waits=True, grade=Grade.D))
    await merge(ledger, book, ADA, BOB)
    # A stronger report of the same: it is recorded under Bob's number, and Ada's still waits.
    await ledger.grant(order(book, customer=BOB, former=(ADA,), action="open"))
    if is_split:
        await split(ledger, book, ADA, BOB)
        proves = corroboration(customer=ADA, past=(BOB,), may_wait=("open",))
        await ledger.grant(order(book, customer=ADA, past=(BOB,), generation=1, corroboration=proves))
        assert (await ledger.balance(book, ADA)).spendable == 5
    else:
        proves = corroboration(customer=BOB, former=(ADA,), may_wait=("open",))
        await ledger.grant(order(book, customer=BOB, former=(ADA,), corroboration=proves))
        assert (await ledger.balance(book, BOB)).spendable == 10


async def test_a_proof_that_was_left_while_they_were_one_stays_with_the_survivor(ledger: Ledger, book: Book) -> None:
    await ledger.fund(fund(book, 100))
    await merge(ledger, book, ADA, BOB)
    # Strong enough for other acts, and not for itself.
    waits = corroboration(customer=BOB, former=(ADA,), needs=Grade.A)
    await ledger.grant(order(book, customer=BOB, former=(ADA,), action="open", waits=True, grade=Grade.B, corroboration=waits))
    await split(ledger, book, ADA, BOB)
    weak: dict[str, Any] = {"action": "read", "waits": True, "grade": Grade.D}
    for customer, other, knows, outcome in ((ADA, BOB, 1, GrantOutcome.WAITING), (BOB, ADA, 2, GRANTED)):
        report = order(
            book, customer=customer, past=(other,), generation=knows, corroboration=corroboration(customer=customer), **weak
        )
        assert (await ledger.grant(report)).outcome is outcome, customer


async def test_two_who_were_part_of_a_third_were_one(ledger: Ledger, book: Book) -> None:
    await ledger.fund(fund(book, 100))
    opened: dict[str, Any] = {"action": "open", "waits": True, "grade": Grade.D}
    await ledger.grant(order(book, customer=ADA, **opened))
    await merge(ledger, book, ADA, CLEO)
    await merge(ledger, book, BOB, CLEO)
    proves = corroboration(customer=CLEO, former=(ADA, BOB), may_wait=("open",))
    await ledger.grant(order(book, customer=CLEO, former=(ADA, BOB), corroboration=proves))
    await split(ledger, book, BOB, CLEO)
    # Recorded under Ada's number, paid while Bob was one with her.
    told = await ledger.grant(order(book, customer=BOB, past=(ADA, CLEO), generation=1, **opened))
    assert (told.outcome, told.replayed) == (GRANTED, True)


async def test_what_counts_for_one_counts_for_the_survivor(ledger: Ledger, book: Book) -> None:
    await ledger.fund(fund(book, 100))
    await merge(ledger, book, ADA, BOB)
    await ledger.grant(order(book, customer=BOB, former=(ADA,)))
    await split(ledger, book, ADA, BOB)
    await merge(ledger, book, ADA, CLEO)
    told = await ledger.grant(order(book, customer=CLEO, former=(ADA,), past=(BOB,)))
    assert (told.outcome, told.replayed) == (GRANTED, True)


async def test_a_spell_goes_on_with_the_next_survivor_and_ends_with_the_split(ledger: Ledger, book: Book) -> None:
    await ledger.fund(fund(book, 100))
    await merge(ledger, book, ADA, BOB)
    await ledger.grant(order(book, customer=BOB, former=(ADA,), message_id="with bob"))
    await ledger.grant(order(book, customer=CLEO, message_id="cleo alone"))
    await merge(ledger, book, BOB, CLEO)
    await ledger.grant(order(book, customer=CLEO, former=(ADA, BOB), message_id="with cleo"))
    await split(ledger, book, BOB, CLEO)
    knows = await generation(ledger, book, CLEO)
    await ledger.grant(order(book, customer=CLEO, former=(ADA,), past=(BOB,), generation=knows, message_id="without bob"))
    await split(ledger, book, ADA, CLEO)
    paid = {
        who: {
            message_id
            for message_id in ("with bob", "cleo alone", "with cleo", "without bob")
            if await ledger.past_events(book, 1, who, order(book, past=others, message_id=message_id).past_keys)
        }
        for who, others in ((ADA, (BOB, CLEO)), (BOB, (ADA, CLEO)))
    }
    assert paid == {ADA: {"with bob", "with cleo", "without bob"}, BOB: {"with cleo"}}


# ---- Bringing a book in line


async def test_a_book_that_has_missed_everything_is_brought_in_line_at_once(ledger: Ledger, book: Book) -> None:
    for customer in (ADA, BOB, CLEO):
        await earn(ledger, book, customer, (LATER, customer))
    await merge(ledger, book, ADA, BOB)
    # Ada was split from Bob, Bob was merged into Cleo, and Dora, who is new, into her too.
    told = [Standing(CLEO, CLEO, 30), Standing(ADA, ADA, 20), Standing(BOB, CLEO, 29), Standing(DORA, CLEO, 30)]
    aligned = await ledger.align(book, told)
    assert (aligned.outcome, aligned.points) == (MergeOutcome.MERGED, BOB)
    balances = [await ledger.balance(book, customer) for customer in (ADA, BOB, CLEO, DORA)]
    assert [(each.spendable, each.moved_to, each.generation) for each in balances] == [
        (ADA, None, 20),
        (0, CLEO, 29),
        (BOB + CLEO, None, 30),
        (0, CLEO, 30),
    ]


async def test_the_same_again_and_what_is_old_change_nothing(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book
) -> None:
    old = [Standing(BOB, BOB, 20), Standing(ADA, BOB, 20)]
    new = [Standing(BOB, BOB, 30), Standing(ADA, ADA, 30)]
    await ledger.align(book, old)
    await ledger.align(book, new)
    before = await written(owner)
    for told in (old, new, old):
        assert (await ledger.align(book, told)).outcome is MergeOutcome.MERGED
    assert await written(owner) == before
    assert (await ledger.balance(book, ADA)).moved_to is None


async def test_a_stale_target_of_a_move_has_to_be_read_again(ledger: Ledger, book: Book) -> None:
    await ledger.align(book, [Standing(CLEO, CLEO, 30), Standing(BOB, CLEO, 30)])
    late = await ledger.align(book, [Standing(BOB, BOB, 20), Standing(ADA, BOB, 20)])
    assert late.outcome is MergeOutcome.STALE_CUSTOMER
    assert (await ledger.balance(book, ADA)).moved_to is None


async def test_roles_may_be_turned_round(ledger: Ledger, book: Book) -> None:
    await earn(ledger, book, ADA, (LATER, 5))
    await earn(ledger, book, BOB, (LATER, 7))
    await ledger.align(book, [Standing(BOB, BOB, 20), Standing(ADA, BOB, 20)])
    await ledger.align(book, [Standing(ADA, ADA, 30), Standing(BOB, ADA, 30)])
    balances = [await ledger.balance(book, customer) for customer in (ADA, BOB)]
    assert [(each.spendable, each.moved_to) for each in balances] == [(12, None), (0, ADA)]


async def test_who_belongs_to_a_group_that_is_not_told_is_only_split_off(ledger: Ledger, book: Book) -> None:
    await ledger.align(book, [Standing(BOB, BOB, 20), Standing(ADA, BOB, 20)])
    await ledger.align(book, [Standing(BOB, BOB, 30), Standing(ADA, DORA, 31)])
    balance = await ledger.balance(book, ADA)
    assert (balance.moved_to, balance.generation) == (None, 20)
    # As the other group's business it is done.
    await ledger.align(book, [Standing(DORA, DORA, 31), Standing(ADA, DORA, 31), Standing(BOB, BOB, 30)])
    assert (await ledger.balance(book, ADA)).moved_to == DORA


# ---- What the audit finds

BREAKS = {
    "a split gives back more than was brought": (
        "UPDATE ledger.transfer SET amount = amount + 1 WHERE verb = 15",
        {"balances_equal_the_log", "no_account_below_its_floor", "splits_give_back_what_was_brought"},
    ),
    "a split makes points last": (
        """
        UPDATE ledger.transfer SET credit = substring(credit FROM 1 FOR 12) || '\\x00003000'::bytea
        WHERE verb = 15 AND customer = 7
        """,
        {"balances_equal_the_log", "splits_give_back_what_was_brought"},
    ),
    "a spell is forgotten": (
        "DELETE FROM ledger.spell WHERE customer = 7",
        {"merges_move_everything", "splits_give_back_what_was_brought"},
    ),
    "a spell goes on": (
        "UPDATE ledger.spell SET until_seq = NULL, until_place = NULL, points_returned = NULL WHERE customer = 7",
        {"splits_give_back_what_was_brought", "spells_say_who_was_part_of_whom"},
    ),
    "a spell lasts longer than it did": (
        "UPDATE ledger.spell SET until_seq = until_seq + 3 WHERE customer = 7",
        {"splits_give_back_what_was_brought", "spells_say_who_was_part_of_whom"},
    ),
    "more is said to have come back": (
        "UPDATE ledger.spell SET points_returned = points_returned + 1 WHERE customer = 7",
        {"splits_give_back_what_was_brought"},
    ),
    "more is said to have been brought": (
        "UPDATE ledger.brought SET amount = amount + 1",
        {"splits_give_back_what_was_brought"},
    ),
}


@pytest.mark.parametrize(("tampering", "invariants"), BREAKS.values(), ids=list(BREAKS))
async def test_a_broken_book_is_reported(
    ledger: Ledger, owner: asyncpg.Connection[Any], tampering: str, invariants: set[str]
) -> None:
    book = await make_book(owner)
    await earn(ledger, book, ADA, (SOON, 10), (LATER, 20))
    await earn(ledger, book, CLEO, (LATER, 5))
    await merge(ledger, book, ADA, BOB)
    await merge(ledger, book, CLEO, BOB)
    await split(ledger, book, ADA, BOB)
    await earn(ledger, book, ADA, (LATER, 2), generation=1)
    assert [each for each in await audit(owner, book) if each.violations] == []
    await owner.execute(tampering)
    assert {each.invariant for each in await audit(owner, book) if each.violations} == invariants
