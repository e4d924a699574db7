"""A book as of an instant is the same whenever it is asked for, however late what fell due is posted."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from ledger import AsOf, Book, InstantOutcome, Ledger, TrialBalance, Verb, sweep
from ledger.testing import NOON, authorize, fund, order, set_clock
from tests.ledger.conftest import make_book

JANUARY = date(2030, 1, 31)
MIDNIGHT = datetime(2030, 1, 31, 23, tzinfo=UTC)
"""The end of January in Berlin."""


async def reckoned(ledger: Ledger, book: Book, at: datetime) -> AsOf:
    """The book at an instant that there is."""
    found = await ledger.as_of(book, at)
    assert isinstance(found, AsOf)
    return found


def kinds(report: TrialBalance) -> dict[str, int]:
    """What each kind of account has, where it has something."""
    sums: dict[str, int] = {}
    for line in report.lines:
        sums[line.kind] = sums.get(line.kind, 0) + line.balance
    return {kind: balance for kind, balance in sums.items() if balance}


async def january(ledger: Ledger, owner: asyncpg.Connection[Any], book: Book) -> None:
    """Lots that die with the month, a hold and a promise that end before it does, and some that do not."""
    await ledger.fund(fund(book, 1000))
    await ledger.grant(order(book, customer=7, points=100, expires_on=JANUARY))
    await ledger.grant(order(book, customer=7, message_id="2", points=50, expires_on=date(2030, 2, 28)))
    await ledger.grant(order(book, customer=8, points=70, expires_on=JANUARY))
    for number, due in enumerate((MIDNIGHT, MIDNIGHT + timedelta(minutes=2))):
        review = order(book, customer=8, message_id=f"review {number}", points=20, held_back=True, due_at=due)
        await ledger.grant(review)
    await set_clock(owner, book, MIDNIGHT - timedelta(hours=1))
    await ledger.redeem(authorize(book, 7, 30, hold_s=3540))
    await ledger.redeem(authorize(book, 7, 15, hold_s=3720))


POSTED = {"issuance": -1000, "budget": 740, "lot": 175, "held": 45, "pending": 40}
BEFORE = POSTED | {"lot": 205, "held": 15}
AT_MIDNIGHT = {"issuance": -1000, "budget": 760, "lot": 50, "held": 15, "pending": 20, "breakage": 155}


async def test_what_falls_due_at_midnight_counts_whenever_it_is_posted(
    ledger: Ledger, owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any], book: Book
) -> None:
    await january(ledger, owner, book)
    await set_clock(owner, book, MIDNIGHT + timedelta(minutes=5))
    before = await reckoned(ledger, book, MIDNIGHT - timedelta(microseconds=1))
    at_midnight = await reckoned(ledger, book, MIDNIGHT)
    assert before.cut == at_midnight.cut
    said = [await ledger.trial_balance(book, each) for each in (before, at_midnight)]
    assert [kinds(each) for each in said] == [BEFORE, AT_MIDNIGHT]
    accounts = await ledger.account_balances(book, at_midnight)
    assert kinds(await ledger.trial_balance(book, await ledger.head(book))) == POSTED
    while await sweep(worker_pool, book, limit=1):
        async with Ledger(ledger._pool) as afresh:  # pyright: ignore[reportPrivateUsage] - it remembers nothing
            assert [await afresh.trial_balance(book, each) for each in (before, at_midnight)] == said
            assert await afresh.account_balances(book, at_midnight) == accounts
    assert (await ledger.head(book)).seq == at_midnight.cut.seq + 6


async def test_accounts_add_up_to_the_trial_balance_page_by_page(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book
) -> None:
    await january(ledger, owner, book)
    await set_clock(owner, book, MIDNIGHT + timedelta(minutes=5))
    at_midnight = await reckoned(ledger, book, MIDNIGHT)
    report = await ledger.trial_balance(book, at_midnight)
    pages, after = list[tuple[bytes, int, int]](), b""
    while page := await ledger.account_balances(book, at_midnight, after=after, limit=2):
        pages += page
        after = page[-1][0]
    assert pages == await ledger.account_balances(book, at_midnight)
    assert (sum(debits for _, debits, _ in pages), sum(credits_ for _, _, credits_ in pages)) == (report.debits, report.credits)
    assert report.debits == report.credits


async def test_the_log_as_of_an_instant_ends_with_what_fell_due_by_then(
    ledger: Ledger, owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any], book: Book
) -> None:
    await january(ledger, owner, book)
    await set_clock(owner, book, MIDNIGHT + timedelta(minutes=5))
    at_midnight = await reckoned(ledger, book, MIDNIGHT)
    await ledger.fund(fund(book, 1))
    while await sweep(worker_pool, book):
        pass
    log = await ledger.transfers_as_of(book, at_midnight, after=0)
    late = [(transfer.verb, transfer.amount) for transfer in log[at_midnight.cut.seq :]]
    assert sorted(late) == [(Verb.REJECT, 20), (Verb.EXPIRE, 70), (Verb.EXPIRE, 85), (Verb.TIME_OUT, 30)]
    assert [transfer.seq for transfer in log[: at_midnight.cut.seq]] == list(range(1, at_midnight.cut.seq + 1))
    assert await ledger.transfers_as_of(book, at_midnight, after=log[-3].seq, limit=1) == log[-2:-1]


async def test_nothing_is_posted_at_an_instant_that_was_asked_for(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book
) -> None:
    await ledger.fund(fund(book, 10))
    later = NOON + timedelta(days=1)
    await set_clock(owner, book, later)
    now = await reckoned(ledger, book, later)
    await ledger.fund(fund(book, 5))
    assert await reckoned(ledger, book, later) == now
    assert (now.cut.seq, now.cut.posted_at, now.day) == (1, NOON, later.date())
    (transfer,) = await ledger.transfers(book, after=1, cut=2)
    assert transfer.posted_at > later


@pytest.mark.parametrize("transfers", [1, 2, 3, 7, 8])
async def test_an_instant_is_found_between_any_two_transfers(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book, transfers: int
) -> None:
    for number in range(transfers):
        await set_clock(owner, book, NOON + timedelta(hours=number))
        await ledger.fund(fund(book, 1))
    await set_clock(owner, book, NOON + timedelta(days=1))
    for number in range(transfers):
        for minutes in (0, 30):
            found = await reckoned(ledger, book, NOON + timedelta(hours=number, minutes=minutes))
            assert found.cut.seq == number + 1


async def test_there_is_no_instant_before_the_book_or_in_its_future(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book
) -> None:
    assert await ledger.as_of(book, NOON) is InstantOutcome.BEFORE_BOOK
    await set_clock(owner, book, NOON + timedelta(hours=1))
    await ledger.fund(fund(book, 1))
    assert await ledger.as_of(book, NOON) is InstantOutcome.BEFORE_BOOK
    assert await ledger.as_of(book, NOON + timedelta(hours=2)) is InstantOutcome.IN_FUTURE
    assert (await ledger.head(book)).posted_at == NOON + timedelta(hours=1)
    other = await make_book(owner, brand_id=2)
    assert await ledger.as_of(other, NOON) is InstantOutcome.BEFORE_BOOK
