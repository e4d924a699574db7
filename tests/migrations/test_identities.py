"""Names that were stored before names had numbers get theirs, and are otherwise what they were."""

from __future__ import annotations

import asyncpg

from migrations.upgrade import upgrade
from tests.conftest import Database
from tests.migrations.test_upgrade import empty_database

__all__ = ["empty_database"]


async def test_the_names_there_are_get_numbers_and_are_not_verified(empty_database: Database) -> None:
    await upgrade(empty_database.owner_url, revision="0008")
    connection = await asyncpg.connect(empty_database.owner_url)
    await connection.execute(
        """
        INSERT INTO rewards.customer (brand_id, book_id, confirmed) VALUES (1, 1, true), (1, 1, false);
        INSERT INTO rewards.identity (mac, brand_id, kind, key_no, form, customer)
        SELECT decode(lpad(to_hex(n), 32, '0'), 'hex'), 1, n, 1, 1, least(n, 2) FROM generate_series(1, 3) AS n
        """
    )
    before = await connection.fetch("SELECT * FROM rewards.identity ORDER BY mac")
    await upgrade(empty_database.owner_url)
    after = await connection.fetch("SELECT * FROM rewards.identity ORDER BY mac")
    verified = await connection.fetch("SELECT verified FROM rewards.customer")
    await connection.close()
    # What is new stands behind what was there.
    assert [tuple(row)[: len(before[0])] for row in after] == [tuple(row) for row in before]
    assert len({row["identity_no"] for row in after}) == 3
    assert {row["verified_by"] for row in after} == {None}
    assert [row["verified"] for row in verified] == [False, False]
