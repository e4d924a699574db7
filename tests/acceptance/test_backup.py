"""A backup that is taken under load, restored into an empty place by the documented commands, answers every read as before.

Grants and redemptions go on while the backup is made. What the original says of the backup's seq, the restored one has to say.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from service.storage.embedded_postgres.server import EmbeddedPostgres
from tests import plain_http
from tests.cli import running
from tests.cli.up import Up
from tests.conftest import Database, Server, reachable_directory
from tests.migrations.test_restored_rights import rights
from tests.prepared_postgres import prepared_environ

CUSTOMERS = 40
CLIENTS = 3
LOAD_BEFORE = 400
"""So many operations are acknowledged before the backup begins."""
WITHIN_S = 60.0


@pytest.fixture
def directory() -> Generator[Path]:
    with reachable_directory() as directory:
        yield directory


@pytest.fixture
def up(directory: Path) -> Generator[Up]:
    up = Up(prepared_environ(directory / "original"))
    yield up
    up.stop()


class Load:
    """Grants and redemptions of some customers, each acknowledged one remembered."""

    def __init__(self, demo: dict[str, Any]) -> None:
        self.demo = demo
        self.done = 0
        self.stop = False
        self.granted: list[dict[str, Any]] = []
        self._numbers = itertools.count()

    async def run(self) -> None:
        await asyncio.gather(*(self._client() for _ in range(CLIENTS)))

    async def _client(self) -> None:
        chance = random.Random(7)
        async with self._http("messaging") as messaging, self._http("storefront") as storefront:
            while not self.stop:
                n = next(self._numbers)
                customer = {"id": f"customer-{n % CUSTOMERS}"}
                event = {
                    "campaign": self.demo["campaign"],
                    "message_id": f"m-{n}",
                    "customer": customer,
                    "action": "click",
                    "channel": "email",
                }
                answer = (await messaging.post("/v1/grants", json=event)).raise_for_status()
                self.granted.append({"event": event, "points": answer.json()["points"]})
                if chance.random() < 0.3:
                    order = {"customer": customer, "points": 1, "order_ref": f"order-{n}", "capture": chance.random() < 0.5}
                    await storefront.post("/v1/redemptions", json=order, headers={"Idempotency-Key": f"order-{n}"})
                self.done += 1

    def _http(self, key: str) -> httpx.AsyncClient:
        return client(self.demo, key)


def client(demo: dict[str, Any], key: str) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {demo['keys'][key]}"}
    return plain_http.client(base_url=demo["base_url"], headers=headers, timeout=30)


async def reads(demo: dict[str, Any], seq: int) -> dict[str, Any]:
    """All that the API says of the book as of ``seq``."""
    async with client(demo, "finance") as finance:
        said: dict[str, Any] = {}
        for path in ("trial-balance", "balances", "transfers"):
            pages: list[Any] = []
            parameters: dict[str, Any] = {"cut": seq} | ({} if path == "trial-balance" else {"limit": 1000})
            while True:
                page = (await finance.get(f"/v1/ledger/{path}", params=parameters)).raise_for_status().json()
                pages.append(page)
                if not page.get("next_cursor") and not page.get("next"):
                    break
                parameters["after" if path == "transfers" else "cursor"] = page.get("next_cursor") or page["next"]
            said[path] = pages
        said["campaigns"] = (await finance.get("/v1/campaigns")).raise_for_status().json()["items"][0]["id"]
    return said


@pytest.mark.slow
async def test_a_backup_under_load_answers_every_read_as_of_its_seq(up: Up, directory: Path) -> None:
    load = Load(up.demo)
    loading = asyncio.create_task(load.run())
    await _until(lambda: load.done >= LOAD_BEFORE, loading)
    before = len(load.granted)
    made = await asyncio.to_thread(running.run, up.environ, "backup", str(directory / "backup"))
    assert made.returncode == 0, made.stderr
    after = load.done
    await _until(lambda: load.done >= after + 50, loading)
    load.stop = True
    await loading
    manifest = json.loads((directory / "backup" / "manifest.json").read_bytes())
    assert _modes(directory / "backup") == {0o600}
    (book,) = manifest["books"]
    # It was under load: the book had come on before the backup and went on behind it.
    now = await reads(up.demo, book["seq"])

    # Links name the host that they lead to, so the restored service goes by the same name.
    environ = running.environ(directory / "restored", base_url=up.demo["base_url"])
    here = f"http://127.0.0.1:{environ['REWARDS_PORT']}"
    # The demo's keys are in the database as before; who holds them is none of the backup's business.
    (directory / "restored").mkdir()
    restored = await asyncio.to_thread(running.run, environ, "restore", str(directory / "backup"))
    assert restored.returncode == 0, restored.stdout + restored.stderr
    assert "WRONG" not in restored.stdout
    demo_file = Path(up.environ["REWARDS_DATA_DIR"]) / "demo.json"
    shutil.copy(demo_file, directory / "restored" / "demo.json")
    again = await asyncio.to_thread(Up, environ)
    try:
        demo = again.demo | {"base_url": here}
        assert await reads(demo, book["seq"]) == now
        async with client(demo, "messaging") as messaging:
            for each in load.granted[:before]:
                answer = (await messaging.post("/v1/grants", json=each["event"])).json()
                assert (answer["replayed"], answer["points"]) == (True, each["points"])
        async with client(demo, "messaging") as anybody:
            host = up.demo["base_url"].removeprefix("http://")
            path = up.demo["reward_link"].removeprefix(up.demo["base_url"])
            assert (await anybody.get(path, headers={"Host": host})).status_code == 200
        audit = await asyncio.to_thread(running.run, environ, "audit")
        assert audit.returncode == 0, audit.stdout
        owners = [EmbeddedPostgres(Path(each["REWARDS_DATA_DIR"]) / "postgres").owner_url for each in (up.environ, environ)]
        assert await rights(owners[0]) == await rights(owners[1])
    finally:
        again.stop()


async def _until(is_so: Callable[[], bool], task: asyncio.Task[None]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not is_so():
            if task.done():
                task.result()
            await asyncio.sleep(0.02)


def _modes(directory: Path) -> set[int]:
    assert directory.stat().st_mode & 0o777 == 0o700
    return {path.stat().st_mode & 0o777 for path in directory.rglob("*") if path.is_file()}


# ---- On a server of one's own


@pytest.fixture(scope="module")
async def backed_up(create_database: Any) -> AsyncGenerator[tuple[dict[str, str], Path]]:
    """A database with a brand and the secrets that belong to it, by REWARDS_DATABASE_URL; and a backup of it."""
    with reachable_directory() as directory:
        yield await asyncio.to_thread(_back_up, directory, await create_database()), directory


def _back_up(directory: Path, database: Database) -> dict[str, str]:
    environ = running.environ(
        directory / "original", database_url=database.application_url, owner_database_url=database.owner_url
    )
    brand = ["--name", "Acme", "--mode", "test", "--currency", "EUR", "--time-zone", "Europe/Berlin"]
    assert running.run(environ, "secrets", "create").returncode == 0
    assert running.run(environ, "brand", "create", "acme", *brand).returncode == 0
    spool = directory / "original" / "spool"
    spool.mkdir(mode=0o700)
    (spool / "00000000000000000001-1.spool").write_bytes(b"acts")
    (spool / "envelopes").mkdir(mode=0o700)
    (spool / "envelopes" / "00000000000000000002-1.spool").write_bytes(b"envelopes")
    assert running.run(environ, "backup", str(directory / "backup")).returncode == 0
    return environ


@pytest.fixture
def original(backed_up: tuple[dict[str, str], Path], directory: Path) -> dict[str, str]:
    """The environment of what was backed up; ``directory`` has a copy of the backup."""
    environ, where = backed_up
    shutil.copytree(where / "backup", directory / "backup")
    (directory / "original").symlink_to(where / "original")
    return environ


@pytest.fixture
async def target(server: Server, directory: Path, create_database: Any) -> AsyncGenerator[dict[str, str]]:
    """The environment of a place with nothing in it."""
    made = await create_database(template=None)
    yield running.environ(directory / "target", database_url=made.application_url, owner_database_url=made.owner_url)
    admin = await asyncpg.connect(server.owner_url)
    await admin.execute(f"DROP DATABASE {made.name} WITH (FORCE)")
    await admin.close()


def test_it_is_restored_into_an_empty_database(original: dict[str, str], target: dict[str, str], directory: Path) -> None:
    restored = running.run(target, "restore", str(directory / "backup"))
    assert restored.returncode == 0, restored.stderr
    assert "acme" in restored.stdout
    assert (directory / "target" / "secrets.json").read_bytes() == (directory / "original" / "secrets.json").read_bytes()
    assert (directory / "target" / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert (directory / "target" / "spool" / "00000000000000000001-1.spool").read_bytes() == b"acts"
    assert (directory / "target" / "spool" / "envelopes" / "00000000000000000002-1.spool").read_bytes() == b"envelopes"
    assert asyncio.run(rights(target["REWARDS_OWNER_DATABASE_URL"])) == asyncio.run(
        rights(original["REWARDS_OWNER_DATABASE_URL"])
    )
    again = running.run(target, "restore", str(directory / "backup"))
    assert again.returncode == 1
    assert "not settled" in again.stderr


def test_a_place_that_is_not_empty_is_refused(original: dict[str, str], target: dict[str, str], directory: Path) -> None:
    running.run(target, "migrate")
    refused = running.run(target, "restore", str(directory / "backup"))
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "The database is not empty" in refused.stderr
    assert not (directory / "target" / "secrets.json").exists()

    running.run(target, "secrets", "create")
    assert "exists and differs" in running.run(target, "restore", str(directory / "backup")).stderr


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a byte": (
        lambda backup: (backup / "database.dump").write_bytes(b"x" + (backup / "database.dump").read_bytes()[1:]),
        "SHA",
    ),
    "a file": (lambda backup: (backup / "secrets.json").unlink(), "is missing"),
    "the manifest": (lambda backup: (backup / "manifest.json").unlink(), "not a whole backup"),
    "half the manifest": (lambda backup: (backup / "manifest.json").write_bytes(b'{"format": 1'), "cannot be read"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_backup_that_is_not_what_was_written_is_refused(
    original: dict[str, str], target: dict[str, str], directory: Path, damage: str
) -> None:
    do, why = DAMAGES[damage]
    do(directory / "backup")
    refused = running.run(target, "restore", str(directory / "backup"))
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert why in refused.stderr


def test_a_backup_is_never_written_over_another(original: dict[str, str], directory: Path) -> None:
    refused = running.run(original, "backup", str(directory / "backup"))
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)


# ---- Killed in the middle


async def test_a_backup_that_is_killed_is_none_and_the_next_says_so(original: dict[str, str], directory: Path) -> None:
    owner = await asyncpg.connect(original["REWARDS_OWNER_DATABASE_URL"])
    # pg_dump waits for this table, and so is certainly in the middle.
    async with owner.transaction():
        await owner.execute("LOCK TABLE ledger.transfer IN ACCESS EXCLUSIVE MODE")
        process = await _started(original, "backup", str(directory / "second"))
        await _until_waiting(original, "pg_dump")
        process.send_signal(signal.SIGKILL)
        await asyncio.to_thread(process.wait)
    assert not (directory / "second").exists()
    await _until_gone(owner, "pg_dump")
    await owner.close()
    again = await asyncio.to_thread(running.run, original, "backup", str(directory / "second"))
    assert again.returncode == 0, again.stderr
    assert "interrupted" in again.stderr
    assert (directory / "second" / "manifest.json").exists()
    assert not (directory / "second.unfinished").exists()


async def test_a_restore_that_is_killed_leaves_nothing_half_usable_and_is_taken_up(
    original: dict[str, str], target: dict[str, str], directory: Path
) -> None:
    owner = await asyncpg.connect(target["REWARDS_OWNER_DATABASE_URL"])
    # It makes the schema, and so is stopped by somebody who is making it too.
    transaction = owner.transaction()
    await transaction.start()
    await owner.execute("CREATE SCHEMA ledger")
    process = await _started(target, "restore", str(directory / "backup"))
    await _until_waiting(target, "pg_restore")
    process.send_signal(signal.SIGKILL)
    await asyncio.to_thread(process.wait)

    for command in (["serve"], ["worker"], ["up"], ["migrate"], ["secrets", "create"]):
        refused = await asyncio.to_thread(running.run, target, *command)
        assert (refused.returncode, refused.stderr.count("\n")) == (1, 1), command
        assert "A restore into" in refused.stderr
    # What it started may still be at work: until then nobody else begins.
    busy = await asyncio.to_thread(running.run, target, "restore", str(directory / "backup"))
    assert (busy.returncode, busy.stderr.count("\n")) == (1, 1)
    await owner.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'pg_restore'"
    )
    await transaction.rollback()
    await _until_gone(owner, "pg_restore")
    assert not await owner.fetchval("SELECT true FROM pg_namespace WHERE nspname = 'rewards'")
    await owner.close()

    deadline = time.monotonic() + WITHIN_S
    while (again := await asyncio.to_thread(running.run, target, "restore", str(directory / "backup"))).returncode:
        assert "is running" in again.stderr
        assert time.monotonic() < deadline
    assert "taking it up" in again.stderr
    assert not (directory / "target" / "restoring").exists()
    assert (await asyncio.to_thread(running.run, target, "audit")).returncode == 0


async def test_a_restore_that_was_killed_behind_the_load_is_taken_up(
    original: dict[str, str], target: dict[str, str], directory: Path
) -> None:
    owner = await asyncpg.connect(target["REWARDS_OWNER_DATABASE_URL"])
    # Migrating waits for this lock of its own; the database is loaded then.
    await owner.execute("SELECT pg_advisory_lock($1)", 0x72657761726473)
    process = await _started(target, "restore", str(directory / "backup"))
    await _until_waiting(target, "")
    process.send_signal(signal.SIGKILL)
    await asyncio.to_thread(process.wait)
    await owner.execute("SELECT pg_advisory_unlock_all()")
    await owner.close()
    again = await asyncio.to_thread(running.run, target, "restore", str(directory / "backup"))
    assert again.returncode == 0, again.stderr
    assert "taking it up" in again.stderr


async def _started(environ: dict[str, str], *arguments: str) -> subprocess.Popen[bytes]:
    return await asyncio.to_thread(
        subprocess.Popen, running.command(*arguments), env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


async def _until_waiting(environ: dict[str, str], program: str) -> None:
    waits = (
        "SELECT true FROM pg_stat_activity WHERE datname = current_database()"
        " AND wait_event_type = 'Lock' AND starts_with(application_name, $1)"
    )
    onlooker = await asyncpg.connect(environ["REWARDS_OWNER_DATABASE_URL"])
    try:
        async with asyncio.timeout(WITHIN_S):
            while True:
                if await onlooker.fetchval(waits, program):
                    return
                await asyncio.sleep(0.02)
    finally:
        await onlooker.close()


async def _until_gone(owner: asyncpg.Connection[Any], program: str) -> None:
    is_there = "SELECT true FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1"
    async with asyncio.timeout(WITHIN_S):
        while True:
            if not await owner.fetchval(is_there, program):
                return
            await asyncio.sleep(0.02)


@pytest.mark.slow
def test_the_embedded_server_need_not_run(directory: Path) -> None:
    environ = prepared_environ(directory / "original")
    up = Up(environ)
    up.stop()
    assert running.run(environ, "backup", str(directory / "backup")).returncode == 0
    assert not _holds_a_server(directory / "original")
    elsewhere = running.environ(directory / "restored")
    restored = running.run(elsewhere, "restore", str(directory / "backup"))
    assert restored.returncode == 0, restored.stderr
    assert not _holds_a_server(directory / "restored")
    again = Up(elsewhere)
    assert again.demo["brand"] == "demo"
    again.stop()


def _holds_a_server(data: Path) -> bool:
    return EmbeddedPostgres(data / "postgres").running()
