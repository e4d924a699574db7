"""Who has points, by number, and who loses some soon.

A page walks past ``WALLETS_MAX`` wallets at most: each has the day on which it next loses points in its own row.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import asyncpg

from ledger.read_models import Balance
from ledger.reads.balances import balances
from ledger.reads.customers import fetch_by_index
from ledger.types import Book

WALLETS_MAX = 10_000

_WALLETS = (Path(__file__).with_name("sql") / "wallets.sql").read_text()


async def wallets(
    pool: asyncpg.Pool[Any], book: Book, *, expires_by: date | None = None, after: int = 0, limit: int = 100
) -> tuple[list[tuple[int, Balance]], int | None]:
    """A page of customers who can spend points, by number, with what they have; and the ``after`` of the next page.

    With ``expires_by`` those alone who lose some by the end of that day. A page may have fewer than ``limit``, or none, and not
    be the last.
    """
    (row,) = await fetch_by_index(pool, _WALLETS, book.book_id, book.brand_id, after, WALLETS_MAX, expires_by)
    customers: list[int] = row["customers"][:limit]
    more: int | None = customers[-1] if len(row["customers"]) > limit else row["walked_to"]
    found = await balances(pool, [(book, customer) for customer in customers])
    return [(customer, has) for (_, customer), has in found.items() if has.spendable and _loses(has, expires_by)], more


def _loses(has: Balance, expires_by: date | None) -> bool:
    return expires_by is None or any(lot.expires_on is not None and lot.expires_on <= expires_by for lot in has.lots)
