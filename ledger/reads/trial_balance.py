"""The book at a cut: every account's sums, and the log itself.

A balance at a cut is today's balance less what was posted since, both read at one instant. However large the book and however
old the cut, no statement takes long and no snapshot stays open:

    the log       a page at a time; what lies before a cut never changes
    accounts      a range of ids at a time, less the transfers since the cut of the customers in it
    trial balance a range of ids at a time as of when the reading began, less what the log between then and the cut adds up to
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg

from ledger import chart
from ledger.chart import Kind, OwnerTag
from ledger.read_models import Cut, Transfer, TrialBalance, TrialBalanceLine
from ledger.types import Book, Verb

LOG_ROWS = 500_000
ACCOUNTS_SUMMED = 500_000
"""What one statement reads: it takes a fraction of the five seconds that it may take, even under load."""
ACCOUNTS_READ = 10_000
REDEMPTION_ACCOUNTS_READ = 2_000
"""The same of redemptions' accounts: for some of them all that their customer moved since is read."""

_FIRST = b""
_LAST = b"\xff" * 16
_SHARED = (OwnerTag.HOUSE, OwnerTag.CAMPAIGN)
_WITHOUT_CLASS = frozenset((Kind.BUDGET, Kind.UNLIMITED_BUDGET, Kind.ISSUANCE))

_SQL = Path(__file__).with_name("sql")
_RANGE = (_SQL / "account_range.sql").read_text()
_LOG_LINES = "SELECT line, debits, credits FROM ledger.log_lines_v1($1, $2, $3)"
_ACCOUNT_LINES = "SELECT line, debits, credits FROM ledger.account_lines_v1($1, $2, $3, $4)"
_ACCOUNT_SUMS = "SELECT id, debits, credits FROM ledger.account_sums_v1($1, $2, $3, $4, $5, $6, $7, $8)"

_TRANSFERS = (_SQL / "transfers.sql").read_text()
_TRANSFERS_NUMBERED = (_SQL / "transfers_numbered.sql").read_text()


async def trial_balance(pool: asyncpg.Pool[Any], book: Book, cut: Cut) -> TrialBalance:
    """Every account's debits and credits at ``cut``."""
    return of_sums(cut, await line_sums(pool, book, cut))


def of_sums(cut: Cut, sums: Mapping[bytes, tuple[int, int]]) -> TrialBalance:
    """The trial balance of debits and credits by line."""
    lines = tuple(_line(line, *sums[line]) for line in sorted(sums, key=lambda line: (line[11:], line)) if any(sums[line]))
    return TrialBalance(
        cut=cut, debits=sum(line.debits for line in lines), credits=sum(line.credits for line in lines), lines=lines
    )


async def line_sums(pool: asyncpg.Pool[Any], book: Book, cut: Cut) -> dict[bytes, tuple[int, int]]:
    """Debits and credits at ``cut``, by line."""
    sums: dict[bytes, tuple[int, int]] = {}

    def add(rows: list[asyncpg.Record], sign: int) -> None:
        for line, debits, credits_ in rows:
            known = sums.get(line, (0, 0))
            sums[line] = known[0] + sign * debits, known[1] + sign * credits_

    now: int | None = None
    async for head, after, until in _ranges(pool, book, ACCOUNTS_SUMMED):
        now = head if now is None else now
        add(await pool.fetch(_ACCOUNT_LINES, book.book_id, now, after, until), 1)
    if now is not None:
        async for rows in _log_lines(pool, book, cut.seq, now):
            add(rows, -1)
    return sums


async def _ranges(
    pool: asyncpg.Pool[Any],
    book: Book,
    accounts: int,
    *,
    after: bytes = _FIRST,
    last: bytes = _LAST,
    accounts_max: int = 0,
) -> AsyncIterator[tuple[int, bytes, bytes]]:
    """All accounts after ``after`` and up to ``last``, cut into ranges of ids: (head, after, until).

    Each has as many as are there when it is cut: ``accounts``, then twice as many, up to ``accounts_max``.
    """
    while after < last and (row := await pool.fetchrow(_RANGE, book.book_id, book.brand_id, after, accounts - 1)):
        until = min(row["until"] or last, last)
        yield row["seq"], after, until
        after = until
        accounts = max(accounts, min(2 * accounts, accounts_max))


async def _log_lines(pool: asyncpg.Pool[Any], book: Book, after: int, until: int) -> AsyncIterator[list[asyncpg.Record]]:
    """What the log from ``after`` to ``until`` moved, by line, in pieces that have to be added up."""
    for begin in range(after, until, LOG_ROWS):
        yield await pool.fetch(_LOG_LINES, book.book_id, begin, min(begin + LOG_ROWS, until))


def _line(account: bytes, debits: int, credits_: int) -> TrialBalanceLine:
    name = chart.describe_account(account)
    return TrialBalanceLine(
        kind=name.kind.name.lower(),
        account_class=None if name.kind in _WITHOUT_CLASS else name.account_class.name.lower(),
        campaign_no=name.number if name.owner == OwnerTag.CAMPAIGN else None,
        expires_on=name.expires_on,
        debits=debits,
        credits=credits_,
    )


class AccountRange(NamedTuple):
    """The arguments of ``account_sums_v1`` for a range of accounts at a cut."""

    book_id: int
    cut: int
    after: bytes
    until: bytes
    since: int
    lines: list[bytes]
    debits: list[int]
    credits: list[int]


async def account_ranges(
    pool: asyncpg.Pool[Any], book: Book, cut: Cut, *, after: bytes = _FIRST, accounts: int
) -> AsyncIterator[AccountRange]:
    """All accounts after ``after``, by id, in ranges that one statement can add up."""
    since: int | None = None
    moved: dict[bytes, tuple[int, int]] = {}
    async for head, begin, until in _ranges_at(pool, book, cut, accounts, after):
        if not _has_shared(begin, until):
            yield AccountRange(book.book_id, cut.seq, begin, until, cut.seq, [], [], [])
            continue
        if since is None:
            since = max(head, cut.seq)
            async for rows in _log_lines(pool, book, cut.seq, since):
                for line, debits, credits_ in rows:
                    if OwnerTag(line[0]) in _SHARED:
                        known = moved.get(line, (0, 0))
                        moved[line] = known[0] + debits, known[1] + credits_
        sums = list(moved.values())
        yield AccountRange(
            book.book_id,
            cut.seq,
            begin,
            until,
            since,
            list(moved),
            [debits for debits, _ in sums],
            [credits_ for _, credits_ in sums],
        )


async def _ranges_at(
    pool: asyncpg.Pool[Any], book: Book, cut: Cut, accounts: int, after: bytes
) -> AsyncIterator[tuple[int, bytes, bytes]]:
    """All accounts after ``after`` but those of redemptions after the cut, which are the last: a redemption's number is that of
    its first transfer.
    """
    redemptions = bytes((OwnerTag.REDEMPTION,))
    async for found in _ranges(pool, book, accounts, after=after, last=redemptions, accounts_max=ACCOUNTS_READ):
        yield found
    accounts, most = min(accounts, REDEMPTION_ACCOUNTS_READ), REDEMPTION_ACCOUNTS_READ
    after, last = max(after, redemptions), chart.owner(OwnerTag.REDEMPTION, cut.seq + 1)
    async for found in _ranges(pool, book, accounts, after=after, last=last, accounts_max=most):
        yield found


def _has_shared(after: bytes, until: bytes) -> bool:
    """Whether the range of ids has accounts that any customer's transfers may move."""
    return any(bytes((tag,)) <= until and after < bytes((tag + 1,)) for tag in _SHARED)


async def account_balances(
    pool: asyncpg.Pool[Any], book: Book, cut: Cut, *, after: bytes | None = None, limit: int = 10_000
) -> list[tuple[bytes, int, int]]:
    """A page of the accounts used up to ``cut``, by id: ``(id, debits, credits)``. ``after`` is the last id before the page."""
    page: list[tuple[bytes, int, int]] = []
    # Accounts that were first used after the cut are not in it, so one range may not be enough.
    async for part in account_ranges(pool, book, cut, after=after or _FIRST, accounts=limit):
        page += await account_sums(pool, part)
        if len(page) >= limit:
            break
    return page[:limit]


async def account_sums(pool: asyncpg.Pool[Any], part: AccountRange) -> list[tuple[bytes, int, int]]:
    """The accounts of a range, as ``account_balances`` has them."""
    return [tuple(row) for row in await pool.fetch(_ACCOUNT_SUMS, *part)]


async def transfers(pool: asyncpg.Pool[Any], book: Book, *, after: int, cut: int, limit: int = 10_000) -> list[Transfer]:
    """A page of the log: the transfers with ``after < seq <= cut``, in order."""
    return transfers_of(await pool.fetch(_TRANSFERS, book.book_id, book.brand_id, after, cut, limit))


async def transfers_numbered(pool: asyncpg.Pool[Any], book: Book, seqs: Sequence[int]) -> list[Transfer]:
    """The transfers with these numbers, in order."""
    return transfers_of(await pool.fetch(_TRANSFERS_NUMBERED, book.book_id, book.brand_id, seqs))


def transfers_of(rows: Sequence[asyncpg.Record]) -> list[Transfer]:
    """Rows of the log, as statements select them."""
    return [_transfer(row) for row in rows]


def _transfer(row: asyncpg.Record) -> Transfer:
    return Transfer(
        seq=row["seq"],
        posted_at=row["posted_at"],
        occurred_at=row["occurred_at"],
        verb=Verb(row["verb"]),
        debit=row["debit"],
        credit=row["credit"],
        amount=row["amount"],
        customer=row["customer"],
        campaign_no=row["campaign_no"],
        event_key=row["event_key"],
        transaction_id=row["transaction_id"],
        due_at=row["due_at"],
        accounting_date=row["accounting_date"],
    )
