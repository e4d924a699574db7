"""What happened to one customer and what they have, for statements.

    history           transfers, and decisions that moved no points, newest first, each with what it belongs to
    wallet_movements  what changed what is owed to them, by stretches of days, class and verb
    wallet_accounts   what is owed to them by their accounts, which is what all of these add up to

Each statement reads one customer's own rows by index: at most as many as asked for, or ``TRANSFERS_AT_ONCE``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import asyncpg

from ledger.read_models import HistoryEntry, Position, WalletMovement
from ledger.reads.customers import rows_of_customers
from ledger.reads.event_log import feed_end
from ledger.types import AccountClass, Book, GrantOutcome, Verb

_SQL = Path(__file__).with_name("sql")
_HISTORY = (_SQL / "history.sql").read_text()
_MOVEMENTS = (_SQL / "wallet_movements.sql").read_text()
_ACCOUNTS = (_SQL / "wallet_accounts.sql").read_text()


async def history(
    pool: asyncpg.Pool[Any], book: Book, customers: Sequence[int], *, before: Position | None, limit: int
) -> tuple[list[HistoryEntry], Position | None]:
    """A page, newest first, and the ``before`` of the next one; ``None`` at the end."""
    at = before or _behind(await feed_end(pool, book))
    rows = await pool.fetch(_HISTORY, book.book_id, book.brand_id, list(customers), at.seq, at.place, limit + 1)
    for row in rows[:limit]:
        at = Position(row["seq"], at.place) if row["place"] is None else Position(at.seq, row["place"])
    return [_entry(row) for row in rows[:limit]], at if len(rows) > limit else None


async def wallet_movements(
    pool: asyncpg.Pool[Any], book: Book, customers: Sequence[int], *, until: int, starts: Sequence[date]
) -> list[WalletMovement]:
    """What the transfers up to ``until`` changed, in no order; the same stretch, class and verb may come more than once."""
    return [
        WalletMovement(row["stretch"], AccountClass(row["class"]), Verb(row["verb"]), row["change"])
        async for _, row in rows_of_customers(pool, book, _MOVEMENTS, customers, 0, until, starts)
    ]


async def wallet_accounts(
    pool: asyncpg.Pool[Any], book: Book, customers: Sequence[int]
) -> tuple[int, Mapping[AccountClass, int]]:
    """What is owed by class, and the ``seq`` of the book that it is as of."""
    rows = await pool.fetch(_ACCOUNTS, book.book_id, book.brand_id, list(customers))
    owed = {AccountClass(row["class"]): row["points"] for row in rows if row["class"] is not None}
    return (rows[0]["seq"] if rows else 0), owed


def _behind(end: Position) -> Position:
    return Position(end.seq + 1, end.place + 1)


def _entry(row: Any) -> HistoryEntry:
    values = dict(row)
    verb, outcome = values.pop("verb"), values.pop("outcome")
    return HistoryEntry(
        **values,
        verb=None if verb is None else Verb(verb),
        outcome=None if outcome is None else GrantOutcome(outcome),
    )
