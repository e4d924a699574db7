"""Merging: two customers turn out to be one person, so one wallet takes up the other.

    every lot              goes to the survivor's of the same class and last day, through the house's transit account
    points held back       likewise, and mature or are rejected as hers
    redemptions            are hers from now on, open or not: what they give back comes to her
    the loser              stays in the log as she was, and is frozen: whoever names her is told ``MOVED``

A merge is one transaction of the log, and those that wait together are one commit. A merge is its own key: the same two again
are a replay.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg
import msgspec

from ledger.types import Book, MergeOutcome, MergeResult

_MERGE = "SELECT outcome, replayed, points FROM ledger.merge_customers_v1($1, $2, $3, $4, $5)"


class Merge(msgspec.Struct, frozen=True):
    """Take ``loser`` up into ``survivor``."""

    book: Book
    loser: int
    survivor: int


async def post_merges(connection: asyncpg.Connection[Any], merges: Sequence[Merge]) -> list[MergeResult]:
    """Merge customers of one book, in order, in one commit."""
    results: list[MergeResult] = []
    async with connection.transaction():
        for merge in merges:
            book = merge.book
            row = await connection.fetchrow(_MERGE, book.brand_id, book.book_id, datetime.now(UTC), merge.loser, merge.survivor)
            assert row is not None
            results.append(MergeResult(MergeOutcome(row["outcome"]), row["replayed"], row["points"]))
    return results
