"""What an operator does to a book by hand: opening balances that a brand brings from elsewhere, and its issue limit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

import asyncpg
import msgspec

from ledger.types import AccountClass, Book

_IMPORT = "SELECT * FROM ledger.import_balances_v2($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"
_SET_LIMIT = "SELECT changed, before, issued FROM ledger.set_issue_limit_v1($1, $2, $3, $4)"


class Opening(msgspec.Struct, frozen=True):
    """Points that a customer has from elsewhere. ``expires_on`` is their last day, ``None`` never.

    ``formers`` are the customer's other numbers, under which they may have such a lot already.
    """

    customer: int
    points: int
    expires_on: date | None = None
    account_class: AccountClass = AccountClass.ENGAGEMENT
    formers: Sequence[int] = ()


class ImportResult(msgspec.Struct, frozen=True):
    """``posted`` is false for a file that was imported before; the rest then describes that import.

    It is also false if customers already have lots from an earlier opening: then nothing is posted, and ``already`` has the
    places of those openings, from 1.
    """

    posted: bool
    first_seq: int | None
    lots: int
    points: int
    already: Sequence[int] = ()


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
    hashes: Sequence[bytes],
    rows: int,
    points: int,
    again: bool = False,
) -> ImportResult:
    """Open all lots in one transaction, or none, with the owner's connection.

    A file is recognised by any of ``hashes``, recorded under the first, and posted once in a book. A lot that its customer
    already has from an earlier opening is opened once more only with ``again``. ``rows`` and ``points`` are what the operator
    says is in the file. Raises ``asyncpg.InvalidParameterValueError`` if they are not, or if a last day is past.
    """
    formers = [(place, former) for place, opening in enumerate(openings, 1) for former in opening.formers]
    row = await connection.fetchrow(
        _IMPORT,
        book.brand_id,
        book.book_id,
        datetime.now(UTC),
        hashes,
        again,
        rows,
        points,
        [opening.customer for opening in openings],
        [opening.points for opening in openings],
        [opening.account_class for opening in openings],
        # The driver sends the latest date as infinity.
        [opening.expires_on or date.max for opening in openings],
        [place for place, _ in formers],
        [former for _, former in formers],
    )
    assert row is not None
    return ImportResult(*row)


async def set_issue_limit(connection: asyncpg.Connection[Any], book: Book, limit: int) -> IssueLimitResult:
    """Change how many points may ever be issued, with the owner's connection; never to less than was issued already."""
    row = await connection.fetchrow(_SET_LIMIT, book.brand_id, book.book_id, datetime.now(UTC), limit)
    assert row is not None
    return IssueLimitResult(*row)
