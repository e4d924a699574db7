"""Points that are held back: a grant that somebody has to approve.

    mature   pending to a lot, which lasts from now on
    reject   pending back to the budget; the caps that it counted against are free again

Whoever settles first, settles; after its deadline an event is rejected, whenever that is posted.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import asyncpg

from ledger.types import Book, Settlement, SettleOutcome

_SETTLE = "SELECT outcome, replayed FROM ledger.settle_pending_v1($1, $2, $3, $4, $5, $6, $7)"


async def settle(
    pool: asyncpg.Pool[Any], book: Book, campaign_no: int, key: bytes, *, matures: bool, expires_on: date | None
) -> Settlement:
    """Settle what one event holds back. ``expires_on`` is the last day of points that mature; ``None`` is never."""
    now = datetime.now(UTC)
    row = await pool.fetchrow(_SETTLE, book.brand_id, book.book_id, now, campaign_no, key, matures, expires_on)
    assert row is not None
    return Settlement(SettleOutcome(row["outcome"]), row["replayed"])
