"""Erasing again what a restored backup has brought back, before anything is served from it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import asyncpg

from ledger import Book, Ledger, Operation, Redeem
from service.brands.queries import find_brand
from service.erasure import eraser, list_file
from service.settings import Settings
from service.storage import database

HELD_BACK_MAX = 100_000

# Only customers whom the database knows as they were before.
_ASK = """
INSERT INTO rewards.erasure (brand_id, customer, erases_at)
SELECT brand.brand_id, customer.customer, clock_timestamp()
FROM rewards.brand
JOIN rewards.customer ON customer.brand_id = brand.brand_id
WHERE brand.code = $1 AND customer.customer = ANY($2::bigint[]) AND customer.merged_into IS NULL AND customer.erased_at IS NULL
ON CONFLICT (customer) WHERE state IN ('waiting', 'erasing') DO UPDATE SET erases_at = excluded.erases_at
"""
# With the numbers that are one by the backup.
_TO_RELEASE = """
SELECT DISTINCT brand.code, customer.customer
FROM rewards.erasure
JOIN rewards.brand ON brand.brand_id = erasure.brand_id
JOIN rewards.customer ON erasure.customer IN (customer.customer, customer.merged_into)
WHERE erasure.state = 'waiting' AND erasure.customer = ANY($1::bigint[])
"""
_HOLDS = "SELECT id FROM ledger.redemption WHERE book_id = $1 AND customer = $2 AND closed_at IS NULL ORDER BY id"
_LEFT = "SELECT count(*) FROM rewards.erasure WHERE state <> 'erased' AND customer = ANY($1::bigint[])"


class NotErased(Exception):
    """Customers who are on the list of erasures are still in the database."""


async def reapply(settings: Settings) -> int:
    """Make the erasures on the list that the database knows nothing of; returns how many. Again it does nothing.

    Raises ``NotErased`` rather than leave anybody: nothing may be served then.
    """
    listed = list_file.read(settings.erasures_path)
    numbers = sorted({number for each in listed for number in each.numbers})
    if not listed:
        return 0
    owner = await database.connect(settings.owner_url)
    try:
        async with owner.transaction():
            for each in listed:
                await owner.execute(_ASK, each.brand, each.numbers)
        made = await _erase(settings, owner, numbers)
        if left := await owner.fetchval(_LEFT, numbers):
            raise NotErased(f"{left} customers on the list of erasures could not be erased again")
        return made
    finally:
        await owner.close()


async def _erase(settings: Settings, owner: asyncpg.Connection[Any], numbers: Sequence[int]) -> int:
    pool: asyncpg.Pool[Any] = await database.create_pool(settings.database_url, database.WORKER_ROLE, size=2)
    # Each queue of a ledger keeps a connection, and reads take another.
    posting = await database.create_pool(settings.database_url, database.APPLICATION_ROLE, size=5)
    engine = database.create_engine(settings.database_url, database.WORKER_ROLE, size=1)
    made = 0
    try:
        async with Ledger(posting) as ledger:
            for code, each in await owner.fetch(_TO_RELEASE, numbers):
                brand = await find_brand(engine, code)
                assert brand is not None
                await _release(owner, ledger, brand.book, each)
            while erased := await eraser.run_once(settings, pool, engine, ledger):
                made += erased
    finally:
        pool.terminate()
        posting.terminate()
        await engine.dispose()
    return made


async def _release(owner: asyncpg.Connection[Any], ledger: Ledger, book: Book, customer: int) -> None:
    """Give back what the backup holds for a customer. By their erasure it was captured, given back, approved or rejected:
    nobody is erased while points are held.
    """
    for hold in await owner.fetch(_HOLDS, book.book_id, customer):
        key = f"erased again {hold['id']}"
        request = hashlib.sha256(key.encode()).digest()
        await ledger.redeem(Redeem(book=book, operation=Operation.VOID, key=key, request_hash=request, redemption=hold["id"]))
    for event in await ledger.held_back(book, [customer], limit=HELD_BACK_MAX):
        await ledger.reject(book, event.campaign_no, event.key)
