"""A closed period says the same for ever, whenever it was closed and however late what fell due in it was posted."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from ledger import Book, Close, CloseOutcome, CloseState, CloseTotals, Kind, Ledger, describe_account, sweep
from ledger.engine import closing
from ledger.testing import NOON, authorize, fund, order, set_clock
from tests.ledger.conftest import make_book

JANUARY = date(2030, 1, 31)
MIDNIGHT = datetime(2030, 1, 31, 23, tzinfo=UTC)
"""The end of January in Berlin."""
MONTH = (date(2030, 1, 1), JANUARY)
CLOSED = CloseOutcome.CLOSED


async def january(ledger: Ledger, owner: asyncpg.Connection[Any], book: Book) -> None:
    """Lots that die with the month, a hold and a promise that end before it does, and some that end with it or after."""
    await ledger.fund(fund(book, 1000))
    await ledger.grant(order(book, customer=7, points=100, expires_on=JANUARY))
    await ledger.grant(order(book, customer=7, message_id="2", points=50, expires_on=date(2030, 2, 28)))
    await ledger.grant(order(book, customer=8, points=70, expires_on=JANUARY))
    for number, due in enumerate((MIDNIGHT - timedelta(minutes=1), MIDNIGHT)):
        await ledger.grant(order(book, customer=8, message_id=f"r{number}", points=20, held_back=True, due_at=due))
    await set_clock(owner, book, MIDNIGHT - timedelta(hours=1))
    await ledger.redeem(authorize(book, 7, 30, hold_s=3540))
    await ledger.redeem(authorize(book, 7, 15, hold_s=3600))


async def begun(ledger: Ledger, book: Book, period: tuple[date, date] = MONTH) -> tuple[CloseOutcome, date | None]:
    """Ask for a period to be closed."""
    return await ledger.begin_close(book, begins_on=period[0], ends_on=period[1])


async def closed(ledger: Ledger, book: Book, period: tuple[date, date] = MONTH) -> Close:
    """Close a period, and do all that can be done."""
    outcome, _ = await begun(ledger, book, period)
    assert outcome is CLOSED
    return await advanced(ledger, book, period[1])


async def advanced(ledger: Ledger, book: Book, ends_on: date) -> Close:
    """A close, as far as it can come now."""
    before, close = None, await ledger.close(book, ends_on)
    while close != before:
        assert close is not None
        before, close = close, await ledger.advance_close(book, close)
    assert close is not None
    return close


async def swept(worker_pool: asyncpg.Pool[Any], book: Book) -> None:
    """Post all that is due."""
    while await sweep(worker_pool, book):
        pass


def totals_of(close: Close) -> CloseTotals:
    assert close.totals is not None
    return close.totals


async def test_a_month_closes_to_the_same_bytes_at_once_at_noon_and_a_week_later(
    ledger: Ledger, owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any], book: Book
) -> None:
    books = [book, *[await make_book(owner, brand_id=brand_id) for brand_id in (2, 3)]]
    for each in books:
        await january(ledger, owner, each)
    said: list[tuple[CloseTotals, list[tuple[bytes, int]], int]] = []
    for each, late, is_swept in zip(books, (minutes(5), timedelta(hours=12), timedelta(days=7)), (0, 1, 1), strict=True):
        await set_clock(owner, each, MIDNIGHT + late)
        if is_swept:
            await ledger.grant(order(each, customer=9, message_id="late", points=5))
            await swept(worker_pool, each)
        close = await closed(ledger, each)
        assert close.state is (CloseState.SETTLED if is_swept else CloseState.CLOSED)
        said.append((totals_of(close), await ledger.close_balances(each, close), close.cut.seq))
    assert said[0] == said[1] == said[2]
    by_kind = {Kind.LOT: 50, Kind.PENDING: 20, Kind.HELD: 15, Kind.BREAKAGE: 155, Kind.BUDGET: 760, Kind.ISSUANCE: -1000}
    found = dict.fromkeys(by_kind, 0)
    for account, balance in said[0][1]:
        found[describe_account(account).kind] += balance
    assert found == by_kind
    assert (said[0][0].accounts, said[0][0].customers) == (6, 2)


def minutes(number: int) -> timedelta:
    return timedelta(minutes=number)


async def test_a_close_is_settled_by_the_posting_of_what_it_reckoned(
    ledger: Ledger, owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any], book: Book
) -> None:
    await january(ledger, owner, book)
    await set_clock(owner, book, MIDNIGHT + minutes(5))
    first = await closed(ledger, book)
    assert (first.state, first.settled_seq, first.cut.seq) == (CloseState.CLOSED, None, 8)
    assert [close.ends_on for close in await ledger.unsettled_closes(book)] == [JANUARY]
    await swept(worker_pool, book)
    settled = await advanced(ledger, book, JANUARY)
    assert (settled.state, settled.totals) == (CloseState.SETTLED, first.totals)
    late = await ledger.transfers(book, after=8, cut=100)
    in_january = [transfer.seq for transfer in late if transfer.accounting_date <= JANUARY]
    assert settled.settled_seq == max(in_january)
    assert len(in_january) == 4
    assert await ledger.unsettled_closes(book) == []
    # The next month begins where this one ends, also for what fell due at the very midnight.
    await set_clock(owner, book, datetime(2030, 2, 28, 23, tzinfo=UTC))
    await swept(worker_pool, book)
    february = await closed(ledger, book, (date(2030, 2, 1), date(2030, 2, 28)))
    assert february.state is CloseState.SETTLED


async def test_what_nothing_is_due_in_is_settled_at_once(ledger: Ledger, owner: asyncpg.Connection[Any], book: Book) -> None:
    await ledger.fund(fund(book, 10))
    await set_clock(owner, book, NOON + timedelta(days=1))
    day = await ledger.begin_close(book, begins_on=NOON.date(), ends_on=NOON.date())
    assert day == (CLOSED, NOON.date() + timedelta(days=1))
    close = await advanced(ledger, book, NOON.date())
    assert close.state is CloseState.CLOSED  # nobody has looked for dead lots yet


async def test_nothing_can_be_posted_in_a_closed_period(ledger: Ledger, owner: asyncpg.Connection[Any], book: Book) -> None:
    await january(ledger, owner, book)
    await set_clock(owner, book, MIDNIGHT)
    close = await closed(ledger, book)
    await ledger.fund(fund(book, 1))
    (transfer,) = await ledger.transfers(book, after=close.cut.seq, cut=100)
    assert transfer.posted_at >= MIDNIGHT
    assert close.ends_at == MIDNIGHT


DAY = timedelta(days=1)
FIRST = NOON.date()
REFUSALS = [  # in order of precedence, after the 15th was closed on the 17th at noon
    ((FIRST, FIRST), CloseOutcome.CLOSED_BEFORE),
    ((FIRST + 5 * DAY, FIRST + 5 * DAY), CloseOutcome.NOT_OVER),
    ((FIRST + 2 * DAY, FIRST + 2 * DAY), CloseOutcome.NOT_OVER),
    ((date(2030, 1, 1), JANUARY), CloseOutcome.NOT_OVER),
    ((FIRST - DAY, FIRST - DAY), CloseOutcome.OUT_OF_ORDER),
    ((date(2029, 12, 1), date(2029, 12, 31)), CloseOutcome.OUT_OF_ORDER),
    ((FIRST + DAY, FIRST + DAY), CLOSED),
]


@pytest.mark.parametrize(("period", "outcome"), REFUSALS)
async def test_periods_are_closed_in_order(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book, period: tuple[date, date], outcome: CloseOutcome
) -> None:
    await ledger.fund(fund(book, 10))
    await set_clock(owner, book, NOON + 2 * DAY)
    assert await ledger.begin_close(book, begins_on=FIRST, ends_on=FIRST) == (CLOSED, FIRST + DAY)
    found, begins_on = await ledger.begin_close(book, begins_on=period[0], ends_on=period[1])
    assert (found, begins_on) == (outcome, FIRST + (2 if outcome is CLOSED else 1) * DAY)


async def test_the_first_period_is_not_before_the_book(ledger: Ledger, owner: asyncpg.Connection[Any], book: Book) -> None:
    day = FIRST - DAY
    assert await ledger.begin_close(book, begins_on=day, ends_on=day) == (CloseOutcome.BEFORE_BOOK, None)
    await ledger.fund(fund(book, 10))
    assert await ledger.begin_close(book, begins_on=day, ends_on=day) == (CloseOutcome.BEFORE_BOOK, None)
    assert await ledger.closes(book) == []


async def test_storing_goes_on_where_it_was_stopped(
    ledger: Ledger, owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any], book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    await january(ledger, owner, book)
    await set_clock(owner, book, MIDNIGHT + minutes(5))
    outcome, _ = await begun(ledger, book)
    assert outcome is CLOSED
    monkeypatch.setattr(closing, "ACCOUNTS_STORED", 1)
    monkeypatch.setattr(closing, "PAGES_AT_ONCE", 2)
    close = await ledger.close(book, JANUARY)
    steps = 0
    while close is not None and close.state is CloseState.STORING:
        async with Ledger(worker_pool) as another:  # another process, which knows nothing
            assert await ledger.advance_close(book, close) == await another.advance_close(book, close)
        close, steps = await ledger.close(book, JANUARY), steps + 1
        if steps == 2:
            await swept(worker_pool, book)
    assert steps > 3
    assert close is not None
    stored = await ledger.close_balances(book, close)
    at_midnight = await ledger.account_balances(book, close.as_of)
    assert stored == [(account, credits_ - debits) for account, debits, credits_ in at_midnight if debits != credits_]
    assert await ledger.close_balances(book, close, after=stored[1][0], limit=2) == stored[2:4]


async def test_a_book_of_another_brand_is_neither_closed_nor_asked_for_an_instant(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book
) -> None:
    await january(ledger, owner, book)
    await set_clock(owner, book, MIDNIGHT + minutes(5))
    await begun(ledger, book)
    (close,) = await ledger.closes(book)
    stranger = Book(brand_id=2, book_id=book.book_id)
    february = (date(2030, 2, 1), date(2030, 2, 1))
    for refused in (
        begun(ledger, stranger, february),
        ledger.advance_close(stranger, close),
        ledger.as_of(stranger, MIDNIGHT),
        ledger.as_of(stranger, MIDNIGHT + minutes(5)),
    ):
        with pytest.raises(asyncpg.PostgresError) as caught:
            await refused
        assert caught.value.sqlstate == "RW001"
    assert await ledger.closes(stranger) == []
    assert await ledger.closes(book) == [close]
