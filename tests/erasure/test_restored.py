"""A backup from before an erasure is restored: the customer is erased again before anything is served."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest

from service.cli.migrate import migrate
from service.erasure import list_file
from service.erasure.reapplying import reapply
from service.storage.postgres_programs import find_tool, run_tool
from tests.api_fixtures import Api
from tests.cli import running
from tests.conftest import Database
from tests.erasure.conftest import ADA, BOB, Erase, Owner, erased, live, redeem, report
from tests.erasure.test_erasing import everything, named_in
from tests.ledger.conftest import assert_books_are_sound
from tests.migrations.test_upgrade import empty_database

__all__ = ["empty_database"]

pytestmark = [pytest.mark.usefixtures("campaign"), pytest.mark.own_database("it is dumped")]


async def copied(database: Database, to: Database, directory: Path) -> None:
    """Restore a dump of one database into another, without roles and rights."""
    major = await _major(database)
    for name, url, options in (
        ("pg_dump", database.owner_url, ("--format=custom", f"--file={directory / 'dump'}")),
        ("pg_restore", to.owner_url, ("--no-owner", "--no-privileges", str(directory / "dump"))),
    ):
        tool, _ = find_tool(name, at_least=major)
        await asyncio.to_thread(run_tool, tool, url, *options, keep_open=2)


async def _major(database: Database) -> int:
    connection: asyncpg.Connection[Any] = await asyncpg.connect(database.owner_url)
    major = connection.get_server_version().major
    await connection.close()
    return major


async def test_a_backup_of_before_is_erased_again(
    api: Api,
    database: Database,
    empty_database: Database,
    checker: httpx.AsyncClient,
    erase: Erase,
    tmp_path: Path,
) -> None:
    await live(api, ADA)
    await live(api, BOB)
    await copied(database, empty_database, tmp_path)
    await erased(api, checker, erase, ADA)
    environ = running.environ(
        tmp_path, database_url=empty_database.application_url, owner_database_url=empty_database.owner_url
    )
    environ["REWARDS_ERASURES_FILE"] = str(api.settings.erasures_path)
    ran = await asyncio.to_thread(running.run, environ, "migrate")
    assert ran.returncode == 0, ran.stderr
    assert "Erased again 1 customers" in ran.stdout
    restored: Owner = await asyncpg.connect(empty_database.owner_url)
    assert named_in(await everything(restored), ADA) == {}
    assert "rewards.consent" in named_in(await everything(restored), BOB)
    await assert_books_are_sound(restored)
    await restored.close()
    again = msgspec.structs.replace(
        api.settings, database_url=empty_database.application_url, owner_database_url=empty_database.owner_url
    )
    assert await reapply(again) == 0


async def test_points_that_the_backup_holds_are_given_back_and_they_are_erased_before_anything_is_served(
    api: Api, database: Database, empty_database: Database, tmp_path: Path
) -> None:
    (await report(api, ADA, "mail-1")).raise_for_status()
    (await report(api, ADA, "mail-2", "reply")).raise_for_status()
    await redeem(api, ADA, 60, "k")
    await live(api, BOB)
    await redeem(api, BOB, 5, "of bob")
    await copied(database, empty_database, tmp_path)
    await migrate(empty_database.owner_url, empty_database.application_url)
    settings = msgspec.structs.replace(
        api.settings,
        database_url=empty_database.application_url,
        owner_database_url=empty_database.owner_url,
        erasures_file=str(tmp_path / "erasures"),
    )
    (tmp_path / "erasures").write_bytes(
        b'{"brand":"lumen","numbers":[1],"asked_at":"2026-01-01T00:00:00Z"}\n'
        b'{"brand":"unknown","numbers":[2],"asked_at":"2026-01-01T00:00:00Z"}\n{"brand":'
    )
    assert len(list_file.read(settings.erasures_path)) == 2
    assert await reapply(settings) == 1
    restored: Owner = await asyncpg.connect(empty_database.owner_url)
    assert named_in(await everything(restored), ADA) == {}
    # The hold was given back and forfeited, what was held back is in its budget again; nobody else's is touched.
    assert await restored.fetchval("SELECT sum(amount) FROM ledger.transfer WHERE verb = 17") == 100
    assert await restored.fetchval("SELECT count(*) FROM ledger.pending") == 0
    assert await restored.fetchval("SELECT count(*) FROM ledger.redemption WHERE closed_at IS NULL") == 1
    await assert_books_are_sound(restored)
    await restored.close()
    assert await reapply(settings) == 0
