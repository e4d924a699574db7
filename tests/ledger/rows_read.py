"""How many rows statements read, as PostgreSQL counts them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

_READ = """
SELECT relname, coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) AS rows
FROM pg_stat_xact_user_tables WHERE schemaname = 'ledger' ORDER BY relname
"""


@asynccontextmanager
async def counting_rows(owner: asyncpg.Connection[Any]) -> AsyncGenerator[dict[str, int]]:
    """How many rows of each table the body reads, filled in at its end. What it writes is rolled back.

    A backend adds its counts to the shared ones at most once a second, and until then those of earlier transactions would be
    counted with the body's: so they are flushed first.
    """
    rows: dict[str, int] = {}
    await owner.execute("SELECT pg_stat_force_next_flush()")
    transaction = owner.transaction()
    await transaction.start()
    try:
        yield rows
        rows.update({row["relname"]: row["rows"] for row in await owner.fetch(_READ)})
    finally:
        await transaction.rollback()


PLANS = ("force_custom_plan", "force_generic_plan")
"""How a statement may be planned: for what it asks for, or once for whatever is asked for. From the sixth time on PostgreSQL
chooses what looks cheaper.
"""


@pytest.fixture
async def never_analyzed(owner: asyncpg.Connection[Any]) -> None:
    """Autovacuum keeps away: whether it comes in the meantime is chance, and what is small and analyzed is scanned."""
    tables = await owner.fetch(
        "SELECT oid::regclass::text AS name FROM pg_class WHERE relkind = 'r' AND relnamespace = 'ledger'::regnamespace"
    )
    await owner.execute("".join(f"ALTER TABLE {each['name']} SET (autovacuum_enabled = false);" for each in tables))


class OneConnection:
    """A pool of the connection whose reads are counted."""

    def __init__(self, connection: asyncpg.Connection[Any]) -> None:
        self._connection = connection
        self.fetch = connection.fetch
        self.fetchrow = connection.fetchrow
        self.fetchval = connection.fetchval

    @asynccontextmanager
    async def acquire(self) -> AsyncGenerator[asyncpg.Connection[Any]]:
        """The connection itself."""
        yield self._connection
