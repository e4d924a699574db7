"""Migrations: whoever comes from wherever ends at the same schema, and twice is as good as once."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from ledger import Ledger, functions_digest, install
from ledger.schema import function_statements, schema_statements, statements
from ledger.testing import fund, order
from migrations.target import metadata
from migrations.upgrade import SCHEMA, newest_revision, upgrade
from service.cli.migrate import migrate
from tests.conftest import Database, Server
from tests.ledger.conftest import make_book

pytestmark = pytest.mark.own_database("changes the schema or its rights")

FUNCTION_FILES = sorted((Path(__file__).parents[2] / "ledger/sql/functions").glob("*_v*.sql"))


@pytest.fixture
async def empty_database(create_database: Callable[..., Any], server: Server) -> AsyncGenerator[Database]:
    """A database with nothing in it."""
    made: Database = await create_database(template=None)
    yield made
    admin = await asyncpg.connect(server.owner_url)
    await admin.execute(f"DROP DATABASE {made.name} WITH (FORCE)")
    await admin.close()


# Where nobody was given anything, the rights are those that the owner has by default: a dump says either.
CATALOG = {
    "columns": """
        SELECT class.relname, attribute.attname, format_type(attribute.atttypid, attribute.atttypmod), attribute.attnotnull,
            pg_get_expr(fallback.adbin, fallback.adrelid)
        FROM pg_attribute AS attribute
        JOIN pg_class AS class ON class.oid = attribute.attrelid AND class.relkind IN ('r', 'p')
        LEFT JOIN pg_attrdef AS fallback ON fallback.adrelid = class.oid AND fallback.adnum = attribute.attnum
        WHERE class.relnamespace = $1::text::regnamespace AND attribute.attnum > 0 AND NOT attribute.attisdropped
        ORDER BY 1, attribute.attnum
    """,
    "tables": """
        SELECT relname, relkind::text, relowner::regrole::text, reloptions,
            ARRAY(
                SELECT unnest(coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's'::"char" ELSE 'r' END, relowner)))::text
                ORDER BY 1
            )
        FROM pg_class WHERE relnamespace = $1::text::regnamespace ORDER BY 1
    """,
    "indexes": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = $1 ORDER BY 1",
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid, true)
        FROM pg_constraint WHERE connamespace = $1::text::regnamespace ORDER BY 1, 2
    """,
    "functions": """
        SELECT proname, pg_get_functiondef(oid), proowner::regrole::text,
            ARRAY(SELECT unnest(coalesce(proacl, acldefault('f', proowner)))::text ORDER BY 1)
        FROM pg_proc WHERE pronamespace = $1::text::regnamespace ORDER BY 1
    """,
    "schema": """
        SELECT nspowner::regrole::text, ARRAY(SELECT unnest(coalesce(nspacl, acldefault('n', nspowner)))::text ORDER BY 1)
        FROM pg_namespace WHERE nspname = $1
    """,
}


async def catalog(url: str, schema: str = "ledger") -> dict[str, list[tuple[Any, ...]]]:
    """All that a schema is, as the database tells it."""
    connection = await asyncpg.connect(url)
    try:
        return {what: [tuple(row) for row in await connection.fetch(statement, schema)] for what, statement in CATALOG.items()}
    finally:
        await connection.close()


async def test_a_second_upgrade_finds_nothing_to_do(empty_database: Database) -> None:
    assert await upgrade(empty_database.owner_url) is True
    first = await catalog(empty_database.owner_url)
    assert await upgrade(empty_database.owner_url) is False
    assert await catalog(empty_database.owner_url) == first


async def test_two_upgrades_at_once_both_succeed_and_one_of_them_has_nothing_to_do(
    empty_database: Database, database: Database
) -> None:
    did = await asyncio.gather(*(upgrade(empty_database.owner_url) for _ in range(2)))
    assert sorted(did) == [False, True]
    assert await catalog(empty_database.owner_url) == await catalog(database.owner_url)


async def test_the_alembic_command_connects_as_the_settings_say(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REWARDS_OWNER_DATABASE_URL", database.owner_url)
    said = io.StringIO()
    config = Config(stdout=said)
    config.set_main_option("script_location", str(Path(__file__).parents[2] / "migrations"))
    await asyncio.to_thread(command.current, config)
    assert said.getvalue().startswith(newest_revision())


async def test_two_migrations_at_once_from_the_command_line_both_succeed(empty_database: Database) -> None:
    did = await asyncio.gather(*(migrate(empty_database.owner_url, empty_database.application_url) for _ in range(2)))
    assert sorted(did) == [False, True]


async def test_an_upgraded_ledger_equals_a_freshly_installed_one(empty_database: Database, database: Database) -> None:
    connection = await asyncpg.connect(empty_database.owner_url)
    await install(connection)
    await connection.close()
    fresh, upgraded = await catalog(empty_database.owner_url), await catalog(database.owner_url)
    for what in CATALOG:
        assert fresh[what] == upgraded[what], what
    assert len(fresh["functions"]) >= len(FUNCTION_FILES)


async def test_the_migrated_tables_are_the_ones_the_service_describes(database: Database) -> None:
    def belongs_to_us(name: str | None, kind: str, _parents: Any) -> bool:
        if kind == "table":
            # Partitions follow the table that they are parts of.
            return not re.fullmatch(r"(touch|envelope|envelope_outcome)_[0-9]{2}", name or "")
        return kind != "schema" or name == SCHEMA

    def differences(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(
            connection,
            opts={
                "include_schemas": True,
                "include_name": belongs_to_us,
                "version_table_schema": SCHEMA,
                "compare_type": True,
                "compare_server_default": True,
            },
        )
        return compare_metadata(context, metadata)

    engine = create_async_engine("postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(database.owner_url))
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


async def test_the_migrated_checks_are_the_ones_the_service_describes(
    database: Database, owner: asyncpg.Connection[Any]
) -> None:
    # Alembic does not compare CHECK constraints.
    from sqlalchemy import CheckConstraint

    described = {
        (table.name, constraint.name)
        for table in metadata.tables.values()
        for constraint in table.constraints
        if isinstance(constraint, CheckConstraint)
    }
    checks = """
        SELECT class.relname, conname FROM pg_constraint JOIN pg_class AS class ON class.oid = conrelid
        WHERE connamespace = 'rewards'::regnamespace AND contype = 'c' AND NOT relispartition
    """
    assert {tuple(row) for row in await owner.fetch(checks)} == described


async def test_the_database_is_at_the_newest_revision(owner: asyncpg.Connection[Any]) -> None:
    assert await owner.fetchval("SELECT version_num FROM rewards.alembic_version") == newest_revision()


# ---- Functions are re-created whole


async def test_installed_bodies_are_those_of_the_files(owner: asyncpg.Connection[Any]) -> None:
    installed = await owner.fetch(
        "SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'ledger'::regnamespace AND prosqlbody IS NULL"
    )
    files = "".join(file.read_text() for file in FUNCTION_FILES)
    assert len(installed) > 10
    for row in installed:
        assert row["prosrc"] in files, row["proname"]


async def test_every_function_file_is_installed_under_its_own_name(owner: asyncpg.Connection[Any]) -> None:
    installed = {row[0] for row in await owner.fetch("SELECT proname FROM pg_proc WHERE pronamespace = 'ledger'::regnamespace")}
    several = {"account_parts_v1", "codes_v1"}  # expressions, several on one page
    assert {file.stem for file in FUNCTION_FILES} - several <= installed


async def test_a_changed_function_file_is_installed_by_the_next_upgrade(
    database: Database, owner: asyncpg.Connection[Any]
) -> None:
    before = await catalog(database.owner_url)
    assert await comment(owner) == f"functions {functions_digest()}"
    # As if the files had changed since: the comment names another digest, and the bodies are others.
    await owner.execute("COMMENT ON SCHEMA ledger IS 'functions of an earlier release'")
    await owner.execute(
        """
        CREATE OR REPLACE FUNCTION ledger.account_kind_v1(p_id bytea) RETURNS smallint LANGUAGE sql IMMUTABLE
        RETURN 1::smallint
        """
    )
    await owner.execute("CREATE FUNCTION ledger.post_grants_v1(integer) RETURNS integer LANGUAGE sql RETURN 1")
    await owner.execute("GRANT EXECUTE ON FUNCTION ledger.open_book_v1 TO PUBLIC")
    assert await upgrade(database.owner_url) is True
    assert await catalog(database.owner_url) == before
    assert await comment(owner) == f"functions {functions_digest()}"
    assert await upgrade(database.owner_url) is False


async def comment(owner: asyncpg.Connection[Any]) -> str:
    """What the schema says of itself."""
    return await owner.fetchval("SELECT obj_description('ledger'::regnamespace, 'pg_namespace')")


async def test_books_live_on_through_an_upgrade_while_they_are_used(
    ledger: Ledger, database: Database, owner: asyncpg.Connection[Any]
) -> None:
    book = await make_book(owner)
    await ledger.fund(fund(book, 100))
    await owner.execute("COMMENT ON SCHEMA ledger IS 'functions of an earlier release'")
    results = await asyncio.gather(
        upgrade(database.owner_url), *(ledger.grant(order(book, message_id=f"message-{n}", points=1)) for n in range(20))
    )
    assert results[0] is True
    assert (await ledger.balance(book, 7)).spendable == 20


def test_the_digest_changes_with_any_file_and_with_the_rights(monkeypatch: pytest.MonkeyPatch) -> None:
    everything = list(function_statements())
    seen = {functions_digest()}
    for left_out in range(len(everything)):
        remaining = [statement for n, statement in enumerate(everything) if n != left_out]
        monkeypatch.setattr("ledger.schema.function_statements", remaining.copy)
        seen.add(functions_digest())
    assert len(seen) == len(everything) + 1


SCRIPTS: list[tuple[str, list[str]]] = [
    ("SELECT 1; SELECT 2;", ["SELECT 1;", "SELECT 2;"]),
    ("-- a comment; with a semicolon\nSELECT 1;", ["-- a comment; with a semicolon\nSELECT 1;"]),
    ("SELECT 'a;''b'; SELECT 2;", ["SELECT 'a;''b';", "SELECT 2;"]),
    ("DO $x$ BEGIN; END $x$; SELECT $$;$$;", ["DO $x$ BEGIN; END $x$;", "SELECT $$;$$;"]),
    ("", []),
]


@pytest.mark.parametrize(("script", "parts"), SCRIPTS)
def test_a_script_is_split_where_statements_end(script: str, parts: list[str]) -> None:
    assert statements(script) == parts


def test_no_statement_of_the_files_is_lost_in_splitting() -> None:
    for file in sorted(FUNCTION_FILES[0].parents[1].glob("*/*.sql")):
        code = [line for line in file.read_text().splitlines() if not line.startswith("--")]
        split = "\n".join(statements(file.read_text()))
        for line in code:
            assert line in split
    assert len(list(schema_statements())) > 20


def test_the_newest_revision_is_the_one_that_all_others_lead_to() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parents[2] / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [newest_revision()]
