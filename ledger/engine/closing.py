"""Closing a period: what the book was at the midnight after it, kept for ever.

    begin     under the book's lock: which transfers are in the period. From then on nothing can be posted in it
    store     after it, a page of accounts at a time, under no lock of the book: balances, and at the end totals and digests
    settle    once all that was reckoned is in the log: up to which transfer

A period is over at the first instant of the day after it, in the zone of the book. In it is what was posted before that
instant, and what fell due on its last day or before, whenever that is posted: see ``reads/as_of.py``. So the same is stored
whether a period is closed five minutes after its end or a week later.

``advance`` does what comes next, a little at a time, and can be stopped anywhere: how far a close has come is in its row. Two
that advance the same close do not disturb each other.

The digests are SHA-256, in the order of the ids and big-endian: of 32 bytes for each line of the trial balance (its id, debits
and credits), and of 24 for each account that has a balance (its id and balance).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import asyncpg

from ledger import chart
from ledger.books import head
from ledger.chart import OwnerTag
from ledger.read_models import Close, CloseOutcome, CloseState
from ledger.reads import closes
from ledger.reads.as_of import LOG_ROWS, Reckoner
from ledger.types import Book

ACCOUNTS_STORED = 5_000
"""How many accounts one page reads and stores."""
PAGES_AT_ONCE = 10

_ALL = b"\xff" * 16
_BALANCES_READ = 50_000

_BEGIN = "SELECT outcome, next_begins_on FROM ledger.begin_close_v1($1, $2, $3, $4, $5, $6)"
_STORE = "SELECT ledger.store_close_v1($1, $2, $3, $4, $5, $6, $7, $8)"
_FINISH = "SELECT ledger.finish_close_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
_SETTLE = "SELECT ledger.settle_close_v1($1, $2, $3, $4, $5)"
_IS_SETTLED = "SELECT ledger.is_settled_v1($1, $2, $3)"
_FELL_DUE = """
SELECT max(seq) AS last, coalesce(sum(amount), 0)::bigint AS points FROM ledger.fell_due_v1($1, $2, $3, $4, $5, $6)
"""


async def begin(
    pool: asyncpg.Pool[Any], book: Book, *, begins_on: date, ends_on: date, asks: bool = False
) -> tuple[CloseOutcome, date | None]:
    """Close the period from one day to another. Also says on which day the next one begins; ``None`` if none was closed.

    ``asks`` only says what would be decided.
    """
    row = await pool.fetchrow(_BEGIN, book.brand_id, book.book_id, datetime.now(UTC), begins_on, ends_on, asks)
    assert row is not None
    return CloseOutcome(row["outcome"]), row["next_begins_on"]


async def advance(pool: asyncpg.Pool[Any], reckoner: Reckoner, book: Book, close: Close) -> Close:
    """Do what comes next for a close, and return it as it is then: unchanged if there is nothing to do yet."""
    match close.state:
        case CloseState.STORING:
            await _store(pool, reckoner, book, close)
        case CloseState.CLOSED:
            await _settle(pool, reckoner, book, close)
        case CloseState.SETTLED:
            pass
    return await closes.close(pool, book, close.ends_on) or close


async def _store(pool: asyncpg.Pool[Any], reckoner: Reckoner, book: Book, close: Close) -> None:
    after = close.stored_through
    for _ in range(PAGES_AT_ONCE):
        if after == _ALL:
            await _finish(pool, reckoner, book, close)
            return
        page = await reckoner.account_balances(book, close.as_of, after=after, limit=ACCOUNTS_STORED)
        through = page[-1][0] if len(page) == ACCOUNTS_STORED else _ALL
        balances = [(account, credits_ - debits) for account, debits, credits_ in page if credits_ != debits]
        accounts, amounts = [account for account, _ in balances], [balance for _, balance in balances]
        if not await pool.fetchval(_STORE, *_key(book, close), after, through, accounts, amounts):
            return
        after = through


async def _finish(pool: asyncpg.Pool[Any], reckoner: Reckoner, book: Book, close: Close) -> None:
    lines = {line: sums for line, sums in sorted((await reckoner.line_sums(book, close.as_of)).items()) if any(sums)}
    accounts, customers, balances_digest = await _read_back(pool, book, close)
    debits, credits_ = [sums[0] for sums in lines.values()], [sums[1] for sums in lines.values()]
    totals = (list(lines), debits, credits_, accounts, customers, _lines_digest(lines), balances_digest)
    await pool.fetchval(_FINISH, *_key(book, close), *totals)


def _lines_digest(lines: Mapping[bytes, tuple[int, int]]) -> bytes:
    """The digest of the lines of a trial balance, which are sorted."""
    digest = hashlib.sha256()
    for line, (debits, credits_) in lines.items():
        digest.update(line + debits.to_bytes(8, "big") + credits_.to_bytes(8, "big"))
    return digest.digest()


async def _read_back(pool: asyncpg.Pool[Any], book: Book, close: Close) -> tuple[int, int, bytes]:
    """How many balances are stored, of how many customers, and their digest."""
    digest, accounts, customers, last, after = hashlib.sha256(), 0, 0, b"", b""
    while page := await closes.close_balances(pool, book, close, after=after, limit=_BALANCES_READ):
        digest.update(b"".join([account + balance.to_bytes(8, "big", signed=True) for account, balance in page]))
        accounts += len(page)
        owners = dict.fromkeys(account[: chart.OWNER_BYTES] for account, _ in page if account[0] == OwnerTag.CUSTOMER)
        customers += len(owners) - (last in owners)
        last, after = page[-1][0][: chart.OWNER_BYTES], page[-1][0]
    return accounts, customers, digest.digest()


async def _settle(pool: asyncpg.Pool[Any], reckoner: Reckoner, book: Book, close: Close) -> None:
    if await pool.fetchval(_IS_SETTLED, book.book_id, close.ends_on, close.ends_at):
        await pool.fetchval(_SETTLE, *_key(book, close), await _settled_seq(pool, reckoner, book, close))


async def _settled_seq(pool: asyncpg.Pool[Any], reckoner: Reckoner, book: Book, close: Close) -> int:
    """The last transfer of what was reckoned."""
    as_of, settled = close.as_of, close.cut.seq
    missing = await reckoner.points_due(book, as_of)
    until = (await head(pool, book)).seq
    for begin in range(as_of.cut.seq, until, LOG_ROWS):
        if not missing:
            break
        piece = (begin, min(begin + LOG_ROWS, until))
        row = await pool.fetchrow(_FELL_DUE, book.book_id, as_of.cut.seq, as_of.at, as_of.day, *piece)
        assert row is not None
        missing -= row["points"]
        settled = row["last"] or settled
    return settled


def _key(book: Book, close: Close) -> tuple[int, int, date, int]:
    return book.brand_id, book.book_id, close.ends_on, close.version
