"""A book to post to, with its clock at `NOON`, and short ways to arrange and to look."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from ledger import Book, Ledger, audit, open_book, track_layers
from ledger.testing import NOON, set_clock
from tests.reused_database import ReusedDatabase

if TYPE_CHECKING:
    from tests.conftest import Database

CAMPAIGN = 1
BERLIN = "Europe/Berlin"


async def make_book(
    owner: asyncpg.Connection[Any], *, brand_id: int = 1, time_zone: str = BERLIN, issue_limit: int = 10**12
) -> Book:
    """Open a book and set its clock to `NOON`."""
    book = await open_book(owner, brand_id=brand_id, unit="points", time_zone=time_zone, issue_limit=issue_limit)
    await set_clock(owner, book, NOON)
    return book


@pytest.fixture
async def book(owner: asyncpg.Connection[Any], database: Database, reused_database: ReusedDatabase) -> AsyncGenerator[Book]:
    """An empty book of brand 1. Whatever the test does with it, in the end all books pass the audit."""
    yield await make_book(owner)
    await assert_books_are_sound(owner, await reused_database.auditor(database))


async def written(owner: asyncpg.Connection[Any]) -> tuple[int, ...]:
    """How many rows each table that a grant can write to has: two equal answers say that nothing was written."""
    row = await owner.fetchrow(
        """
        SELECT
            (SELECT count(*) FROM ledger.event), (SELECT count(*) FROM ledger.transfer), (SELECT count(*) FROM ledger.account),
            (SELECT count(*) FROM ledger.cap_use), (SELECT count(*) FROM ledger.redemption),
            (SELECT count(*) FROM ledger.idempotency_key), (SELECT sum(head.seq) FROM ledger.head)
        """
    )
    assert row is not None
    return tuple(row)


async def assert_books_are_sound(owner: asyncpg.Connection[Any], auditor: asyncpg.Connection[Any] | None = None) -> None:
    """Audit every book, with its layers read to the end; over the connection ``auditor`` if there is one."""
    for brand_id, book_id in await owner.fetch("SELECT brand_id, book_id FROM ledger.head"):
        book = Book(brand_id, book_id)
        while await track_layers(owner, book):
            pass
        wrong = [finding for finding in await audit(auditor or owner, book) if finding.violations]
        assert not wrong


async def spendable(ledger: Ledger, book: Book, customer: int) -> int:
    """What a customer can spend now."""
    return (await ledger.balance(book, customer)).spendable
