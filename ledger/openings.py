"""What an operator does to a book by hand: opening balances that a brand brings along, and how much it may issue."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

import asyncpg
import msgspec

from ledger.types import AccountClass, Book

_IMPORT = "SELECT posted, first_seq, lots, points FROM ledger.import_balances_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
_SET_LIMIT = "SELECT changed, before, issued FROM ledger.set_issue_limit_v1($1, $2, $3, $4)"


class Opening(msgspec.Struct, frozen=True):
    """Points that a customer has from elsewhere. ``expires_on`` is their last day, ``None`` never."""

    customer: int
    points: int
    expires_on: date | None = None
    account_class: AccountClass = AccountClass.ENGAGEMENT


class ImportResult(msgspec.Struct, frozen=True):
    """``posted`` is false for a file that was imported before; the rest is about that import."""

    posted: bool
    first_seq: int
    lots: int
    points: int


class IssueLimitResult(msgspec.Struct, frozen=True):
    """Whether the limit was changed, what it was before, and how many points have been issued."""

    changed: bool
    before: int
    issued: int


async def import_balances(
    connection: asyncpg.Connection[Any],
    book: Book,
    openings: Sequence[Opening],
    *,
    file_hash: bytes,
    rows: int,
    points: int,
) -> ImportResult:
    """Open all lots in one transaction, or none, with the owner's connection.

    The file of ``file_hash`` is posted once in a book. ``rows`` and ``points`` are what the operator says is in it. Raises
    ``asyncpg.InvalidParameterValueError`` when that is not so, or a last day is past.
    """
    row = await connection.fetchrow(
        _IMPORT,
        book.brand_id,
        book.book_id,
        datetime.now(UTC),
        file_hash,
        rows,
        points,
        [opening.customer for opening in openings],
        [opening.points for opening in openings],
        [opening.account_class for opening in openings],
        # The driver sends the latest date as infinity.
        [opening.expires_on or date.max for opening in openings],
    )
    assert row is not None
    return ImportResult(*row)


async def set_issue_limit(connection: asyncpg.Connection[Any], book: Book, limit: int) -> IssueLimitResult:
    """Change how many points may ever be issued, with the owner's connection; never to less than was issued."""
    row = await connection.fetchrow(_SET_LIMIT, book.brand_id, book.book_id, datetime.now(UTC), limit)
    assert row is not None
    return IssueLimitResult(*row)
