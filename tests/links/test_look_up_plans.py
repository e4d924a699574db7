"""A link is looked up by index, whatever the planner knew of the tables when it made its plan."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from service.code_batches.queries import batch_codes_by_hash
from service.customers.queries import Customer
from service.links.queries import link_ids_by_code, links_by_id
from service.storage.database import APPLICATION_ROLE, connect
from tests.api_fixtures import make_brand
from tests.conftest import Database

LINKS = 20_000

_SCANS = """
SELECT coalesce(sum(seq_scan), 0)::int AS whole, coalesce(sum(idx_scan), 0)::int AS by_index FROM pg_stat_xact_user_tables
WHERE schemaname = 'rewards' AND relname IN (
    'link', 'link_code', 'link_revocation', 'batch_code', 'code_batch', 'destination', 'customer'
)
"""
_LOAD = """
INSERT INTO rewards.destination (brand_id, url)
SELECT brand.brand_id, 'https://shop.example/' || n FROM rewards.brand, generate_series(1, 5000) AS n;
INSERT INTO rewards.customer (brand_id, book_id, confirmed)
SELECT brand.brand_id, 1, n % 2 = 0 FROM rewards.brand, generate_series(1, 20000) AS n;
UPDATE rewards.customer SET merged_into = 1 WHERE customer = 4;
UPDATE rewards.customer SET verified = true WHERE customer = 3;
UPDATE rewards.customer SET absorbed = 1 WHERE customer = 1;
INSERT INTO rewards.link (
    link_id, brand_id, campaign_no, campaign_version, customer, message_id, action, channel, label, destination_no, minted_at,
    expires_at, minted_by
)
SELECT
    decode(lpad(to_hex(n), 40, '0'), 'hex'), brand.brand_id, 1, 1, n, 'm-' || n, 'click', 'email', '', 1 + n % 5000, now(),
    now() + interval '1 day', 1
FROM rewards.brand, generate_series(1, 20000) AS n;
INSERT INTO rewards.link_revocation (brand_id, subject, named, revoked_by)
SELECT brand.brand_id, 'message r-' || n, 'r-' || n, 1 FROM rewards.brand, generate_series(1, 20000) AS n;
INSERT INTO rewards.code_batch (
    brand_id, id, campaign_no, campaign_version, action, channel, destination_no, codes, control_total, kid, made_at,
    expires_at, made_by
)
SELECT brand.brand_id, 'packs-' || n, 1, 1, 'scan', 'pack', 0, 4, '', '1', now(), now() + interval '1 day', 1
FROM rewards.brand, generate_series(1, 5000) AS n;
INSERT INTO rewards.batch_code (code_hash, batch_no, serial)
SELECT decode(lpad(to_hex(n), 32, '0'), 'hex'), 1 + n % 5000, n FROM generate_series(1, 20000) AS n;
INSERT INTO rewards.link_code (code_hash, link_id)
SELECT decode(lpad(to_hex(n), 32, '0'), 'hex'), decode(lpad(to_hex(n), 40, '0'), 'hex') FROM generate_series(1, 20000) AS n;
"""


def code_hash_of(n: int) -> bytes:
    """As it is loaded."""
    return n.to_bytes(16, "big")


def link_id(n: int) -> bytes:
    """As it is loaded."""
    return n.to_bytes(20, "big")


async def scans(connection: asyncpg.Connection[Any]) -> int:
    """How often a table is read whole when links are looked up more often than a plan is made anew."""
    async with connection.transaction():
        for n in range(12):
            await links_by_id(connection, [link_id(n), link_id(LINKS + n)])
            await links_by_id(connection, [link_id(each) for each in range(100 * n, 100 * n + 100)])
            code_hashes = [code_hash_of(each) for each in range(100 * n, 100 * n + 100)]
            await link_ids_by_code(connection, code_hashes)
            await batch_codes_by_hash(connection, code_hashes)
        (read,) = await connection.fetch(_SCANS)
    assert read["by_index"] > 0
    return read["whole"]


@pytest.mark.own_database("leaves statistics")
async def test_a_look_up_reads_no_table_whole(owner: asyncpg.Connection[Any], database: Database) -> None:
    connection = await connect(database.application_url, APPLICATION_ROLE)
    assert await scans(connection) == 0, "empty, never analyzed"
    await make_brand(owner)
    await owner.execute(_LOAD)
    assert await scans(connection) == 0, "full, never analyzed"
    await owner.execute("ANALYZE")
    assert await scans(connection) == 0, "full, analyzed"
    assert await link_ids_by_code(connection, [code_hash_of(7), code_hash_of(LINKS + 1)]) == {code_hash_of(7): link_id(7)}
    # Who was merged with others is not all said here.
    found = await links_by_id(connection, [link_id(n) for n in (1, 2, 3, 4, LINKS + 1)])
    assert [found[link_id(n)].known for n in (1, 2, 3, 4)] == [
        None,
        Customer(2, confirmed=True, former=(), named=2),
        Customer(3, confirmed=False, former=(), named=3, verified=True),
        None,
    ]
    assert len(found) == 4
    await connection.close()
