"""What was refused for a cap or the budget, in the order of its refusal, so that it can be decided anew."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg

from ledger.read_models import Refusal
from ledger.types import Book, GrantOutcome

SCANNED = 50_000
"""How many decisions one page looks through: those of other campaigns, and what waits, stand in between."""

_SQL = Path(__file__).with_name("sql")
_PLACES = "SELECT places FROM ledger.head WHERE book_id = $1 AND brand_id = $2"

_REFUSALS = (_SQL / "refusals.sql").read_text()


async def refusals(
    pool: asyncpg.Pool[Any],
    book: Book,
    campaign_no: int,
    outcomes: Sequence[GrantOutcome],
    *,
    after: int = 0,
    until: int | None = None,
    limit: int = 100,
) -> tuple[list[Refusal], int | None, int]:
    """A page of refusals after one place and not past another, the ``after`` of the next page, and that last place.

    Without ``until`` it is the last one there is now: what is refused again while somebody pages does not come up again.
    A page may hold fewer than ``limit``, or none, and not be the last.
    """
    if until is None:
        until = int(await pool.fetchval(_PLACES, book.book_id, book.brand_id) or 0)
    highest = min(until, after + SCANNED)
    rows = await pool.fetch(_REFUSALS, book.book_id, book.brand_id, campaign_no, after, highest, list(outcomes), limit + 1)
    found = [Refusal(**row) for row in rows[:limit]]
    if len(rows) > limit:
        return found, found[-1].place, until
    return found, highest if highest < until else None, until
