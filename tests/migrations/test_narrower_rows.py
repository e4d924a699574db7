"""The log and the events are written anew by a migration: every row is there afterwards as it was."""

from __future__ import annotations

import asyncpg

from migrations.upgrade import upgrade
from tests.conftest import Database
from tests.migrations.test_upgrade import empty_database

__all__ = ["empty_database"]

# Columns that came later are beside the point.
_ROWS = "SELECT to_jsonb(line.*) - 'due_on' - 'personal_hash' FROM {} AS line ORDER BY line.seq"


async def test_the_rows_there_are_stay_as_they_were(empty_database: Database) -> None:
    await upgrade(empty_database.owner_url, revision="0011")
    connection = await asyncpg.connect(empty_database.owner_url)
    await connection.execute(
        """
        INSERT INTO ledger.transfer (
            book_id, seq, posted_at, occurred_at, amount, customer, transaction_id, due_at, campaign_no, verb, debit, credit,
            event_key, details_hash
        )
        SELECT
            1, n, now() + n * interval '1 second', now(), n * 10, nullif(n, 2), n + 3, CASE n WHEN 1 THEN now() END,
            nullif(n, 3), 2, decode(md5('d' || n), 'hex'), decode(md5('c' || n), 'hex'), decode(md5('k' || n), 'hex'), '\\x0102'
        FROM generate_series(1, 3) AS n
        """
    )
    await connection.execute(
        """
        INSERT INTO ledger.event (
            book_id, campaign_no, key, customer, seq, points, window_at, decided_at, due_at, campaign_version, principal,
            outcome, rule, grade, action, channel, message_id, qualifier, source, metadata, salt, terms, place
        )
        SELECT
            1, 5, decode(md5('k' || n), 'hex'), n, n, n * 10, now(), now() + n * interval '1 second', now(), 6, 7, 4,
            8, 'C', 'click', 'email', 'message', 'qualifier', 'api', '{}', '\\x01', 'terms', n
        FROM generate_series(1, 3) AS n
        """
    )
    tables = ("ledger.transfer", "ledger.event")
    before = [await connection.fetch(_ROWS.format(table)) for table in tables]
    await upgrade(empty_database.owner_url)
    after = [await connection.fetch(_ROWS.format(table)) for table in tables]
    places = await connection.fetchval("SELECT array_agg(place ORDER BY seq) FROM ledger.event")
    await connection.close()
    assert after == before
    assert [len(rows) for rows in after] == [3, 3]
    assert places == [1, 2, 3]
