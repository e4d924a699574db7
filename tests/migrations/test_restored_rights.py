"""A database that comes back without its roles or their rights: `rewards migrate` mends it, and readiness says so until then.

A dump holds no roles, which belong to the server, and `pg_restore --no-owner --no-privileges` leaves out the rest.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from litestar import Litestar

from migrations.upgrade import RIGHTS_DIGEST, RIGHTS_GIVEN, rights_statements
from service.app import create_app
from service.cli.migrate import MigrationRefused, migrate
from service.settings import Settings
from service.storage.embedded_postgres.server import EmbeddedPostgres
from service.storage.postgres_programs import find_tool
from tests.api_fixtures import make_brand, make_keys, make_secrets
from tests.cli import running
from tests.conftest import Database, Server, reachable_directory
from tests.ledger.test_catalog import EXECUTED_BY, READING

pytestmark = pytest.mark.own_database("changes the schema or its rights")

ROLES = ("ledger_owner", "rewards_application", "rewards_worker", "rewards_reader")

RIGHTS = """
SELECT relnamespace::regnamespace || '.' || relname AS name, relowner::regrole::text AS owner,
    coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's'::"char" ELSE 'r' END, relowner))::text AS acl,
    (SELECT array_agg(attname || ' ' || attacl::text ORDER BY attname) FROM pg_attribute WHERE attrelid = pg_class.oid)
FROM pg_class WHERE relnamespace IN ('ledger'::regnamespace, 'rewards'::regnamespace) AND relkind IN ('r', 'p', 'S')
UNION ALL
SELECT pronamespace::regnamespace || '.' || proname, proowner::regrole::text,
    coalesce(proacl, acldefault('f', proowner))::text, NULL
FROM pg_proc WHERE pronamespace IN ('ledger'::regnamespace, 'rewards'::regnamespace)
UNION ALL
SELECT nspname, nspowner::regrole::text, coalesce(nspacl, acldefault('n', nspowner))::text, NULL
FROM pg_namespace WHERE nspname IN ('ledger', 'rewards')
"""


def client_of(app: Litestar, **headers: str) -> httpx.AsyncClient:
    transport: Any = httpx.ASGITransport(app=app)  # pyright: ignore[reportArgumentType]
    return httpx.AsyncClient(transport=transport, base_url="http://rewards.test", headers=headers)


async def rights(url: str) -> dict[str, tuple[str, set[str], set[str]]]:
    """Who owns each thing and who may do what with it; a list of rights has no order, and none stands for those by default."""
    connection = await asyncpg.connect(url)
    try:
        return {
            name: (owner, set((acl or "").strip("{}").split(",")), set(columns or ()))
            for name, owner, acl, columns in await connection.fetch(RIGHTS)
        }
    finally:
        await connection.close()


@pytest.fixture(scope="module")
def other_server() -> Generator[EmbeddedPostgres]:
    """A server that has never heard of our roles."""
    with reachable_directory() as directory:
        other = EmbeddedPostgres(directory / "postgres", small=True)
        other.start()
        yield other


@pytest.fixture
async def dumped(database: Database, tmp_path: Path) -> Path:
    """A dump of a database with a brand in it."""
    owner = await asyncpg.connect(database.owner_url)
    await make_brand(owner)
    await owner.close()
    dump = tmp_path / "dump"
    _run("pg_dump", "--format=custom", f"--file={dump}", database.owner_url)
    return dump


def _run(program: str, *arguments: str | Path, must_succeed: bool = True) -> None:
    subprocess.run([find_tool(program, at_least=18)[0], *arguments], check=must_succeed, capture_output=True)


@pytest.fixture
async def restored(
    request: pytest.FixtureRequest, dumped: Path, server: Server, other_server: EmbeddedPostgres
) -> AsyncGenerator[tuple[str, str]]:
    """The URLs of owner and login of a database that was made from the dump."""
    is_elsewhere, options = request.param
    owner_url, login_url = (
        (other_server.owner_url, other_server.application_url) if is_elsewhere else (server.owner_url, server.login_url)
    )
    admin = await asyncpg.connect(owner_url)
    # Workers of one run share the server.
    name = f"restored_{os.getpid()}"
    await admin.execute(f"CREATE DATABASE {name}")
    made = server.database(name) if not is_elsewhere else None
    urls = (
        (made.owner_url, made.application_url)
        if made
        else (f"{owner_url.rpartition('/')[0]}/{name}", f"{login_url.rpartition('/')[0]}/{name}")
    )
    # Where the roles are not, pg_restore goes on without them, and says at the end that something was wrong.
    _run("pg_restore", *options, f"--dbname={urls[0]}", dumped, must_succeed=not is_elsewhere)
    yield urls
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    if is_elsewhere:
        for role in ROLES:
            await admin.execute(f"DROP ROLE IF EXISTS {role}")
    await admin.close()


WAYS = pytest.mark.parametrize(
    "restored",
    [
        pytest.param((False, ("--no-owner", "--no-privileges")), id="roles there, rights left out"),
        pytest.param((False, ("--no-privileges",)), id="owners kept, rights left out"),
        pytest.param((False, ("--no-comments",)), id="without comments"),
        pytest.param((True, ()), id="on a server without the roles"),
        pytest.param((True, ("--no-owner", "--no-privileges")), id="on a server without the roles, rights left out"),
    ],
    indirect=True,
)


@WAYS
async def test_a_restored_database_is_mended_by_migrate_and_equals_a_fresh_one(
    restored: tuple[str, str], database: Database
) -> None:
    owner_url, login_url = restored
    assert await migrate(owner_url, login_url) is True
    assert await rights(owner_url) == await rights(database.owner_url)
    assert await migrate(owner_url, login_url) is False
    connection = await asyncpg.connect(owner_url)
    for role, posting in EXECUTED_BY.items():
        executable = await connection.fetch(
            """
            SELECT proname FROM pg_proc
            WHERE pronamespace = 'ledger'::regnamespace AND has_function_privilege($1, pg_proc.oid, 'EXECUTE')
            """,
            role,
        )
        assert {row["proname"] for row in executable} == posting | READING
    await connection.close()


@WAYS
async def test_readiness_says_what_to_do_until_then(
    restored: tuple[str, str], tmp_path: Path, database: Database, server: Server
) -> None:
    owner_url, login_url = restored
    # It was reached before, and restored while the process ran.
    app = create_app(Settings(database_url=database.application_url, data_dir=str(tmp_path)), make_secrets())
    async with app.lifespan():
        await _move(app.state.services.pool, login_url)
        async with client_of(app) as client:
            answer = await client.get("/health/ready")
            assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
            assert "rewards migrate" in answer.json()["detail"]
            await migrate(owner_url, login_url)
            await app.state.services.pool.expire_connections()
            assert (await client.get("/health/ready")).status_code == 200


async def _move(pool: asyncpg.Pool[Any], url: str) -> None:
    await pool.expire_connections()
    pool.set_connect_args(url, **pool._connect_kwargs)  # pyright: ignore[reportPrivateUsage]


async def test_what_was_taken_is_given_again_and_what_was_added_is_taken(database: Database, owner: Any) -> None:
    before = await rights(database.owner_url)
    await owner.execute("REVOKE INSERT ON rewards.link FROM rewards_application")
    await owner.execute("REVOKE EXECUTE ON FUNCTION ledger.redeem_v2 FROM rewards_application")
    await owner.execute("GRANT INSERT ON ledger.transfer TO rewards_application")
    await owner.execute("GRANT EXECUTE ON FUNCTION ledger.open_book_v1 TO PUBLIC")
    await owner.execute("GRANT SELECT ON rewards.api_key TO PUBLIC")
    await owner.execute("GRANT INSERT ON rewards.api_key TO rewards_application")
    await owner.execute("ALTER TABLE ledger.event OWNER TO postgres")
    assert await owner.fetchval(RIGHTS_DIGEST) != await owner.fetchval(RIGHTS_GIVEN)
    assert await migrate(database.owner_url, database.application_url) is True
    assert await rights(database.owner_url) == before
    assert await owner.fetchval(RIGHTS_DIGEST) == await owner.fetchval(RIGHTS_GIVEN)


async def test_an_operators_own_rights_stay_and_count_for_nothing(database: Database, owner: Any) -> None:
    await owner.execute("GRANT SELECT ON ledger.transfer TO pg_monitor")
    assert await migrate(database.owner_url, database.application_url) is False
    assert await owner.fetchval("SELECT has_table_privilege('pg_monitor', 'ledger.transfer', 'SELECT')")


async def test_the_file_has_every_right_that_the_migrations_gave(database: Database, owner: Any) -> None:
    before = await rights(database.owner_url)
    await owner.execute(
        """
        REVOKE ALL ON ALL TABLES IN SCHEMA rewards FROM rewards_application, rewards_worker, rewards_reader;
        REVOKE ALL ON ALL SEQUENCES IN SCHEMA rewards FROM rewards_application, rewards_worker, rewards_reader;
        REVOKE ALL ON ALL FUNCTIONS IN SCHEMA rewards FROM rewards_application, rewards_worker, rewards_reader, PUBLIC
        """
    )
    for statement in rights_statements():
        await owner.execute(statement)
    after = await rights(database.owner_url)
    assert {name: after[name] for name in after if after[name] != before[name]} == {}


async def test_every_call_is_unavailable_and_not_an_error_while_rights_are_missing(
    database: Database, owner: Any, tmp_path: Path
) -> None:
    keys = await make_keys(owner, await make_brand(owner))
    app = create_app(Settings(database_url=database.application_url, data_dir=str(tmp_path)), make_secrets())
    async with app.lifespan(), client_of(app, Authorization=f"Bearer {keys['finance']}") as client:
        await owner.execute("REVOKE ALL ON ALL TABLES IN SCHEMA ledger, rewards FROM rewards_application")
        await owner.execute("REVOKE ALL ON ALL FUNCTIONS IN SCHEMA ledger, rewards FROM rewards_application")
        for path in ("/v1/ledger/trial-balance", "/v1/campaigns", "/health/ready"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable"), path


# ---- Refusals are one sentence


async def test_an_owner_who_may_not_is_told_whose_it_is(database: Database, server: Server) -> None:
    admin = await asyncpg.connect(database.owner_url)
    await admin.execute("REVOKE SELECT ON rewards.link FROM rewards_application")
    await admin.execute("CREATE ROLE stranger LOGIN PASSWORD 'x'")
    try:
        host = database.owner_url.rpartition("@")[2]
        with pytest.raises(MigrationRefused, match=r"stranger may not do this: .* belongs to postgres"):
            await migrate(f"postgresql://stranger:x@{host}", database.application_url)
    finally:
        await admin.execute("DROP ROLE stranger")
        await admin.close()


async def test_a_database_of_a_newer_version_is_refused(database: Database, owner: Any) -> None:
    await owner.execute("UPDATE rewards.alembic_version SET version_num = '9999'")
    with pytest.raises(MigrationRefused, match="newer version"):
        await migrate(database.owner_url, database.application_url)


def test_the_command_says_a_refusal_in_one_sentence(database: Database, tmp_path: Path) -> None:
    environ = running.environ(tmp_path, database_url=database.application_url, owner_database_url=database.application_url)

    async def drop() -> None:
        owner = await asyncpg.connect(database.owner_url)
        await owner.execute("COMMENT ON SCHEMA rewards IS NULL")
        await owner.close()

    asyncio.run(drop())
    finished = running.run(environ, "migrate")
    assert (finished.returncode, finished.stderr.count("\n")) == (1, 1)
    assert finished.stderr.startswith("Error: Nothing was changed: rewards may not do this")
