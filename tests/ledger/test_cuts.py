"""Reports of a book take a cut: what was posted up to it, whatever has been posted since."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import asyncpg

from ledger import (
    AccountClass,
    Book,
    Cut,
    Kind,
    Ledger,
    Opening,
    OwnerTag,
    RedemptionOutcome,
    TrialBalance,
    Verb,
    account_id,
    describe_account,
    import_balances,
    sweep,
)
from ledger.chart import owner as owner_of
from ledger.testing import NOON, authorize, capture, fund, order, refund, set_clock
from tests.ledger.conftest import make_book

SOON = date(2030, 1, 31)


async def live(ledger: Ledger, owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any], book: Book) -> list[Cut]:
    """Let things happen in a book; return a cut of it after each."""
    cuts = [await ledger.head(book)]

    async def then(awaitable: Any) -> Any:
        result = await awaitable
        cuts.append(await ledger.head(book))
        return result

    await then(ledger.fund(fund(book, 1000)))
    await then(
        ledger.grant_batch(
            [
                order(book, customer=7, message_id="a", points=100, expires_on=SOON),
                order(book, customer=7, message_id="b", points=10),
                order(book, customer=8, message_id="a", points=50, expires_on=SOON),
                order(book, customer=9, message_id="a", points=3, campaign_no=2, unlimited=True),
            ]
        )
    )
    held = await then(ledger.redeem(authorize(book, 7, 105)))
    await then(ledger.redeem(capture(book, held.redemption.redemption, 102)))
    await then(ledger.redeem(refund(book, held.redemption.redemption, 4)))
    await set_clock(owner, book, NOON + timedelta(days=30))
    while await then(sweep(worker_pool, book)):
        pass
    return cuts


def lines(report: TrialBalance) -> dict[tuple[str, int | None, date | None], int]:
    """Balances by kind, campaign and last day."""
    return {(line.kind, line.campaign_no, line.expires_on): line.balance for line in report.lines}


async def test_a_trial_balance_has_a_line_for_each_class_of_what_was_brought_in(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book
) -> None:
    openings = [Opening(customer, 10 * customer, None, each) for customer, each in enumerate(AccountClass, 1)]
    await import_balances(owner, book, openings, hashes=[bytes(32)], rows=3, points=60)
    report = await ledger.trial_balance(book, await ledger.head(book))
    classes = [each.name.lower() for each in AccountClass]
    assert {(line.kind, line.account_class): line.balance for line in report.lines} == {
        **{("lot", each): 10 * place for place, each in enumerate(classes, 1)},
        **{("opening", each): -10 * place for place, each in enumerate(classes, 1)},
    }


async def test_a_trial_balance_sums_by_kind_campaign_and_last_day(
    ledger: Ledger, owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any], book: Book
) -> None:
    cuts = await live(ledger, owner, worker_pool, book)
    after_grants = await ledger.trial_balance(book, cuts[2])
    assert lines(after_grants) == {
        ("issuance", None, None): -1000,
        ("budget", 1, None): 840,
        ("unlimited_budget", 2, None): -3,
        ("lot", None, SOON): 150,
        ("lot", None, None): 13,
    }
    in_the_end = await ledger.trial_balance(book, cuts[-1])
    assert lines(in_the_end) == {
        ("issuance", None, None): -1000,
        ("budget", 1, None): 840,
        ("unlimited_budget", 2, None): -3,
        ("lot", None, SOON): 0,
        ("lot", None, None): 13,
        ("held", None, SOON): 0,
        ("held", None, None): 0,
        ("spent", None, SOON): 98,
        ("spent", None, None): 0,
        ("breakage", None, None): 52,
    }


async def test_debits_equal_credits_at_every_cut_and_a_cut_never_changes(
    ledger: Ledger, owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any], book: Book
) -> None:
    cuts = await live(ledger, owner, worker_pool, book)
    for cut in cuts:
        report = await ledger.trial_balance(book, cut)
        assert report.debits == report.credits
        assert await from_the_log(ledger, book, cut) == {
            account: (debits, credits)
            for account, debits, credits in await ledger.account_balances(book, cut)
            if debits or credits
        }
        assert report.debits == sum(line.debits for line in report.lines)
        assert report.credits == sum(credits for _, credits in (await from_the_log(ledger, book, cut)).values())


async def from_the_log(ledger: Ledger, book: Book, cut: Cut) -> dict[bytes, tuple[int, int]]:
    """Every account's debits and credits, added up by hand."""
    sums: dict[bytes, tuple[int, int]] = {}
    for transfer in await ledger.transfers(book, after=0, cut=cut.seq):
        debits, credits = sums.get(transfer.debit, (0, 0))
        sums[transfer.debit] = debits + transfer.amount, credits
        debits, credits = sums.get(transfer.credit, (0, 0))
        sums[transfer.credit] = debits, credits + transfer.amount
    return sums


async def test_the_log_and_the_accounts_are_read_page_by_page(
    ledger: Ledger, owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any], book: Book
) -> None:
    cut = (await live(ledger, owner, worker_pool, book))[-2]
    log = await ledger.transfers(book, after=0, cut=cut.seq)
    assert [transfer.seq for transfer in log] == list(range(1, cut.seq + 1))
    paged = [await ledger.transfers(book, after=after, cut=cut.seq, limit=4) for after in range(0, cut.seq, 4)]
    assert [transfer for page in paged for transfer in page] == log

    accounts = await ledger.account_balances(book, cut)
    assert [account for account, _, _ in accounts] == sorted(account for account, _, _ in accounts)
    page, seen = await ledger.account_balances(book, cut, limit=3), list[tuple[bytes, int, int]]()
    while page:
        seen += page
        page = await ledger.account_balances(book, cut, after=page[-1][0], limit=3)
    assert seen == accounts


async def test_a_transfer_says_who_what_and_why(ledger: Ledger, book: Book) -> None:
    await ledger.fund(fund(book, 1000))
    granted = order(book, customer=7, points=100, at=NOON - timedelta(hours=3))
    await ledger.grant(granted)
    funding, grant = await ledger.transfers(book, after=0, cut=2)
    assert (funding.verb, funding.amount, funding.customer, funding.campaign_no) == (Verb.FUND, 1000, None, 1)
    assert (grant.verb, grant.amount, grant.customer, grant.campaign_no) == (Verb.GRANT, 100, 7, 1)
    assert (grant.event_key, grant.occurred_at, grant.posted_at) == (granted.key, NOON - timedelta(hours=3), NOON)
    assert describe_account(grant.debit) == describe_account(funding.credit)
    assert describe_account(grant.credit).number == 7


async def test_a_kept_cut_is_the_same_whenever_it_is_asked_for(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book
) -> None:
    await ledger.fund(fund(book, 1000))
    cut, made = await ledger.take_cut(book, "january")
    assert (cut, made) == (Cut("january", 1, NOON), True)
    await ledger.grant(order(book))
    assert await ledger.take_cut(book, "january") == (cut, False)
    assert await ledger.cut_named(book, "january") == cut
    assert await ledger.cut_named(book, "february") is None
    other = await make_book(owner, brand_id=2)
    assert await ledger.take_cut(other, "january") == (Cut("january", 0, NOON), True)


async def test_what_is_posted_after_a_cut_is_not_dated_before_it(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book
) -> None:
    later = NOON + timedelta(days=3)
    await set_clock(owner, book, later)
    cut, _ = await ledger.take_cut(book, "late")
    # A clock that falls back: the book's time does not.
    await owner.execute("UPDATE ledger.head SET clock_offset = clock_offset - interval '1 second'")
    await ledger.fund(fund(book, 5))
    (transfer,) = await ledger.transfers(book, after=cut.seq, cut=1)
    assert transfer.posted_at >= cut.posted_at


async def test_nothing_is_read_of_redemptions_after_a_cut(ledger: Ledger, book: Book) -> None:
    await ledger.fund(fund(book, 1000))
    await ledger.grant(order(book, customer=7, points=100))
    held = await ledger.redeem(authorize(book, 7, 10))
    cut = await ledger.head(book)
    then = await ledger.account_balances(book, cut)
    assert held.redemption
    later = [await ledger.redeem(step) for step in (capture(book, held.redemption.redemption), authorize(book, 7, 20))]
    assert [result.outcome for result in later] == [RedemptionOutcome.DONE] * 2

    ranges = [part async for part in ledger.account_ranges(book, cut, accounts=100)]
    assert ranges[-1].until == owner_of(OwnerTag.REDEMPTION, cut.seq + 1)
    assert await ledger.account_balances(book, cut) == then
    assert account_id(OwnerTag.REDEMPTION, held.redemption.redemption, Kind.HELD) in {account for account, *_ in then}


async def test_a_transfer_is_the_same_however_it_is_found(
    ledger: Ledger, owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any], book: Book
) -> None:
    last = (await live(ledger, owner, worker_pool, book))[-1].seq
    of_book, any_other = (book.book_id, book.brand_id), (None,) * 10
    found = {
        "transfers": (*of_book, 0, last, last),
        "transfers_numbered": (*of_book, list(range(1, last + 1))),
        "find_transfers": (*of_book, 0, last, last, *any_other),
    }
    statements = {name: (Path("ledger/reads/sql") / f"{name}.sql").read_text() for name in found}
    log, *others = [[dict(row) for row in await owner.fetch(statements[name], *asked)] for name, asked in found.items()]
    assert len(log) == last
    assert others == [log, log]
    assert {Verb(row["verb"]) for row in log} >= {Verb.GRANT, Verb.CAPTURE, Verb.REFUND, Verb.EXPIRE}
