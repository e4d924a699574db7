"""Redemptions as they stand now: one, or a page of them, newest first; and their steps, by the log."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from ledger.read_models import RedemptionFilter, RedemptionStep
from ledger.reads.customers import fetch_by_index
from ledger.types import Book, Redemption, Verb

SCAN_ROWS_MAX = 2_000
"""How many redemptions one page reads to find those of a status, which is derived and has no index."""

LOG_ROWS = 100_000
"""What one statement reads to find steps."""
_TRANSACTION_ROWS_MAX = 10_000

_SQL = Path(__file__).with_name("sql")
_FIND = (_SQL / "find_redemptions.sql").read_text()
_FIND_WITH_STATUS = (_SQL / "find_redemptions_with_status.sql").read_text()
_STEPS = (_SQL / "redemption_steps.sql").read_text()
_BY_ID = "SELECT answer::text FROM ledger.redemptions_now_v1($1, $2, $3)"
_decode = msgspec.json.Decoder(Redemption).decode


async def redemption(pool: asyncpg.Pool[Any], book: Book, redemption_id: int) -> Redemption | None:
    """A redemption as it is now; ``None`` if there is no such."""
    return next(iter(await redemptions(pool, book, [redemption_id])), None)


async def redemptions(pool: asyncpg.Pool[Any], book: Book, ids: Sequence[int]) -> list[Redemption]:
    """The same for many, in order and as of one instant; unknown ids are left out."""
    return [_decode(answer) for (answer,) in await pool.fetch(_BY_ID, book.book_id, book.brand_id, ids)]


async def find_redemptions(
    pool: asyncpg.Pool[Any], book: Book, wanted: RedemptionFilter, *, before: int | None = None, limit: int = 100
) -> tuple[list[Redemption], int | None]:
    """A page of redemptions, newest first, and the ``before`` of the next page, or ``None`` at the end.

    If more is wanted than there is one index for, a page may have fewer than ``limit``, or none, and not be the last: it reads
    at most ``SCAN_ROWS_MAX`` redemptions.
    """
    led_by = wanted.leading
    rows_read = limit + 1 if led_by == wanted else SCAN_ROWS_MAX
    ids_after, ids_before = wanted.between
    span = ids_after, min(ids_before, before or ids_before)
    statement = _FIND if wanted.status is None else _FIND_WITH_STATUS
    led = (led_by.customer, led_by.order_ref, led_by.store_id)
    # A plan for whatever is asked for knows no index by one of these: it would read all redemptions of the book.
    rows: list[Any] = await fetch_by_index(pool, statement, book.book_id, book.brand_id, *led, *span, rows_read)
    more = rows[-1]["id"] if len(rows) == rows_read else None
    ids: list[int] = []
    for place, row in enumerate(rows, 1):
        if wanted.takes(row):
            ids.append(row["id"])
        if len(ids) == limit:
            more = row["id"] if place < len(rows) else more
            break
    # A moment has passed since its status was looked at.
    found = await redemptions(pool, book, ids)
    return [each for each in found if wanted.status in {None, each.status}], more


async def redemption_steps(
    pool: asyncpg.Pool[Any], book: Book, *, after: int, until: int, since: date, to: date
) -> AsyncIterator[list[RedemptionStep]]:
    """Steps in the log from ``after`` to ``until``, with accounting dates from ``since`` to ``to``, in order and in pieces."""
    for begin in range(after, until, LOG_ROWS):
        piece = (begin, min(begin + LOG_ROWS, until), since, to, _TRANSACTION_ROWS_MAX)
        rows = await pool.fetch(_STEPS, book.book_id, book.brand_id, *piece)
        yield [_step(row) for row in rows]


def _step(row: asyncpg.Record) -> RedemptionStep:
    return RedemptionStep(
        day=row["day"],
        verb=Verb(row["verb"]),
        redemption=row["redemption"],
        points=row["points"],
        seq=row["seq"],
        value=row["value"],
        store_id=row["store_id"],
        terminal_id=row["terminal_id"],
    )
