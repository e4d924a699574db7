"""Erasing again what a restored backup has brought back, before anything is served from it."""

from __future__ import annotations

from typing import Any, NamedTuple

import asyncpg

from ledger import Ledger
from service.erasure import eraser, list_file
from service.settings import Settings
from service.storage import database

# Only customers whom the database knows as they were before.
_ASK = """
INSERT INTO rewards.erasure (brand_id, customer, erases_at)
SELECT brand.brand_id, customer.customer, clock_timestamp()
FROM rewards.brand
JOIN rewards.customer ON customer.brand_id = brand.brand_id
WHERE brand.code = $1 AND customer.customer = ANY($2::bigint[]) AND customer.merged_into IS NULL AND customer.erased_at IS NULL
ON CONFLICT (customer) WHERE state IN ('waiting', 'erasing') DO UPDATE SET erases_at = excluded.erases_at
"""
_LEFT = (
    "SELECT count(*) FROM rewards.erasure WHERE state <> 'erased' AND numbers = '{}' AND asked_by IS NULL AND NOT by_customer"
)


class Reapplied(NamedTuple):
    """How many erasures were made again, and how many wait for points that are held."""

    made: int
    waiting: int


async def reapply(settings: Settings) -> Reapplied:
    """Make the erasures on the list that the database knows nothing of. Again it does nothing."""
    listed = list_file.read(settings.erasures_path)
    if not listed:
        return Reapplied(0, 0)
    owner = await database.connect(settings.owner_url)
    try:
        async with owner.transaction():
            for each in listed:
                await owner.execute(_ASK, each.brand, each.numbers)
        made = await _erase(settings)
        return Reapplied(made, await owner.fetchval(_LEFT))
    finally:
        await owner.close()


async def _erase(settings: Settings) -> int:
    pool: asyncpg.Pool[Any] = await database.create_pool(settings.database_url, database.WORKER_ROLE, size=2)
    posting = await database.create_pool(settings.database_url, database.APPLICATION_ROLE, size=1)
    engine = database.create_engine(settings.database_url, database.WORKER_ROLE, size=1)
    made = 0
    try:
        async with Ledger(posting) as ledger:
            while erased := await eraser.run_once(settings, pool, engine, ledger):
                made += erased
    finally:
        pool.terminate()
        posting.terminate()
        await engine.dispose()
    return made
