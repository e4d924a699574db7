"""`rewards migrate`, killed with -9 in the middle of an upgrade: nothing of it is left, and run again it completes."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

import migrations
from migrations.upgrade import newest_revision, upgrade
from service.cli.migrate import migrate
from tests.cli import running
from tests.conftest import Database
from tests.migrations.test_restored_rights import rights
from tests.migrations.test_upgrade import catalog, empty_database

pytestmark = pytest.mark.own_database("changes the schema or its rights")

__all__ = ["empty_database"]

WITHIN_S = 30.0


def before_newest() -> str:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    newest = ScriptDirectory.from_config(config).get_revision(newest_revision())
    return str(newest.down_revision)


@pytest.mark.parametrize("revision", ["0001", before_newest()])
async def test_an_interrupted_upgrade_leaves_nothing_and_completes_when_run_again(
    empty_database: Database, database: Database, tmp_path: Path, revision: str
) -> None:
    environ = running.environ(
        tmp_path, database_url=empty_database.application_url, owner_database_url=empty_database.owner_url
    )
    await upgrade(empty_database.owner_url, revision=revision)
    before = await catalog(empty_database.owner_url)
    owner = await asyncpg.connect(empty_database.owner_url)
    # Each revision ends with writing its number: whoever holds that row stops the upgrade behind the first of them.
    async with owner.transaction():
        await owner.execute("SELECT version_num FROM rewards.alembic_version FOR UPDATE")
        process = await asyncio.to_thread(subprocess.Popen, running.command("migrate"), env=environ)
        waiting = await who_waits(empty_database, "UPDATE rewards.alembic%")
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    await until_gone(owner, waiting)
    assert await owner.fetchval("SELECT version_num FROM rewards.alembic_version") == revision
    assert await catalog(empty_database.owner_url) == before

    finished = await asyncio.to_thread(running.run, environ, "migrate")
    assert (finished.returncode, finished.stdout) == (0, "Migrated.\n"), finished.stderr
    assert await owner.fetchval("SELECT version_num FROM rewards.alembic_version") == newest_revision()
    fresh = await catalog(database.owner_url)
    assert await catalog(empty_database.owner_url) == fresh
    assert await rights(empty_database.owner_url) == await rights(database.owner_url)
    assert await migrate(empty_database.owner_url, empty_database.application_url) is False
    await owner.close()


async def who_waits(database: Database, query: str) -> int:
    """The server process of whose ``query`` waits for a lock, once it does."""
    onlooker = await asyncpg.connect(database.owner_url)
    try:
        async with asyncio.timeout(WITHIN_S):
            while True:
                waiting = await onlooker.fetchval(
                    """
                    SELECT pid FROM pg_stat_activity
                    WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE $1
                    """,
                    query,
                )
                if waiting:
                    return waiting
                await asyncio.sleep(0.02)
    finally:
        await onlooker.close()


async def until_gone(owner: Any, pid: int) -> None:
    """The server notices that its client is gone when it next writes to it, and rolls back."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            if not await owner.fetchval("SELECT true FROM pg_stat_activity WHERE pid = $1", pid):
                return
            await asyncio.sleep(0.02)
