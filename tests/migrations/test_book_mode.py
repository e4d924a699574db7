"""Books that were opened before books knew their brand's mode learn it from the brand."""

from __future__ import annotations

import asyncpg

from migrations.upgrade import upgrade
from tests.conftest import Database
from tests.migrations.test_upgrade import empty_database

__all__ = ["empty_database"]


async def test_the_books_there_are_get_the_mode_of_their_brand(empty_database: Database) -> None:
    await upgrade(empty_database.owner_url, revision="0004")
    connection = await asyncpg.connect(empty_database.owner_url)
    for book_id, mode in ((1, "live"), (2, "test")):
        await connection.execute(
            "INSERT INTO ledger.head (book_id, brand_id, unit, time_zone, issue_limit) VALUES ($1, $1, 'P', 'UTC', 1)", book_id
        )
        await connection.execute(
            """
            INSERT INTO rewards.brand
                (code, name, mode, points_code, points_name, currency, time_zone, book_id, accent_color)
            VALUES ($2, $2, $2, 'PTS', 'Points', 'EUR', 'UTC', $1, '#000000')
            """,
            book_id,
            mode,
        )
    await upgrade(empty_database.owner_url)
    modes = await connection.fetch("SELECT book_id, mode FROM ledger.head ORDER BY book_id")
    await connection.close()
    assert [tuple(row) for row in modes] == [(1, "live"), (2, "test")]
