"""A book as it stood at a cut, read in pages.

Each page is a short statement of its own, so however long the log is, memory stays flat and no transaction stays open. What is
read does not change: the log only grows beyond the cut, and what accounts held there is exact whatever is written meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping
from datetime import date, datetime
from typing import Any, Protocol, TextIO, TypeAlias, TypeVar

import asyncpg
import msgspec

from ledger import Book, Calendar, Cut, TrialBalance
from service.exports.bookkeeping import Bookkeeping
from service.exports.totals import Totals

PAGE_ROWS = 10_000
COPIED_ROWS = 8_000
"""A page that the database writes: well below a second, even if the reader is slow. For a larger one it takes memory that it
gives back after each statement, which costs a seventh of the time.
"""
LOOKED_UP_ROWS = 4_000
"""A page whose rows are each looked up in other tables too: below five seconds, even if nothing of them is in memory."""
READERS = 2
"""How many pages are read at a time, each by a connection of its own."""


# What no format of a file writes otherwise than it is. Everything else in a row is a number, a time or a word of ours.
_PLAIN = re.compile(r"[A-Za-z0-9_.:-]+")

T = TypeVar("T")
Page: TypeAlias = tuple[Any, ...]
"""The parameters that say what is in a page."""


class Log(Protocol):
    """The reads of `ledger.Ledger` that an export needs."""

    async def account_balances(
        self, book: Book, cut: Cut, *, after: bytes | None, limit: int
    ) -> list[tuple[bytes, int, int]]: ...

    def account_ranges(self, book: Book, cut: Cut, *, accounts: int) -> AsyncIterator[tuple[Any, ...]]: ...

    async def trial_balance(self, book: Book, cut: Cut) -> TrialBalance: ...

    async def place_before_day(self, book: Book, day: date) -> int: ...


def unwatched(_: int) -> None:
    """Nobody asks how far the reading has come."""


class BookAtCut(msgspec.Struct, frozen=True):
    """What an exporter reads. ``campaigns`` names the campaigns by number; through ``pool`` the database writes rows itself.

    Days are those of ``calendar``, the brand's. ``bookkeeping`` is how its journals are kept. With ``since``, the log is what
    came after that cut. ``on_rows`` is told how many rows each page of the log has.
    """

    log: Log
    pool: asyncpg.Pool[Any]
    book: Book
    cut: Cut
    brand: str
    points_code: str
    calendar: Calendar
    campaigns: Mapping[int, str]
    bookkeeping: Bookkeeping = Bookkeeping()
    since: Cut | None = None
    on_rows: Callable[[int], None] = unwatched
    page_rows: int = PAGE_ROWS
    copied_rows: int = COPIED_ROWS

    @property
    def after(self) -> int:
        """The last ``seq`` that is not read of the log."""
        return 0 if self.since is None else self.since.seq

    def day(self, at: datetime) -> date:
        """The business day of ``at``: the brand's own, where it keeps its books."""
        return self.calendar.day(at)

    async def accounts(self) -> AsyncIterator[list[tuple[bytes, int, int]]]:
        """All accounts that were used up to the cut as (id, debits, credits), by id, a page at a time.

        They come from the running balances, not from the transfers: that one adds up to the other is for the reader to check.
        """
        after: bytes | None = None
        while page := await self.log.account_balances(self.book, self.cut, after=after, limit=self.page_rows):
            yield page
            after = page[-1][0]

    async def log_pages(self, rows_max: int = COPIED_ROWS) -> AsyncIterator[tuple[int, int, int]]:
        """The log up to the cut as pages of ``after < seq <= until``, oldest first: the book's number, after, until."""
        rows = min(rows_max, self.copied_rows)
        for after in range(self.after, self.cut.seq, rows):
            until = min(after + rows, self.cut.seq)
            yield self.book.book_id, after, until
            self.on_rows(until - after)

    def account_pages(self) -> AsyncIterator[tuple[Any, ...]]:
        """All accounts in pages by id, as arguments of ``account_sums_v1``."""
        return self.log.account_ranges(self.book, self.cut, accounts=self.copied_rows)

    async def copy(
        self,
        rows: str,
        sums: str,
        pages: AsyncIterator[Page],
        forms: tuple[Any, ...],
        out: TextIO,
        written: Mapping[str, str] | None = None,
    ) -> Totals:
        """Have the database write the rows of each page as CSV, and add them up in a statement of its own: both see the same.

        A page is the parameters of both; ``forms``, which say how ``rows`` writes what it finds, are its last. ``written`` are
        options of ``COPY``, where they are not those of our CSV.
        """
        totals = Totals()
        async for lines, moved in self.copied(rows, sums, pages, forms, written):
            out.buffer.write(lines)
            totals += moved
        return totals

    async def copied(
        self,
        rows: str,
        sums: str,
        pages: AsyncIterator[Page],
        forms: tuple[Any, ...],
        written: Mapping[str, str] | None = None,
    ) -> AsyncIterator[tuple[bytearray, Totals]]:
        """The same, a page at a time, for those who write it otherwise."""
        options = dict(written or self._plainest())
        async with contextlib.aclosing(ahead(pages, lambda page: self._copied(rows, sums, page, forms, options))) as copied:
            async for page in copied:
                yield page

    @property
    def names_are_plain(self) -> bool:
        """Whether no campaign's name needs quotes in a cell: looking for them in each takes a seventh of the time."""
        return all(_PLAIN.fullmatch(campaign) for campaign in self.campaigns.values())

    def _plainest(self) -> Mapping[str, str]:
        """How CSV is written."""
        return {"format": "text", "delimiter": ",", "null": ""} if self.names_are_plain else {"format": "csv"}

    async def _copied(
        self, rows: str, sums: str, page: Page, forms: tuple[Any, ...], written: dict[str, Any]
    ) -> tuple[bytearray, Totals]:
        lines = bytearray()

        async def keep(some: bytes) -> None:
            lines.extend(some)

        async with self.pool.acquire() as connection:
            said = await connection.copy_from_query(rows, *page, *forms, output=keep, **written)
            row = await connection.fetchrow(sums, *page)
        assert row is not None
        if said != f"COPY {row['rows']}":
            raise RuntimeError(f"{said}, but {row['rows']} rows were added up")
        return lines, Totals(row["rows"], row["debits"], row["credits"])


async def ahead(pages: AsyncIterator[Page], read: Callable[[Page], Coroutine[Any, Any, T]]) -> AsyncGenerator[T]:
    """What ``read`` makes of each page, in order. While a page is used, the next one is read."""
    reading: deque[asyncio.Task[T]] = deque()
    try:
        async for page in pages:
            reading.append(asyncio.create_task(read(page)))
            if len(reading) == READERS:
                yield await reading.popleft()
        while reading:
            yield await reading.popleft()
    finally:
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
