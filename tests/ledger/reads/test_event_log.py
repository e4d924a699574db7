"""What is read of the decisions of a book: the feed of all that happened, and lists of events newest first."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from ledger import Book, CapUse, Corroboration, Event, FeedEntry, Grade, GrantOutcome, Ledger, Position, Verb, proof_key
from ledger.reads import event_log
from ledger.testing import NOON, authorize, fund, order, void

A_CAP = (CapUse(0, None, max_grants=2),)
KINDS: list[dict[str, Any]] = [{}, {"action": "open", "waits": True}, {"action": "reply", "caps": A_CAP}]
"""What is granted, what waits, and what is refused from the third time on."""


async def everything(ledger: Ledger, book: Book, *, limit: int) -> AsyncIterator[FeedEntry]:
    """The feed up to its present end, read in parts."""
    after = Position()
    while found := await ledger.feed(book, after=after, limit=limit):
        for entry in found:
            yield entry
        after = found[-1].position


async def listed(ledger: Ledger, book: Book, **query: Any) -> list[Event]:
    """All pages of a list."""
    found: list[Event] = []
    before: Position | None = None
    while True:
        events, before = await ledger.find_events(book, before=before, **query)
        assert len(events) <= query.get("limit", 100)
        found += events
        if before is None:
            return found


@pytest.fixture
async def lively(ledger: Ledger, book: Book) -> Book:
    """A book with stretches in which points moved, and stretches in which all was refused or waits."""
    dice = random.Random(3)
    await ledger.fund(fund(book, 150))
    for stretch in range(8):
        kind = KINDS[stretch % 3]
        orders = [order(book, customer=dice.randrange(3), message_id=f"{stretch} {n}", **kind) for n in range(9)]
        await ledger.grant_batch(orders)
        for each in orders[:4]:
            # What waited is decided: it leaves its place.
            await ledger.grant(each.on(waits=False))
    return book


async def test_a_quiet_book_tells_at_once_what_it_refused_and_what_waits(ledger: Ledger, book: Book) -> None:
    await ledger.fund(fund(book, 1))
    kept = Position()
    for n in range(5):
        await ledger.grant(order(book, message_id=f"m-{n}", waits=n % 2 == 0))
        found = await ledger.feed(book, after=kept)
        assert [each.message_id for each in found] == [f"m-{n}"]
        kept = found[-1].position
    assert kept == Position(1, 5)


@pytest.mark.parametrize("limit", [1, 3, 1000])
async def test_parts_of_any_size_tell_each_thing_once_in_the_order_of_both_streams(
    ledger: Ledger, lively: Book, owner: asyncpg.Connection[Any], limit: int
) -> None:
    told = [each async for each in everything(ledger, lively, limit=limit)]
    assert told == await ledger.feed(lively, after=Position(), limit=1000)
    assert [each.position.seq for each in told if each.verb] == [
        row["seq"] for row in await owner.fetch("SELECT seq FROM ledger.transfer WHERE customer IS NOT NULL ORDER BY seq")
    ]
    places = await owner.fetch("SELECT place, key, seq FROM ledger.event WHERE place IS NOT NULL ORDER BY place")
    assert [(each.position.place, each.key) for each in told if each.outcome] == [(row["place"], row["key"]) for row in places]
    # An event stands behind all that had been posted at its decision.
    assert [each.position.seq for each in told if each.outcome] == [max(row["seq"], 1) for row in places]


async def test_what_waited_and_is_paid_is_logged_again(ledger: Ledger, book: Book) -> None:
    await ledger.fund(fund(book, 100))
    await ledger.grant(order(book, waits=True))
    (waiting,) = await ledger.feed(book, after=Position())
    assert waiting.outcome is GrantOutcome.WAITING
    await ledger.grant(order(book))
    (paid,) = await ledger.feed(book, after=waiting.position)
    assert (paid.key, paid.points, paid.balance_change) == (waiting.key, 5, 5)
    assert [each.points for each in await ledger.feed(book, after=Position())] == [5]


async def test_a_reader_sees_each_entry_once_while_others_write(ledger: Ledger, book: Book) -> None:
    await ledger.fund(fund(book, 300))
    writing = True

    async def write(writer: int) -> None:
        dice = random.Random(writer)
        for n in range(80):
            customer = dice.randrange(4)
            if dice.random() < 0.2:
                held = await ledger.redeem(authorize(book, customer, 1))
                if held.redemption is not None:
                    await ledger.redeem(void(book, held.redemption.redemption))
            else:
                await ledger.grant(order(book, customer=customer, message_id=f"{writer} {n}", **dice.choice(KINDS)))

    async def read(limit: int) -> list[FeedEntry]:
        told: list[FeedEntry] = []
        after, at_end = Position(), False
        while not at_end:
            was_writing = writing
            found = await ledger.feed(book, after=after, limit=limit)
            told += found
            after = found[-1].position if found else after
            at_end = not found and not was_writing
        return told

    reading = [asyncio.create_task(read(limit)) for limit in (1, 5, 1000)]
    await asyncio.gather(*(write(writer) for writer in range(4)))
    writing = False
    # Nothing that waits is decided here, so whoever reads it all at the end reads the same.
    told = await ledger.feed(book, after=Position(), limit=1000)
    assert await asyncio.gather(*reading) == [told] * 3
    assert {each.outcome for each in told} == {
        None,
        GrantOutcome.WAITING,
        GrantOutcome.CAP_REACHED,
        GrantOutcome.BUDGET_EXHAUSTED,
    }


@pytest.mark.parametrize("limit", [1, 4, 1000])
@pytest.mark.parametrize("scanned", [1, 5, 10_000])
async def test_lists_are_newest_first_whatever_their_pages_hold(
    ledger: Ledger, lively: Book, limit: int, scanned: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_log, "SCAN_ROWS_MAX", scanned)
    told = [each async for each in everything(ledger, lively, limit=1000)]
    newest_first = [each.key for each in reversed(told)]
    found = await listed(ledger, lively, limit=limit)
    assert [each.key for each in found] == newest_first
    for outcome in (GrantOutcome.GRANTED, GrantOutcome.WAITING, GrantOutcome.CAP_REACHED):
        narrowed = await listed(ledger, lively, limit=limit, outcomes=[outcome])
        assert narrowed == [each for each in found if each.outcome is outcome]
        assert narrowed


async def test_a_list_of_several_customers_is_one_list(ledger: Ledger, lively: Book) -> None:
    found = await listed(ledger, lively)
    for customers in ([0], [0, 2], [0, 1, 2], [9]):
        of_these = await listed(ledger, lively, customers=customers, limit=7)
        assert of_these == [each for each in found if each.customer in customers]
    waiting = await listed(ledger, lively, customers=[1, 2], outcomes=[GrantOutcome.WAITING], campaign_no=1)
    assert waiting == [each for each in found if each.customer in {1, 2} and each.outcome is GrantOutcome.WAITING]


async def test_what_is_held_back_is_told_by_the_log_and_listed_by_what_became_of_it(ledger: Ledger, book: Book) -> None:
    await ledger.fund(fund(book, 100))
    orders = [order(book, message_id=f"m-{n}", held_back=True, due_at=NOON + timedelta(days=9)) for n in range(3)]
    await ledger.grant_batch(orders)
    await ledger.grant(order(book, message_id="paid"))
    await ledger.grant(order(book, message_id="waits", waits=True))
    await ledger.mature(book, 1, orders[0].key, expires_on=None)
    await ledger.reject(book, 1, orders[1].key)
    told = await ledger.feed(book, after=Position())
    assert [each.verb or each.outcome for each in told] == [
        *[Verb.HOLD_BACK] * 3,
        Verb.GRANT,
        GrantOutcome.WAITING,
        Verb.MATURE,
        Verb.REJECT,
    ]
    assert [(each.message_id, each.points, each.balance_change) for each in told[-2:]] == [("m-0", 5, 5), ("m-1", 5, 0)]
    everywhere = await listed(ledger, book)
    assert [each.message_id for each in everywhere] == ["waits", "paid", "m-2", "m-1", "m-0"]
    for outcomes, messages in (
        ([GrantOutcome.GRANTED], ["paid", "m-0"]),
        ([GrantOutcome.HELD_BACK], ["m-2"]),
        ([GrantOutcome.REJECTED, GrantOutcome.WAITING], ["waits", "m-1"]),
        ([GrantOutcome.CAP_REACHED], []),
    ):
        for customers in ([], [7]):
            found = await listed(ledger, book, outcomes=outcomes, customers=customers, limit=1)
            assert [each.message_id for each in found] == messages


async def test_a_merge_tells_what_each_of_the_two_got(ledger: Ledger, book: Book) -> None:
    await ledger.fund(fund(book, 100))
    await ledger.grant(order(book, customer=8))
    kept = (await ledger.feed(book, after=Position()))[-1].position
    await ledger.merge(book, loser=8, survivor=7)
    told = await ledger.feed(book, after=kept)
    assert [(each.verb, each.customer, each.points, each.balance_change) for each in told] == [
        (Verb.MERGE, 8, 5, -5),
        (Verb.MERGE, 7, 5, 5),
    ]


async def test_places_follow_the_log_whoever_pays_what_waited(
    ledger: Ledger, book: Book, owner: asyncpg.Connection[Any]
) -> None:
    await ledger.fund(fund(book, 60))

    async def report(customer: int, message_id: str) -> None:
        proof = (proof_key(campaign_no=1, message_id=message_id, customer=customer),)
        opened = order(
            book,
            customer=customer,
            message_id=message_id,
            action="open",
            waits=True,
            grade=Grade.D,
            corroboration=Corroboration(proof),
        )
        clicked = order(book, customer=customer, message_id=message_id, corroboration=Corroboration(proof, ((opened.key,),)))
        await asyncio.gather(*(ledger.grant(each) for each in random.sample([opened, clicked], 2)))

    await asyncio.gather(*(report(n % 5, f"m-{n}") for n in range(40)))
    placed = await owner.fetch("SELECT seq FROM ledger.event WHERE place IS NOT NULL ORDER BY place")
    assert [row["seq"] for row in placed] == sorted(row["seq"] for row in placed)
    told = await ledger.feed(book, after=Position(), limit=1000)
    assert sorted(each.key for each in told if each.key) == sorted(
        row["key"] for row in await owner.fetch("SELECT key FROM ledger.event")
    )


async def test_another_brands_book_tells_nothing(ledger: Ledger, lively: Book) -> None:
    foreign = Book(lively.brand_id + 1, lively.book_id)
    assert await ledger.feed(foreign, after=Position()) == []
    assert await ledger.find_events(foreign) == ([], None)
