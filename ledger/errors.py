"""Failures that are not decisions. A refusal is a result (see ``types``), never one of these."""

from __future__ import annotations

from typing import Self

import asyncpg

from ledger.types import Book

CONNECTION_LOST: tuple[type[BaseException], ...] = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    # No room on its disk or in its memory, too many connections.
    asyncpg.InsufficientResourcesError,
    # Its disk fails it.
    asyncpg.PostgresSystemError,
    # Restored without our roles' rights: `rewards migrate` mends that.
    asyncpg.InsufficientPrivilegeError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.QueryCanceledError,
    # What the driver makes of a server's last words when it is killed in the middle of our statement.
    asyncpg.InternalClientError,
)
"""What the driver raises when the server is away, starting, stopping, too slow, full, or restored without our roles' rights:
nothing that the request could change.
"""


class LedgerError(Exception):
    """The ledger could not do what was asked."""


class Overloaded(LedgerError):
    """More is waiting than can be posted soon; nothing was recorded. Try again after ``retry_after_s`` seconds."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"more is waiting than can be posted soon; try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class LedgerUnavailable(LedgerError):
    """The database is away. Whether the posting was recorded is unknown; asking again is safe."""


class BookRefused(LedgerError):
    """The book does not exist or belongs to another brand."""

    @classmethod
    def of(cls, book: Book) -> Self:
        """The refusal of ``book``."""
        return cls(f"book {book.book_id} is not a book of brand {book.brand_id}")


class ClockSkew(LedgerError):
    """This process's clock and the book's clock are more than a minute apart, so nothing is posted."""


class DataRefused(LedgerError):
    """The database refused this item's data. The other items of its batch were posted."""
