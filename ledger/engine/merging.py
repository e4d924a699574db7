"""Merging: two customers turn out to be one person, so one wallet takes over the other. Splitting: they turn out not to be.

    lots               move to the survivor's lots of the same class and last day, through the house's transit account
    held-back points   move likewise, and mature or are rejected as the survivor's
    redemptions        become the survivor's, open or not: what they give back goes to the survivor
    the loser          keeps their past in the log and is frozen: an order for them is answered ``STALE_CUSTOMER``

    a split            makes the loser a customer again. What they brought comes back the same way, if it is still there; so do
                       held-back points and redemptions that began under their own number
    align              merges and splits until the book agrees with what it is told

Each is one transaction of the log; those that wait together are one commit. Repeating one is a replay: it is its own
idempotency key.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import msgspec

from ledger.types import Book, MergeOutcome, MergeResult, SplitOutcome, SplitResult, Standing

_SQL = Path(__file__).with_name("sql")
_MERGE = "SELECT outcome, replayed, points FROM ledger.merge_customers_v1($1, $2, $3, $4, $5)"
_SPLIT = "SELECT outcome, replayed, points FROM ledger.split_customer_v1($1, $2, $3, $4, $5)"
_ALIGN = "SELECT outcome, points FROM ledger.align_customers_v1($1, $2, $3, $4, $5, $6)"
_RETURNED = (_SQL / "points_returned.sql").read_text()


class Merge(msgspec.Struct, frozen=True):
    """Merge ``loser`` into ``survivor``."""

    book: Book
    loser: int
    survivor: int


class Split(msgspec.Struct, frozen=True):
    """Split ``customer`` off from ``survivor``."""

    book: Book
    customer: int
    survivor: int


class Align(msgspec.Struct, frozen=True):
    """Merge and split until each ``standing`` holds. They are of one instant, of customers who are or once were merged."""

    book: Book
    standings: tuple[Standing, ...]


Grouping: TypeAlias = Merge | Split | Align


async def post_groupings(connection: asyncpg.Connection[Any], groupings: Sequence[Grouping]) -> list[MergeResult | SplitResult]:
    """Merge, split and align customers of one book, in order, in one commit."""
    async with connection.transaction():
        return [await _post(connection, each) for each in groupings]


async def _post(connection: asyncpg.Connection[Any], grouping: Grouping) -> MergeResult | SplitResult:
    book, now = grouping.book, datetime.now(UTC)
    match grouping:
        case Merge(loser=loser, survivor=survivor):
            outcome, replayed, points = await _row(connection, _MERGE, book.brand_id, book.book_id, now, loser, survivor)
            return MergeResult(MergeOutcome(outcome), replayed, points)
        case Split(customer=customer, survivor=survivor):
            outcome, replayed, points = await _row(connection, _SPLIT, book.brand_id, book.book_id, now, customer, survivor)
            return SplitResult(SplitOutcome(outcome), replayed, points)
        case Align(standings=standings):
            told = (
                [each.customer for each in standings],
                [each.survivor for each in standings],
                [each.generation for each in standings],
            )
            outcome, points = await _row(connection, _ALIGN, book.brand_id, book.book_id, now, *told)
            return MergeResult(MergeOutcome(outcome), replayed=False, points=points)


async def _row(connection: asyncpg.Connection[Any], statement: str, *arguments: Any) -> Any:
    row = await connection.fetchrow(statement, *arguments)
    assert row is not None
    return row


async def points_returned(pool: asyncpg.Pool[Any], book: Book, customer: int) -> int:
    """The spendable points that a customer got back when they were last split off; 0 if they never were."""
    return await pool.fetchval(_RETURNED, book.book_id, book.brand_id, customer) or 0
