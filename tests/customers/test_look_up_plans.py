"""A customer is looked up by index, whatever the planner knew of the tables when it made its plan."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from service.brands.brand import Brand
from service.customers import queries as rows
from service.customers.identities import Identity, own_identity
from service.customers.verification import queries as verification_queries
from service.settings import IdentityKey
from service.storage.database import APPLICATION_ROLE, connect
from tests.api_fixtures import make_brand
from tests.conftest import Database

KEYS = (IdentityKey(key_no=1, key=bytes(32)), IdentityKey(key_no=2, key=bytes(reversed(range(32)))))
PEOPLE = 20_000

_SCANS = """
SELECT coalesce(sum(seq_scan), 0)::int AS whole, coalesce(sum(idx_scan), 0)::int AS by_index FROM pg_stat_xact_user_tables
WHERE schemaname = 'rewards' AND relname IN ('customer', 'identity', 'verification')
"""

_PROVE = """
INSERT INTO rewards.verification (brand_id, identity_no, method, proof, happened_at, api_key_id)
SELECT identity.brand_id, identity.identity_no, 'otp', 'otp-1', now(), 1 FROM rewards.identity;
UPDATE rewards.identity SET verified_by = verification.verification_no
FROM rewards.verification WHERE verification.identity_no = identity.identity_no
"""


async def scans_when_planned_once(connection: asyncpg.Connection[Any], brand: Brand) -> int:
    """The same for the look-ups of several who wait together, whose plan is made once."""
    async with connection.transaction():
        for n in range(12):
            await rows.find_stored(connection, rows.macs_of([_name(brand, each) for each in range(n, n + n * n + 1)]))
        (read,) = await connection.fetch(_SCANS)
    assert read["by_index"] > 0
    return read["whole"]


async def scans(connection: asyncpg.Connection[Any], brand: Brand) -> int:
    """How often a table is read whole when one customer is looked up more often than a plan is made anew."""
    async with connection.transaction():
        for n in range(12):
            await rows.find(connection, [_name(brand, n)])
            await rows.find_by_number(connection, n + 1)
            await rows.find_numbers(connection, brand.brand_id, [n + 1])
            await rows.find_proved(connection, [_name(brand, n)])
            await verification_queries.states_of_macs(
                connection, rows.macs_of([_name(brand, each) for each in range(n, n + 50)])
            )
            await verification_queries.states_of_customer(connection, [n + 1, n + 2], after=0, limit=100)
            await verification_queries.state(connection, brand.brand_id, n + 1)
            await verification_queries.find_proof(connection, n + 1, "otp", "otp-1")
            await verification_queries.history(connection, n + 1, after=0, limit=100)
            await rows.refresh_verified(connection, [1, n + 1])
            await rows.device_only(connection, [1, n + 1])
        (read,) = await connection.fetch(_SCANS)
    assert read["by_index"] > 0
    return read["whole"]


def _name(brand: Brand, n: int) -> Identity:
    return own_identity(KEYS, brand.brand_id, f"c-{n}")


@pytest.mark.own_database("leaves statistics")
async def test_a_look_up_reads_no_table_whole(owner: asyncpg.Connection[Any], database: Database) -> None:
    brand = await make_brand(owner)
    connection = await connect(database.application_url, APPLICATION_ROLE)
    once = await connect(database.application_url, APPLICATION_ROLE, planned_once=True)
    assert await scans(connection, brand) == 0, "empty, never analyzed"
    assert await scans_when_planned_once(once, brand) == 0, "empty, never analyzed"
    numbers = await rows.create(connection, brand, [True] * PEOPLE)
    await rows.attach(connection, brand, [(_name(brand, n), number) for n, number in enumerate(numbers)])
    await owner.execute("UPDATE rewards.customer SET merged_into = 1, generation = 16 WHERE customer BETWEEN 2 AND 8")
    await owner.execute("UPDATE rewards.customer SET absorbed = 7, generation = 16 WHERE customer = 1")
    await owner.execute(_PROVE)
    assert await scans(connection, brand) == 0, "full, never analyzed"
    assert await scans_when_planned_once(once, brand) == 0, "full, never analyzed"
    await owner.execute("ANALYZE")
    assert await scans(connection, brand) == 0, "full, analyzed"
    assert await scans_when_planned_once(once, brand) == 0, "full, analyzed"
    await connection.close()
    await once.close()
