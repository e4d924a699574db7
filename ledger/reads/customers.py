"""What customers did and what it earned them, a page of customers at a time.

    survivors           the customers of a book who are merged into nobody, with those merged into them
    customer_movements  what each one's transfers moved, by stretches of days
    customer_messages   on which messages each one was reported
    act_hours           at which hours of the week all of them acted

The first three cost what is read of the customers asked for, by index, however large the book: at most ``TRANSFERS_AT_ONCE`` of
each customer in one statement, and the next ones in another. The last reads the log.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import asyncpg

from ledger.read_models import ActHour, CustomerMessage, CustomerMovement
from ledger.types import Book, Verb

CUSTOMERS_AT_ONCE = 100
TRANSFERS_AT_ONCE = 2_000
LOG_ROWS = 100_000
"""What one statement reads: it takes a fraction of the five seconds that it may take, even under load."""

_PLANNED = "SET LOCAL enable_sort = off; SET LOCAL plan_cache_mode = force_custom_plan"
_SQL = Path(__file__).with_name("sql")
_SURVIVORS = (_SQL / "survivors.sql").read_text()
_MOVEMENTS = (_SQL / "customer_movements.sql").read_text()
_MESSAGES = (_SQL / "customer_messages.sql").read_text()
_HOURS = (_SQL / "act_hours.sql").read_text()


async def survivors(pool: asyncpg.Pool[Any], book: Book, *, after: int, limit: int) -> list[tuple[int, Sequence[int]]]:
    """A page of customers by number, each with the numbers that are merged into them."""
    return [tuple(row) for row in await fetch_by_index(pool, _SURVIVORS, book.book_id, book.brand_id, after, limit)]


async def customer_movements(
    pool: asyncpg.Pool[Any], book: Book, customers: Sequence[int], *, until: int, to: date, starts: Sequence[date]
) -> list[CustomerMovement]:
    """What the transfers of ``customers`` up to ``until`` moved on the days up to ``to``, in no order."""
    return [
        CustomerMovement(
            customer=customer,
            stretch=row["stretch"],
            verb=Verb(row["verb"]),
            points=row["points"],
            day=row["day"],
            verified=row["verified"],
            acted_on=row["acted_on"],
            redemptions=row["redemptions"],
        )
        async for customer, row in rows_of_customers(pool, book, _MOVEMENTS, customers, 0, until, to, starts)
        if row["stretch"] is not None
    ]


async def customer_messages(
    pool: asyncpg.Pool[Any], book: Book, customers: Sequence[int], *, after: int, until: int
) -> list[CustomerMessage]:
    """On which messages ``customers`` were reported with ``after < seq <= until``. One may be listed more than once."""
    return [
        CustomerMessage(customer, row["channel"], row["message_id"], row["verified"])
        async for customer, row in rows_of_customers(pool, book, _MESSAGES, customers, after, until)
        if row["channel"] is not None
    ]


async def act_hours(pool: asyncpg.Pool[Any], book: Book, *, after: int, until: int) -> list[ActHour]:
    """At which hours of the week customers acted, with ``after < seq <= until``. One may be listed more than once."""
    found: list[ActHour] = []
    for begin in range(after, until, LOG_ROWS):
        piece = (begin, min(begin + LOG_ROWS, until))
        found += [ActHour(*row) for row in await pool.fetch(_HOURS, book.book_id, book.brand_id, *piece)]
    return found


async def rows_of_customers(
    pool: asyncpg.Pool[Any], book: Book, statement: str, customers: Sequence[int], after: int, until: int, *rest: Any
) -> AsyncIterator[tuple[int, asyncpg.Record]]:
    """The rows of a statement for some customers at a time, and again for those of whom there is more to read."""
    for some in _parts(customers):
        left: dict[int, int] = dict.fromkeys(some, after)
        while left:
            numbers = list(left)
            rows = await fetch_by_index(
                pool, statement, book.book_id, book.brand_id, numbers, list(left.values()), until, TRANSFERS_AT_ONCE, *rest
            )
            read: dict[int, int] = dict.fromkeys(numbers, 0)
            for row in rows:
                place: int = row["n"]
                customer = numbers[place - 1]
                read[customer] += row["transfers"]
                left[customer] = max(left[customer], row["last_seq"])
                yield customer, row
            left = {customer: left[customer] for customer in numbers if read[customer] == TRANSFERS_AT_ONCE}


async def fetch_by_index(pool: asyncpg.Pool[Any], statement: str, *arguments: Any) -> list[asyncpg.Record]:
    """With a plan of its own, and by the index that has the order, so that never all of a table is read."""
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        await connection.execute(_PLANNED)
        return await connection.fetch(statement, *arguments)


def _parts(customers: Sequence[int]) -> Iterator[Sequence[int]]:
    for begin in range(0, len(customers), CUSTOMERS_AT_ONCE):
        yield customers[begin : begin + CUSTOMERS_AT_ONCE]
