"""The agent that erases customers whose notice is over.

    1. the book     what is left is forfeited, and nothing is posted to the customer any more
    2. look-ups     names become tombstones, in one transaction; from then on they are nobody's
    3. the rest     details in the book, answers under idempotency keys, clicks
    4. the list     outside the database, so that a backup is erased again once it is restored

Each step may be taken again: a worker that is killed leaves the next one the rest. The brand's merges wait for 1 and 2. While
points are held, an erasure is put off. 3 waits until corrections of many have noted what came of the customer's lines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import EraseOutcome, Ledger, erase_answers, erase_customer, erase_details
from service.brands.brand import Brand
from service.brands.queries import list_brands
from service.customers import queries as customers
from service.customers.queries import Connection
from service.erasure import list_file, queries
from service.erasure.queries import Erasure
from service.evidence.click_log import message_key
from service.settings import Settings

AT_ONCE = 50
_PUT_OFF = "UPDATE rewards.erasure SET erases_at = clock_timestamp() + interval '1 hour' WHERE erasure_no = $1"
_MESSAGES = "SELECT DISTINCT customer, message_id FROM rewards.link WHERE customer = ANY($1::bigint[]) AND message_id <> ''"
_LOOK_UPS = "SELECT rewards.erase_customer_v1($1, $2, $3)"
_UNDER_WAY = Path(__file__).with_name("sql").joinpath("customers_under_way.sql").read_text()
_CLICKS = "DELETE FROM rewards.touch WHERE message = ANY($1::bytea[])"
_DONE = """
UPDATE rewards.erasure SET state = 'erased', erased_at = clock_timestamp(), messages = '{}'
WHERE erasure_no = $1 AND state = 'erasing'
"""


async def run_once(settings: Settings, pool: asyncpg.Pool[Any], engine: AsyncEngine, ledger: Ledger) -> int:
    """Erase those who are due. Returns how many erasures were finished. ``pool`` and ``engine`` have the worker's role."""
    open_ones = await queries.due(engine, limit=AT_ONCE)
    if not open_ones:
        return 0
    brands = {brand.brand_id: brand for brand in await list_brands(engine)}
    for each in open_ones:
        if each.state == "waiting":
            await _begin(pool, ledger, brands[each.brand_id], each)
    begun = await _settled(pool, [each for each in await queries.due(engine, limit=AT_ONCE) if each.state == "erasing"])
    await _finish(settings, pool, brands, begun)
    return len(begun)


async def _begin(pool: asyncpg.Pool[Any], ledger: Ledger, brand: Brand, erasure: Erasure) -> None:
    """Erase a customer from the book, and then from the look-ups, while nobody is merged with them."""
    async with pool.acquire() as connection, connection.transaction():
        await customers.lock(connection, brand)
        known = await customers.find_by_number(connection, erasure.customer)
        assert known is not None
        numbers = (known.customer, *known.former)
        if known.generation:
            # The book may not have followed the customer's last merge.
            await ledger.align(brand.book, await customers.standings(pool, known.customer, {*known.former, *known.past}))
        erased = await erase_customer(pool, brand.book, numbers)
        if erased.outcome is EraseOutcome.POINTS_HELD:
            await connection.execute(_PUT_OFF, erasure.erasure_no)
            return
        messages = await _messages(connection, numbers)
        await connection.execute(_LOOK_UPS, erasure.erasure_no, messages, erased.points)


async def _messages(connection: Connection, numbers: Sequence[int]) -> list[bytes]:
    """What the clicks on links of these customers are found by."""
    return [message_key(*row) for row in await connection.fetch(_MESSAGES, numbers)]


async def _settled(pool: asyncpg.Pool[Any], begun: Sequence[Erasure]) -> list[Erasure]:
    """Those of whom no correction of many is under way. A line that was posted and is not noted is found again by its answer,
    which must stay until then; none is posted once the book has erased its customer.
    """
    rows = await pool.fetch(_UNDER_WAY, [number for each in begun for number in each.numbers])
    under_way = {row["customer"] for row in rows}
    return [each for each in begun if under_way.isdisjoint(each.numbers)]


async def _finish(settings: Settings, pool: asyncpg.Pool[Any], brands: Mapping[int, Brand], begun: Sequence[Erasure]) -> None:
    for brand_id, of_brand in groupby(sorted(begun, key=lambda each: each.brand_id), key=lambda each: each.brand_id):
        brand, erasures = brands[brand_id], list(of_brand)
        numbers = [number for each in erasures for number in each.numbers]
        await erase_details(pool, brand.book, numbers)
        # All answers of the book are read for it: once for all who are erased now.
        await erase_answers(pool, brand.book, numbers)
        for each in erasures:
            await pool.execute(_CLICKS, each.messages)
            list_file.append(settings.erasures_path, brand, each)
            await pool.execute(_DONE, each.erasure_no)
