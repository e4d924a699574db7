"""What the benchmarks' books are filled with is what the ledger itself would have written."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from bench.books import LOTS, POINTS, Population, customer_id, email, fill
from ledger import Ledger, audit, sweep
from ledger.testing import order
from service.brands.brand import Brand
from service.customers.identities import identities
from service.customers.schemas import CustomerRef
from service.http.problems import Problem
from service.settings import IdentityKey
from tests.api_fixtures import make_brand

if TYPE_CHECKING:
    from tests.conftest import Database

pytestmark = pytest.mark.own_database("drops and makes constraints")

KEY = IdentityKey(key_no=1, key=bytes(range(32)))


async def _violated(owner: asyncpg.Connection[Any], brand: Brand) -> list[str]:
    return [finding.invariant for finding in await audit(owner, brand.book) if finding.violations]


async def test_a_filled_book_is_sound_and_can_be_posted_to(
    database: Database, owner: asyncpg.Connection[Any], ledger: Ledger
) -> None:
    brand = await make_brand(owner)
    population = Population(customers=40, grants=2 * LOTS)
    await fill(database.owner_url, brand.book, population, campaigns=[2, 3, 5], principal=1, identity_key=KEY)

    assert await _violated(owner, brand) == []
    assert (await ledger.head(brand.book)).seq == 3 + population.transfers
    campaigns = await owner.fetch("SELECT campaign_no, count(*), min(seq) FROM ledger.event GROUP BY 1 ORDER BY 1")
    each = population.transfers // 3
    assert [tuple(row) for row in campaigns] == [(2, each, 4), (3, each, 4 + each), (5, each, 4 + 2 * each)]
    balance = await ledger.balance(brand.book, 40)
    assert (balance.spendable, len(balance.lots)) == (POINTS * 2 * LOTS, LOTS)
    assert len(await ledger.statement(brand.book, 1, before=None, limit=100)) == 2 * LOTS
    now = datetime.now(UTC)
    result = await ledger.grant(order(brand.book, customer=40, points=5, campaign_no=5, at=now))
    assert result.balance == balance.spendable + 5
    assert await _violated(owner, brand) == []


async def test_dead_lots_are_there_to_be_swept(
    database: Database, owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any], ledger: Ledger
) -> None:
    brand = await make_brand(owner)
    await fill(database.owner_url, brand.book, Population(customers=20, dead=4), campaigns=[1], principal=1)

    assert (await ledger.balance(brand.book, 7)).spendable == POINTS * (LOTS - 4)
    assert await sweep(worker_pool, brand.book, limit=1_000) == 20
    assert await _violated(owner, brand) == []
    expired = await owner.fetchval("SELECT count(*) FROM ledger.transfer WHERE verb = 10")
    assert expired == 4 * 20


async def test_events_can_be_of_the_first_customers_alone(
    database: Database, owner: asyncpg.Connection[Any], ledger: Ledger
) -> None:
    brand = await make_brand(owner)
    await fill(database.owner_url, brand.book, Population(customers=20, events_of=3), campaigns=[1], principal=1)

    counts = await owner.fetch("SELECT customer, count(*) FROM ledger.event GROUP BY 1 ORDER BY 1")
    assert [tuple(row) for row in counts] == [(1, LOTS), (2, LOTS), (3, LOTS)]
    assert (await ledger.balance(brand.book, 20)).spendable == POINTS * LOTS
    assert set(await _violated(owner, brand)) == {"one_transfer_an_event", "daily_movements_equal_the_log"}


async def test_customers_are_found_under_the_names_that_the_load_calls_them(
    database: Database, owner: asyncpg.Connection[Any]
) -> None:
    brand = await make_brand(owner)
    await fill(database.owner_url, brand.book, Population(customers=12), campaigns=[1], principal=1, identity_key=KEY)

    rows = await owner.fetch("SELECT mac, customer FROM rewards.identity")
    found = {row["mac"]: row["customer"] for row in rows}
    for number in range(1, 13):
        named = identities(CustomerRef(id=customer_id(number), email=email(number)), brand.brand_id, [KEY])
        assert not isinstance(named, Problem)
        assert [found[identity.mac] for identity in named] == [number, number]
    assert len(found) == 2 * 12
    # The next customer gets a number of her own.
    assert await owner.fetchval("INSERT INTO rewards.customer (brand_id, book_id, confirmed) VALUES (1, 1, true) RETURNING 1")
    assert await owner.fetchval("SELECT max(customer) FROM rewards.customer") == 13


async def test_filling_leaves_the_tables_as_they_were_made(database: Database, owner: asyncpg.Connection[Any]) -> None:
    described = """
        SELECT array_agg(indexdef ORDER BY indexdef) FROM pg_indexes WHERE schemaname IN ('ledger', 'rewards')
    """
    constrained = """
        SELECT array_agg(conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
            ORDER BY conrelid::regclass::text, conname)
        FROM pg_constraint WHERE connamespace IN ('ledger'::regnamespace, 'rewards'::regnamespace)
    """
    before = [await owner.fetchval(described), await owner.fetchval(constrained)]
    brand = await make_brand(owner)
    await fill(database.owner_url, brand.book, Population(customers=3), campaigns=[1], principal=1, identity_key=KEY)
    assert [await owner.fetchval(described), await owner.fetchval(constrained)] == before


async def test_a_tree_from_before_days_were_added_up_is_filled_too(database: Database, owner: asyncpg.Connection[Any]) -> None:
    brand = await make_brand(owner)
    await owner.execute("DROP TABLE ledger.daily_movement")
    await fill(database.owner_url, brand.book, Population(customers=20), campaigns=[1], principal=1)
    assert await owner.fetchval("SELECT seq FROM ledger.head") == 1 + 20 * LOTS
