"""Reading the log on: in stretches of any length, by several at once, again from the beginning."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from typing import Any

import asyncpg
import pytest

from ledger import Book, Kind, Ledger, Opening, Transfer, audit, clear_layers, import_balances, track_layers
from ledger.layers import tracking
from ledger.layers.folding import LAYERED, kind_of
from ledger.testing import NOON, authorize, capture, fund, order, refund, set_clock, void
from tests.ledger.conftest import assert_books_are_sound
from tests.ledger.layers.whole_log import fold_whole_log

ADA, BOB = 7, 8
SOON, LATER = date(2030, 1, 31), date(2030, 3, 31)
KEPT = {
    "layer_reader": "SELECT * FROM ledger.layer_reader ORDER BY book_id",
    "transfer_layer": "SELECT * FROM ledger.transfer_layer ORDER BY book_id, seq, layer",
    "lot_layers": "SELECT * FROM ledger.lot_layers ORDER BY book_id, lot",
    "daily_movement": "SELECT * FROM ledger.daily_movement ORDER BY book_id, day, issued_in, campaign_no, verb, debit, credit",
}


async def live(ledger: Ledger, owner: asyncpg.Connection[Any], book: Book) -> None:
    """Everything that moves layers happens, some of it often."""
    await ledger.fund(fund(book, 100_000))
    for customer in (ADA, BOB):
        for place in range(60):
            grant = order(
                book, customer=customer, message_id=f"{place}", points=3 + place % 5, expires_on=(SOON, LATER)[place % 2]
            )
            await ledger.grant(grant)
    opened = [Opening(ADA, 50, None)]
    await import_balances(owner, book, opened, hashes=[bytes(32)], rows=1, points=50)
    for customer in (ADA, BOB):
        await _redeem_in_steps(ledger, book, customer)
    await ledger.merge(book, loser=ADA, survivor=BOB)
    await _redeem_in_steps(ledger, book, BOB)
    await ledger.split(book, customer=ADA, survivor=BOB)
    await set_clock(owner, book, NOON.replace(month=2))
    for customer in (ADA, BOB):
        await _redeem_in_steps(ledger, book, customer)


async def _redeem_in_steps(ledger: Ledger, book: Book, customer: int) -> None:
    for points in (5, 40, 12):
        begun = (await ledger.redeem(authorize(book, customer, points))).redemption
        assert begun
        number = begun.redemption
        await ledger.redeem(capture(book, number, points // 2, final=points > 10))
        await ledger.redeem(refund(book, number, 1))
        await ledger.redeem(void(book, number))


async def kept(owner: asyncpg.Connection[Any]) -> list[list[tuple[Any, ...]]]:
    """All that is kept of layers."""
    return [[tuple(row) for row in await owner.fetch(statement)] for statement in KEPT.values()]


async def open_layers(owner: asyncpg.Connection[Any], log: Sequence[Transfer]) -> dict[bytes, list[tuple[int, int]]]:
    """What is left of the layers of every lot: what is kept of them, and what has come in since."""
    rows = {row["lot"]: row for row in await owner.fetch(KEPT["lot_layers"])}
    lots = defaultdict[bytes, list[tuple[int, int]]](list)
    for lot, row in rows.items():
        lots[lot] = [*zip(row["layers"], row["amounts"], strict=True)]
    for transfer in log:
        if kind_of(transfer.credit) == Kind.LOT and kind_of(transfer.debit) not in LAYERED:
            lot = transfer.credit
            if lot not in rows or transfer.seq > rows[lot]["entered"]:
                lots[lot].append((transfer.seq, transfer.amount))
    return {lot: sorted(pieces) for lot, pieces in lots.items() if pieces}


async def assert_says_what_the_whole_log_says(ledger: Ledger, owner: asyncpg.Connection[Any], book: Book) -> None:
    head = await ledger.head(book)
    log = await ledger.transfers(book, after=0, cut=head.seq)
    parts, accounts = fold_whole_log(log)
    rows = await owner.fetch("SELECT seq, layer, amount FROM ledger.transfer_layer ORDER BY seq, layer")
    assert [tuple(row) for row in rows] == sorted((part.seq, part.layer, part.amount) for part in parts)
    lots = {account: pieces for account, pieces in accounts.items() if kind_of(account) == Kind.LOT and pieces}
    assert await open_layers(owner, log) == lots
    assert await owner.fetchval("SELECT seq FROM ledger.layer_reader") == head.seq
    assert await owner.fetchval("SELECT daily_seq FROM ledger.layer_reader") == head.seq
    (days,) = [finding for finding in await audit(owner, book) if finding.invariant == "daily_movements_equal_the_log"]
    assert days.checked > 0
    assert days.violations == 0


async def read_all(pool: asyncpg.Pool[Any], book: Book, moves: int = tracking.MOVES_AT_ONCE) -> None:
    while await track_layers(pool, book, moves=moves):
        pass


async def test_what_is_kept_is_what_the_whole_log_says(
    ledger: Ledger, owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any], book: Book
) -> None:
    await live(ledger, owner, book)
    await read_all(worker_pool, book)
    await assert_says_what_the_whole_log_says(ledger, owner, book)
    assert await owner.fetchval("SELECT count(*) FROM ledger.transfer_layer") > 100


@pytest.mark.parametrize(("moves", "transfers"), [(1, 50_000), (7, 50_000), (500, 1), (3, 10)])
async def test_it_does_not_matter_how_long_the_stretches_are(
    ledger: Ledger,
    owner: asyncpg.Connection[Any],
    worker_pool: asyncpg.Pool[Any],
    book: Book,
    monkeypatch: pytest.MonkeyPatch,
    moves: int,
    transfers: int,
) -> None:
    await live(ledger, owner, book)
    await read_all(worker_pool, book)
    monkeypatch.setattr(tracking, "TRANSFERS_AT_ONCE", transfers)
    monkeypatch.setattr(tracking, "ADDED_AT_ONCE", moves)
    monkeypatch.setattr(tracking, "ROWS_CLEARED_AT_ONCE", 10)
    while await clear_layers(worker_pool, book):
        pass
    assert [len(rows) for rows in await kept(owner)] == [1, 0, 0, 0]
    await read_all(worker_pool, book, moves)
    await assert_says_what_the_whole_log_says(ledger, owner, book)


async def test_several_that_read_at_once_keep_everything_once(
    ledger: Ledger, owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any], book: Book
) -> None:
    await live(ledger, owner, book)
    await asyncio.gather(*(read_all(worker_pool, book, moves) for moves in (3, 5, 8)))
    await assert_says_what_the_whole_log_says(ledger, owner, book)


async def test_a_stretch_that_somebody_else_has_read_changes_nothing(
    ledger: Ledger, owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any], book: Book
) -> None:
    await live(ledger, owner, book)
    await read_all(worker_pool, book)
    before = await kept(owner)
    assert not await worker_pool.fetchval(
        "SELECT ledger.keep_layers_v1($1, $2, 0, 5, '{4}', '{2}', '{1}', '{4}', '{}', '{}', '{}', '{}', '{}')",
        book.brand_id,
        book.book_id,
    )
    assert await kept(owner) == before


async def test_a_stretch_is_kept_whole_or_not_at_all(
    ledger: Ledger, owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any], book: Book
) -> None:
    await live(ledger, owner, book)
    await track_layers(worker_pool, book, moves=20)
    before = await kept(owner)
    ((_, read, *_),) = before[0]
    # The last of what is written is not a lot's: there is one layer and no amount.
    with pytest.raises(asyncpg.CheckViolationError):
        await worker_pool.fetchval(
            "SELECT ledger.keep_layers_v1($1, $2, $3, $4, '{9}', '{2}', '{1}', '{9}', '{x}', '{1}', '{1}', '{2}', '{}')",
            book.brand_id,
            book.book_id,
            read,
            read + 1,
        )
    assert await kept(owner) == before


@pytest.mark.parametrize(
    "call",
    [
        "SELECT ledger.keep_layers_v1(2, $1, 0, 0, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}')",
        "SELECT ledger.keep_layers_v1(1, $1, 0, 99, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}')",
        "SELECT ledger.clear_layers_v1(2, $1, 10)",
        "SELECT ledger.keep_movements_v1(2, $1, 10)",
    ],
)
async def test_another_brands_book_is_refused_and_so_is_what_is_behind_its_end(
    worker_pool: asyncpg.Pool[Any], book: Book, call: str
) -> None:
    with pytest.raises(asyncpg.PostgresError) as refused:
        await worker_pool.fetchval(call, book.book_id)
    assert refused.value.sqlstate == "RW001"


async def test_a_rebuild_that_is_interrupted_is_finished_by_the_next_reader(
    ledger: Ledger,
    owner: asyncpg.Connection[Any],
    worker_pool: asyncpg.Pool[Any],
    book: Book,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await live(ledger, owner, book)
    await read_all(worker_pool, book)
    before = await kept(owner)
    monkeypatch.setattr(tracking, "ROWS_CLEARED_AT_ONCE", 10)
    assert await clear_layers(worker_pool, book)
    await assert_books_are_sound(owner)
    assert await kept(owner) == before


async def test_grants_that_nobody_spends_leave_nothing_behind(
    ledger: Ledger, owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any], book: Book
) -> None:
    await ledger.fund(fund(book, 1000))
    for place in range(20):
        await ledger.grant(order(book, customer=ADA, message_id=f"{place}", points=5))
    await read_all(worker_pool, book)
    reader, parts, lots, days = await kept(owner)
    assert (reader, parts, lots, len(days)) == ([(book.book_id, 21, False, 21)], [], [], 1)
