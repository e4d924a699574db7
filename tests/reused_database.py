"""The database that a worker's tests use one after the other. It is emptied after each, which costs a tenth of making one.

    lend    the database, as it came from the template; afterwards connections end, rows are deleted and sequences reset, and it
            is asserted that nothing is left, and after some tests that the schema is as it was
    having  what many tests begin with: made by the first of them, and for the others its rows are put back
    auditor a connection that only looks, and stays open: what it asks is planned once
    end     its schema is looked at, and it is dropped; the next test gets a new one

A test that changes the schema, rights or the database itself gets one of its own: see the marker ``own_database``.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import asyncpg

from service.storage import database as service_database
from tests.reused_connections import ReusedConnections

if TYPE_CHECKING:
    from tests.conftest import Database

Made = TypeVar("Made")

DEAD_ROWS_MAX = 20_000
"""Scans still pass over what was deleted; beyond so many rows a new database is cheaper."""
CHECKED_TOGETHER = 10
"""So many tests are followed by one look at the catalog, which takes longer than to empty the tables."""
CLOSE_S = 1.0
"""How long connections that were closed may take to be gone. Those that are left then were not closed, and are ended."""

_PLANNED_ONCE = {"application_name": "tests", "plan_cache_mode": "force_generic_plan"}

_RELATIONS = """
SELECT relkind::text AS kind, relation.oid::regclass::text AS name
FROM pg_class AS relation JOIN pg_namespace AS namespace ON namespace.oid = relnamespace
WHERE nspname IN ('ledger', 'rewards') AND relkind IN ('r', 'p', 'S') AND NOT relispartition
"""

_SCHEMAS = "SELECT array_agg(oid) FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%'"
_CATALOGUED = "SELECT array_agg(oid) FROM pg_class WHERE relnamespace = ANY ($1::oid[])"

# How many rows the catalog has of what is in these schemas ($1) and of these relations ($2), and which transaction wrote the
# newest of them: each change writes a row or deletes one. ANALYZE and VACUUM change rows in place.
_CATALOG = """
SELECT count(*) || ':' || (age('3'::xid) - min(written_ago)) FROM (
    SELECT age(xmin) AS written_ago FROM pg_class WHERE relnamespace = ANY ($1::oid[])
    UNION ALL SELECT age(xmin) FROM pg_attribute WHERE attrelid = ANY ($2::oid[])
    UNION ALL SELECT age(xmin) FROM pg_constraint WHERE connamespace = ANY ($1::oid[])
    UNION ALL SELECT age(xmin) FROM pg_trigger WHERE tgrelid = ANY ($2::oid[])
    UNION ALL SELECT age(xmin) FROM pg_rewrite WHERE ev_class = ANY ($2::oid[])
    UNION ALL SELECT age(xmin) FROM pg_proc WHERE pronamespace = ANY ($1::oid[])
    UNION ALL SELECT age(xmin) FROM pg_type WHERE typnamespace = ANY ($1::oid[])
    UNION ALL SELECT age(xmin) FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%'
    UNION ALL SELECT age(xmin) FROM pg_database WHERE datname = current_database()
    UNION ALL SELECT age(setting.xmin) FROM pg_db_role_setting AS setting
        JOIN pg_database ON pg_database.oid = setdatabase WHERE datname = current_database()
) AS catalog
"""

_EMPTY = """
CREATE FUNCTION pg_temp.empty(p_tables text[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_table text;
    v_rows bigint;
    v_deleted bigint := 0;
BEGIN
    FOREACH v_table IN ARRAY p_tables LOOP
        EXECUTE 'DELETE FROM ' || v_table;
        GET DIAGNOSTICS v_rows = ROW_COUNT;
        v_deleted := v_deleted + v_rows;
    END LOOP;
    RETURN v_deleted;
END
$$
"""

# The statements that make the rows of a table and the state of a sequence again.
_INSERT = """
SELECT format(
    'INSERT INTO %1$s OVERRIDING SYSTEM VALUE SELECT * FROM jsonb_populate_recordset(NULL::%1$s, %2$L)',
    $1::text, jsonb_agg(written)
)
FROM {} AS written
"""
_SETVAL = "SELECT format('SELECT setval(%L, %s, %L)', $1::text, last_value, is_called) FROM {}"

# Connections that are kept may stay, unless they have something to do or hold a lock.
_OTHERS = """
FROM pg_stat_activity AS activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
    AND (pid <> ALL ($1::integer[]) OR state <> 'idle' OR EXISTS (SELECT FROM pg_locks WHERE pg_locks.pid = activity.pid))
"""


class ReusedDatabase:
    """One worker's database."""

    def __init__(self, create: Callable[[], Awaitable[Database]], drop: Callable[[Database], Awaitable[None]]) -> None:
        self._create = create
        self._drop = drop
        self._database: Database | None = None
        self._cleaner: _Cleaner | None = None
        self._connections = ReusedConnections()
        self._made: tuple[Any, str] | None = None
        """What ``having`` returns, and what writes its rows."""
        self._auditor: asyncpg.Connection[Any] | None = None

    @contextlib.asynccontextmanager
    async def lend(self, test: str) -> AsyncGenerator[Database]:
        """Give the database to a test, and make it as it was before. One that cannot be emptied is dropped; the test fails."""
        if self._database is None:
            self._database = await self._create()
            self._cleaner = await _Cleaner.open(self._database.owner_url)
        with self._connections.of(self._database.owner_url, self._database.application_url):
            yield self._database
        await self._take_back(test)

    async def having(self, database: Database, make: Callable[[], Awaitable[Made]]) -> Made:
        """What ``make`` returns and writes into an empty database. Always the same function, asked once of this database."""
        if database is not self._database or self._cleaner is None:
            return await make()
        if self._made is None:
            made = await make()
            self._made = made, await self._cleaner.note_written()
            return made
        made, noted = self._made
        await self._cleaner.write_again(noted)
        return made

    async def auditor(self, database: Database) -> asyncpg.Connection[Any] | None:
        """The owner's connection to this database for those who change nothing; ``None`` if the database is another."""
        if database is not self._database:
            return None
        if self._auditor is None or self._auditor.is_closed():
            self._auditor = await asyncpg.connect(database.owner_url, server_settings=_PLANNED_ONCE)
            await service_database._use_msgspec_for_jsonb(self._auditor)  # pyright: ignore[reportPrivateUsage]
        return self._auditor

    async def _take_back(self, test: str) -> None:
        assert self._cleaner is not None
        auditing = [] if self._auditor is None or self._auditor.is_closed() else [self._auditor.get_server_pid()]
        try:
            await self._cleaner.clean([*self._connections.pids(), *auditing], test)
        except BaseException:
            await self.drop()
            raise
        if self._cleaner.dead_rows > DEAD_ROWS_MAX:
            await self.end()

    async def end(self) -> None:
        """Look at its schema and drop it; the next test gets a new one."""
        try:
            if self._cleaner is not None:
                await self._cleaner.check_catalog()
        finally:
            await self.drop()

    async def drop(self) -> None:
        """Drop it, whatever has become of it."""
        self._connections.close()
        if self._database is not None and self._cleaner is not None:
            if self._auditor is not None:
                self._auditor.terminate()
            await self._cleaner.close()
            await self._drop(self._database)
        self._database = self._cleaner = self._made = self._auditor = None


class _Cleaner:
    """Empties a database, over a connection that stays open."""

    def __init__(self, url: str) -> None:
        self.dead_rows = 0
        self._url = url
        self._connection: asyncpg.Connection[Any] | None = None
        self._tables: list[str] = []
        self._sequences: list[str] = []
        self._filled: dict[str, list[asyncpg.Record]] = {}
        """The rows of tables that the migrations fill."""
        self._ours: tuple[list[int], list[int]] = [], []
        self._catalog = ""
        self._unchecked: list[str] = []
        """The tests since the catalog was looked at."""

    @classmethod
    async def open(cls, url: str) -> _Cleaner:
        """Note what a database is like before any test."""
        cleaner = cls(url)
        connection = await cleaner._connected()
        for kind, name in await connection.fetch(_RELATIONS):
            (cleaner._sequences if kind == "S" else cleaner._tables).append(name)
        for name in await cleaner._filled_tables(connection):
            cleaner._filled[name] = await connection.fetch(f"SELECT * FROM {name}")
        schemas = await connection.fetchval(_SCHEMAS)
        cleaner._ours = schemas, await connection.fetchval(_CATALOGUED, schemas)
        cleaner._catalog = await connection.fetchval(_CATALOG, *cleaner._ours)
        return cleaner

    async def _connected(self) -> asyncpg.Connection[Any]:
        if self._connection is None or self._connection.is_closed():
            # As a replica: then foreign keys do not say in which order tables are emptied.
            settings = {"session_replication_role": "replica", "lock_timeout": "10s", **_PLANNED_ONCE}
            self._connection = await asyncpg.connect(self._url, server_settings=settings)
            await self._connection.execute(_EMPTY)
        return self._connection

    async def _filled_tables(self, connection: asyncpg.Connection[Any]) -> set[str]:
        probes = ", ".join(f"CASE WHEN EXISTS (SELECT FROM {name}) THEN '{name}' END" for name in self._tables)
        return set(await connection.fetchval(f"SELECT array_remove(ARRAY[{probes}], NULL)"))

    async def clean(self, kept: Iterable[int], test: str) -> None:
        """Leave no row or number of a test behind, nor a connection but those that are ``kept``, by the server's process."""
        connection = await self._connected()
        await _end_others(connection, list(kept))
        written = await self._filled_tables(connection) - set(self._filled)
        self.dead_rows += await connection.fetchval("SELECT pg_temp.empty($1)", list(written))
        for name, rows in self._filled.items():
            await _refill(connection, name, rows)
        await connection.fetch("SELECT " + ", ".join(f"setval('{name}', 1, false)" for name in self._sequences))
        assert await self._filled_tables(connection) == set(self._filled)
        self._unchecked.append(test)
        if len(self._unchecked) == CHECKED_TOGETHER:
            await self.check_catalog()

    async def check_catalog(self) -> None:
        """Assert that the schema is as it was."""
        connection = await self._connected()
        suspects, self._unchecked = self._unchecked, []
        found = await connection.fetchval(_CATALOG, *self._ours) if suspects else self._catalog
        assert found == self._catalog, f"one of these changes the schema, mark it own_database: {', '.join(suspects)}"

    async def note_written(self) -> str:
        """What writes again the rows that there are now, and sets the sequences, in an empty database."""
        connection = await self._connected()
        tables = await self._filled_tables(connection) - set(self._filled)
        inserts = [await connection.fetchval(_INSERT.format(table), table) for table in tables]
        setvals = [await connection.fetchval(_SETVAL.format(name), name) for name in self._sequences]
        return ";".join(inserts + setvals)

    async def write_again(self, noted: str) -> None:
        """Put back what was noted."""
        await (await self._connected()).execute(noted)

    async def close(self) -> None:
        """Close the connection, unless a test has."""
        if self._connection is not None:
            with contextlib.suppress(OSError, asyncpg.PostgresError):
                await self._connection.close(timeout=1)


async def _end_others(connection: asyncpg.Connection[Any], kept: list[int]) -> None:
    """Wait until connections that were closed are gone, and end the others."""
    began = asyncio.get_running_loop().time()
    async with asyncio.timeout(10 * CLOSE_S):
        while await connection.fetchval(f"SELECT count(*) {_OTHERS}", kept):
            if asyncio.get_running_loop().time() > began + CLOSE_S:
                await connection.fetch(f"SELECT pg_terminate_backend(pid) {_OTHERS}", kept)
            await asyncio.sleep(0.002)


async def _refill(connection: asyncpg.Connection[Any], table: str, rows: list[asyncpg.Record]) -> None:
    if await connection.fetch(f"SELECT * FROM {table}") != rows:
        await connection.fetchval("SELECT pg_temp.empty($1)", [table])
        schema, _, name = table.partition(".")
        await connection.copy_records_to_table(name, schema_name=schema, records=[tuple(row) for row in rows])
