"""A book as it stood at a cut, read in pages.

Each page is a short statement of its own, so however long the log is, memory stays flat and no transaction stays open. What is
read does not change: the log only grows beyond the cut.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Protocol

import msgspec

from ledger import Book, Cut, Transfer

PAGE_ROWS = 10_000


class Log(Protocol):
    """The two reads of `ledger.Ledger` that an export needs."""

    async def transfers(self, book: Book, *, after: int, cut: int, limit: int) -> list[Transfer]: ...

    async def account_balances(
        self, book: Book, cut: Cut, *, after: bytes | None, limit: int
    ) -> list[tuple[bytes, int, int]]: ...


class BookAtCut(msgspec.Struct, frozen=True):
    """What an exporter reads. ``campaigns`` names the campaigns by number."""

    log: Log
    book: Book
    cut: Cut
    brand: str
    points_code: str
    campaigns: Mapping[int, str]
    page_rows: int = PAGE_ROWS

    async def transfers(self) -> AsyncIterator[list[Transfer]]:
        """All transfers up to the cut, oldest first, a page at a time."""
        after = 0
        while page := await self.log.transfers(self.book, after=after, cut=self.cut.seq, limit=self.page_rows):
            yield page
            after = page[-1].seq

    async def accounts(self) -> AsyncIterator[list[tuple[bytes, int, int]]]:
        """All accounts that were used up to the cut as (id, debits, credits), by id, a page at a time.

        They come from the running balances, not from the transfers: that one adds up to the other is for the reader to check.
        """
        after: bytes | None = None
        while page := await self.log.account_balances(self.book, self.cut, after=after, limit=self.page_rows):
            yield [(account, debits, credits) for account, debits, credits in page if debits or credits]
            after = page[-1][0]
