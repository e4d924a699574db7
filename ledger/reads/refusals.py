"""A campaign's refusals for a cap or the budget, in the order of their places: what a re-decision goes through."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg

from ledger.read_models import Refusal
from ledger.types import Book, GrantOutcome

SCAN_ROWS_MAX = 50_000
"""How many decisions one page reads: those of other campaigns, and waiting ones, are in between."""

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
    """A page of refusals with ``after < place <= until``, the ``after`` of the next page, and ``until``.

    Without ``until`` it is the last place there is now, so that an event that is refused once more during the paging does not
    come again. A page may have fewer than ``limit`` refusals, or none, and not be the last.
    """
    if until is None:
        until = int(await pool.fetchval(_PLACES, book.book_id, book.brand_id) or 0)
    highest = min(until, after + SCAN_ROWS_MAX)
    rows = await pool.fetch(_REFUSALS, book.book_id, book.brand_id, campaign_no, after, highest, list(outcomes), limit + 1)
    found = [Refusal(**row) for row in rows[:limit]]
    if len(rows) > limit:
        return found, found[-1].place, until
    return found, highest if highest < until else None, until
