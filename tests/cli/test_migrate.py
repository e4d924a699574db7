"""`rewards migrate`: from nothing, again, and from two places at once; and the operator's commands on what it made."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from service.cli.migrate import MigrationRefused, ServerFull, migrate
from service.cli.up.postgres_keeper import PostgresKeeper
from service.settings import Settings
from service.storage import database as service_database
from service.storage.embedded_postgres.server import EmbeddedPostgres
from tests.cli import running
from tests.conftest import Database


@pytest.fixture
async def empty(create_database: Callable[..., Any]) -> Database:
    return await create_database(template=None)


async def test_two_at_once_make_one(empty: Database) -> None:
    changed = await asyncio.gather(*(migrate(empty.owner_url, empty.application_url) for _ in range(3)))
    assert sorted(changed) == [False, False, True]
    assert await migrate(empty.owner_url, empty.application_url) is False


async def test_the_login_then_takes_each_role_and_has_no_right_without(empty: Database) -> None:
    await migrate(empty.owner_url, empty.application_url)
    for role in (service_database.APPLICATION_ROLE, service_database.WORKER_ROLE, service_database.READER_ROLE):
        connection = await service_database.connect(empty.application_url, role)
        assert await connection.fetchval("SELECT current_user::text") == role
        assert await connection.fetchval("SELECT count(*) FROM ledger.head") == 0
        await connection.close()
    bare = await service_database.connect(empty.application_url)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await bare.fetchval("SELECT count(*) FROM ledger.head")
    await bare.close()


async def test_a_login_that_does_not_exist_is_named(empty: Database) -> None:
    with pytest.raises(MigrationRefused, match="CREATE ROLE nobody_here"):
        await migrate(empty.owner_url, "postgresql://nobody_here:x@127.0.0.1/rewards")


@pytest.fixture
async def crowded(empty: Database) -> AsyncGenerator[str]:
    """The URL of a login that may open one connection; a migration needs two."""
    owner = await service_database.connect(empty.owner_url)
    login = f"one_connection_{secrets.token_hex(4)}"
    await owner.execute(f"CREATE ROLE {login} LOGIN PASSWORD 'secret' CONNECTION LIMIT 1")
    yield f"postgresql://{login}:secret@{urlsplit(empty.owner_url).netloc.rpartition('@')[2]}{urlsplit(empty.owner_url).path}"
    await owner.execute(f"DROP ROLE {login}")
    await owner.close()


async def test_a_server_without_room_is_told_from_one_that_refuses(crowded: str) -> None:
    with pytest.raises(ServerFull, match="Nothing was changed: the server lacks room: too many connections"):
        await migrate(crowded)


def test_up_goes_on_while_the_server_has_no_room_to_migrate(
    crowded: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keeper = PostgresKeeper(EmbeddedPostgres(tmp_path / "postgres"))
    keeper.is_up = True
    for _ in range(2):
        keeper.migrate(Settings(database_url=crowded))
    assert (keeper.is_up, keeper.is_full) == (False, True)
    # It waits before it tries again, and says why once.
    assert not keeper.look()
    assert capsys.readouterr().out.count("the server lacks room") == 1


def test_an_operator_goes_from_an_empty_database_to_a_key(empty: Database, tmp_path: Path) -> None:
    environ = running.environ(tmp_path, database_url=empty.application_url, owner_database_url=empty.owner_url)
    brand = ["--name", "Acme", "--mode", "test", "--currency", "EUR", "--time-zone", "Europe/Berlin"]

    assert running.run(environ, "migrate").stdout == "Migrated.\n"
    assert running.run(environ, "migrate", "--url", empty.owner_url).stdout == "Up to date.\n"
    assert running.run(environ, "secrets", "create").returncode == 0
    assert running.run(environ, "secrets", "create").returncode == 1
    assert "Created the test brand acme" in running.run(environ, "brand", "create", "acme", *brand).stdout
    assert "already" in running.run(environ, "brand", "create", "acme", *brand).stderr

    made = running.run(environ, "key", "create", "acme", "--name", "shop", "--scope", "redemptions:write")
    key = made.stdout.strip()
    assert key.startswith("rk_test_")
    listed = running.run(environ, "key", "list", "acme").stdout
    assert key[:16] in listed
    assert key not in listed
    assert running.run(environ, "key", "made", "acme", "1").stdout == ""
    kept = running.run(environ, "key", "revoke", "acme", key[:16], "--also", "nothing")
    assert kept.stdout == "Revoked key 1 (shop).\n"
    taken = running.run(environ, "key", "revoke", "acme", key[:16])
    assert taken.stdout == "Revoked key 1 (shop), and its keys, links, minting keys.\n"
    assert "revoked" in running.run(environ, "key", "list", "acme").stdout

    both = running.run(environ, "key", "create", "acme", "--name", "x", "--scope", "funds:write", "--scope", "grants:write")
    assert both.returncode == 1
    assert both.stderr.startswith("Error: ")
    assert "there is no brand" in running.run(environ, "key", "list", "nix").stderr.lower()


def test_a_database_that_is_away_is_one_sentence(tmp_path: Path) -> None:
    environ = running.environ(tmp_path, database_url=f"postgresql://a:b@127.0.0.1:{running.free_port()}/x")
    finished = running.run(environ, "migrate")
    assert finished.returncode == 1
    assert finished.stderr.startswith("Error: the database cannot be used: ")
    assert finished.stderr.count("\n") == 1
