"""Reports at a cut are exact while others post: on the accounts they read, before, between and after their statements."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ledger import Book, Cut, Ledger, Operation, TrialBalance, month_end, sweep
from ledger.reads import trial_balance
from service.brands.brand import Brand
from service.exports import bundle
from service.exports.book_at_cut import BookAtCut
from service.exports.bundle import ExportFormat
from service.finance import queries
from tests.finance import plain_csv
from tests.finance.conftest import Till

CUSTOMERS = 12
CUTS = 6
"""Reading them takes longer than all the merges and splits, and four of them are read again after two more."""


@pytest.fixture(autouse=True)
def short_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many statements for few accounts."""
    monkeypatch.setattr(trial_balance, "ACCOUNTS_SUMMED", 7)
    monkeypatch.setattr(trial_balance, "ACCOUNTS_READ", 7)
    monkeypatch.setattr(trial_balance, "REDEMPTION_ACCOUNTS_READ", 5)
    monkeypatch.setattr(trial_balance, "LOG_ROWS", 11)


@pytest.fixture
def rounds() -> asyncio.Semaphore:
    """So many rounds tills may begin. Were they quicker than who reads, there would be more to read each time, without end."""
    return asyncio.Semaphore(100)


@pytest.fixture
async def busy(
    till: Till, owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any], rounds: asyncio.Semaphore
) -> AsyncGenerator[Till]:
    """A book in which tills are at work, until the test is over."""
    await till.fund(1_000_000)
    stop = asyncio.Event()
    source = random.Random(7)
    merged: set[int] = set()

    async def redeem(operation: Operation, **step: Any) -> int | None:
        redemption = (await till.ledger.redeem(till.step(operation, **step))).redemption
        return None if redemption is None else redemption.redemption

    async def post() -> None:
        while await rounds.acquire() and not stop.is_set():
            alive = [customer for customer in range(1, CUSTOMERS + 1) if customer not in merged]
            customer = source.choice(alive)
            await till.grant(customer, source.randint(20, 90), source.choice([None, month_end(datetime.now(UTC).date(), 2)]))
            # Any of it may be refused: points run out, and holds time out.
            held = await redeem(Operation.AUTHORIZE, customer=source.choice(alive), points=15, hold_s=600)
            if held is not None and source.random() < 0.7:
                await redeem(Operation.CAPTURE, redemption=held, points=source.choice([0, 5]), final=source.random() < 0.5)
                if source.random() < 0.3:
                    await redeem(Operation.REFUND, redemption=held, points=3)

    async def merge() -> None:
        for loser in range(1, CUSTOMERS // 2):
            merged.add(loser)
            await asyncio.sleep(0.05)
            if stop.is_set():
                return
            # Some survivors are merged themselves later.
            await till.ledger.merge(till.book, loser=loser, survivor=loser + 1)
            if loser % 2 == 0:
                # And some are split off again, with redemptions that went along twice.
                await till.ledger.split(till.book, customer=loser - 1, survivor=loser + 1)
                merged.discard(loser - 1)

    async def expire() -> None:
        while not stop.is_set():
            await owner.execute("UPDATE ledger.head SET clock_offset = clock_offset + interval '3 days'")
            await sweep(worker_pool, till.book, limit=3)
            await asyncio.sleep(0.03)

    async with asyncio.TaskGroup() as others:
        others.create_task(post())
        others.create_task(post())
        others.create_task(merge())
        others.create_task(expire())
        await asyncio.sleep(0.1)
        try:
            yield till
        finally:
            stop.set()
            more(rounds, 2)


def more(rounds: asyncio.Semaphore, count: int) -> None:
    """Let tills begin so many rounds more."""
    for _ in range(count):
        rounds.release()


async def from_the_log(ledger: Ledger, book: Book, cut: Cut) -> list[tuple[bytes, int, int]]:
    """Every account's debits and credits, added up by hand."""
    sums: dict[bytes, list[int]] = {}
    for transfer in await ledger.transfers(book, after=0, cut=cut.seq, limit=1_000_000):
        sums.setdefault(transfer.debit, [0, 0])[0] += transfer.amount
        sums.setdefault(transfer.credit, [0, 0])[1] += transfer.amount
    return [(account, debits, credits) for account, (debits, credits) in sorted(sums.items())]


def sums_of(report: TrialBalance) -> dict[tuple[object, ...], tuple[int, int]]:
    return {
        (line.kind, line.account_class, line.campaign_no, line.expires_on): (line.debits, line.credits) for line in report.lines
    }


async def test_balances_and_trial_balances_at_every_cut_are_what_the_log_adds_up_to(
    busy: Till, rounds: asyncio.Semaphore
) -> None:
    ledger, book = busy.ledger, busy.book
    cuts = [Cut("", 1, datetime.now(UTC))]
    first: dict[int, dict[tuple[object, ...], tuple[int, int]]] = {}
    for _ in range(CUTS):
        cuts.append(await ledger.head(book))
        for cut in cuts[-3:] + cuts[:1]:
            more(rounds, 10)
            accounts = await from_the_log(ledger, book, cut)
            assert await ledger.account_balances(book, cut) == accounts
            paged = [await ledger.account_balances(book, cut, limit=5)]
            while paged[-1]:
                paged.append(await ledger.account_balances(book, cut, after=paged[-1][-1][0], limit=5))
            assert [account for page in paged for account in page] == accounts
            assert all(len(page) == 5 for page in paged[:-2])
            report = await ledger.trial_balance(book, cut)
            assert report.debits == report.credits == sum(debits for _, debits, _ in accounts)
            assert first.setdefault(cut.seq, sums_of(report)) == sums_of(report)


async def test_an_export_is_what_the_log_adds_up_to(
    busy: Till, rounds: asyncio.Semaphore, reader_pool: asyncpg.Pool[Any], brand: Brand, engine: Any, tmp_path: Path
) -> None:
    cut = await busy.ledger.head(busy.book)
    for _ in range(5):
        more(rounds, 40)
        book = BookAtCut(
            log=busy.ledger,
            pool=reader_pool,
            book=brand.book,
            cut=cut,
            brand=brand.code,
            points_code=brand.points_code,
            calendar=brand.calendar,
            campaigns=await queries.campaign_ids(engine, brand.brand_id),
            copied_rows=9,
        )
        manifest = await bundle.write(book, bundle.writers_of([ExportFormat.CSV]), tmp_path)
        assert manifest.balanced
        accounts = await from_the_log(busy.ledger, busy.book, cut)
        assert (tmp_path / "accounts.csv").read_bytes() == plain_csv.accounts(accounts, book.campaigns)
        log = await busy.ledger.transfers(busy.book, after=0, cut=cut.seq, limit=1_000_000)
        assert (tmp_path / "transfers.csv").read_bytes() == plain_csv.transfers(log, book.campaigns)
