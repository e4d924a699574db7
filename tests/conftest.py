"""What every test may ask for: an empty database, and connections to it in each role.

    database            a migrated database with nothing in it; `.owner_url`, `.application_url`
    owner               an asyncpg connection as its owner
    application_pool    pools in the roles of the service
    worker_pool
    reader_pool
    ledger              the ledger on `application_pool`
    api                 the application on `database`, with a brand and keys (see `api_fixtures`)
    browser             Chromium, driven by Playwright
    program             the path of a program that may be missing, such as hledger

One embedded server serves a whole run, also of several pytest workers. ``REWARDS_TEST_DATABASE_URL`` (a superuser's) takes any
other server instead. A database is a clone of a template that was migrated once.

What a Debian package would provide and is not there skips its tests; ``CI_STRICT=1`` makes every skip a failure.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import functools
import gc
import itertools
import os
import secrets
import shutil
import tempfile
import warnings
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import asyncpg
import pytest
import uvloop
from hypothesis import settings

from service.storage import database as service_database
from service.storage.embedded_postgres.server import EmbeddedPostgres
from tests.reused_database import ReusedDatabase
from tests.reused_statements import compiled_once

if TYPE_CHECKING:
    from playwright.async_api import Browser

    from ledger import Ledger

pytest_plugins = ["tests.api_fixtures"]

# How long an example takes says how busy the machine is.
settings.register_profile("ours", parent=settings(), deadline=None)
settings.load_profile("ours")

with warnings.catch_warnings():
    # Python 3.14 warns of every policy. With the hook of pytest-asyncio, a test that is not async ends what a session shares.
    warnings.simplefilter("ignore", DeprecationWarning)
    # The loop that the service runs on.
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())  # pyright: ignore[reportDeprecated]

RUN = "REWARDS_TEST_RUN"
"""The variable that tells the workers of one run where its server is."""

DIRECTORIES = "rewards-test-"
"""How temporary directories with servers begin; then comes the pid of who made them."""

MEMORY = Path("/dev/shm")
MEMORY_FREE_MIN = 4 * 1024**3
"""A file system in memory with so much space holds the servers: making and dropping a database is mostly waiting for a disk."""


@dataclass(frozen=True)
class Database:
    """A database for one test."""

    name: str
    owner_url: str
    application_url: str


@dataclass(frozen=True)
class Server:
    """The server of this run: URLs of its maintenance database as superuser and of the service's login."""

    owner_url: str
    login_url: str
    template: str

    def database(self, name: str) -> Database:
        """How to reach the database ``name``."""
        return Database(name, _with_database(self.owner_url, name), _with_database(self.login_url, name))


def _with_database(url: str, name: str) -> str:
    return urlsplit(url)._replace(path=f"/{name}").geturl()


@contextlib.contextmanager
def reachable_directory() -> Generator[Path]:
    """A temporary directory for an embedded server, which is stopped at the end."""
    directory = _make_directory()
    yield directory
    _remove_directory(directory)


def _make_directory() -> Path:
    directory = Path(tempfile.mkdtemp(prefix=f"{DIRECTORIES}{os.getpid()}-", dir=_where()))
    directory.chmod(0o711)  # when root runs the tests, the server's user gets into it too
    return directory


def _where() -> Path:
    is_roomy = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= MEMORY_FREE_MIN
    return MEMORY if is_roomy and "TMPDIR" not in os.environ else Path(tempfile.gettempdir())


def _remove_directory(directory: Path) -> None:
    for state in directory.rglob("server.json"):
        EmbeddedPostgres(state.parent).stop()
    shutil.rmtree(directory, ignore_errors=True)


def _remove_abandoned() -> None:
    """Stop the servers of runs that were killed."""
    for directory in [each for where in (MEMORY, Path(tempfile.gettempdir())) for each in where.glob(f"{DIRECTORIES}*-*")]:
        pid = directory.name.removeprefix(DIRECTORIES).split("-")[0]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists() and directory.stat().st_uid == os.geteuid():
            _remove_directory(directory)


# ---- One server a run


def pytest_configure(config: pytest.Config) -> None:
    """Name this run's directory before any worker starts; the server itself starts with the first test that needs it."""
    if not hasattr(config, "workerinput"):
        _remove_abandoned()
        os.environ[RUN] = str(_make_directory())


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the server and leave nothing behind."""
    if hasattr(config, "workerinput") or RUN not in os.environ:
        return
    directory = Path(os.environ.pop(RUN))
    if (directory / "external").exists():
        asyncio.run(_clear_external(os.environ["REWARDS_TEST_DATABASE_URL"], (directory / "external").read_text()))
    _remove_directory(directory)


@pytest.fixture(scope="session")
def server() -> Server:
    """The server of this run, with the template in it."""
    directory = Path(os.environ[RUN])
    with (directory / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if external := os.environ.get("REWARDS_TEST_DATABASE_URL"):
            server = asyncio.run(_external_server(external, directory / "external"))
        else:
            embedded = EmbeddedPostgres(directory / "postgres", small=True)
            embedded.start()
            server = Server(embedded.owner_url, embedded.application_url, "rewards_template")
        asyncio.run(_make_template(server))
    return server


async def _external_server(url: str, note: Path) -> Server:
    if not note.exists():
        name, password = f"rewards_test_{secrets.token_hex(4)}", secrets.token_hex(16)
        connection = await asyncpg.connect(url)
        await connection.execute(f"CREATE ROLE {name} LOGIN NOINHERIT PASSWORD '{password}'")
        await connection.close()
        note.write_text(f"{name}:{password}")
    name, password = note.read_text().split(":")
    host = urlsplit(url).netloc.rpartition("@")[2]
    return Server(url, urlsplit(url)._replace(netloc=f"{name}:{password}@{host}").geturl(), f"{name}_template")


async def _clear_external(url: str, note: str) -> None:
    name = note.split(":")[0]
    connection = await asyncpg.connect(url)
    for made in await connection.fetch("SELECT datname FROM pg_database WHERE starts_with(datname, $1)", name):
        await connection.execute(f"DROP DATABASE {made['datname']} WITH (FORCE)")
    await connection.execute(f"DROP ROLE {name}")
    await connection.close()


async def _make_template(server: Server) -> None:
    from service.cli.migrate import migrate

    connection = await asyncpg.connect(server.owner_url)
    try:
        if await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", server.template):
            return
        unfinished = f"{server.template}_unfinished"
        await connection.execute(f"DROP DATABASE IF EXISTS {unfinished}")
        await connection.execute(f"CREATE DATABASE {unfinished}")
        await migrate(server.database(unfinished).owner_url, server.login_url)
        await connection.execute(f"ALTER DATABASE {unfinished} RENAME TO {server.template}")
    finally:
        await connection.close()


# ---- One database a test


@pytest.fixture(scope="session", autouse=True)
def reused_statements() -> Generator[None]:
    """What SQLAlchemy compiled for one engine is there for the next."""
    with compiled_once():
        yield


@pytest.fixture(scope="session")
async def create_database(server: Server) -> AsyncGenerator[Callable[..., Any]]:
    """Makes a database from the template (or ``template=None``: an empty one), for tests that need several."""
    admin = await asyncpg.connect(server.owner_url)
    prefix = f"{server.template.removesuffix('_template')}_{os.getpid()}"
    numbers = itertools.count(1)

    async def create(template: str | None = server.template) -> Database:
        name = f"{prefix}_{next(numbers)}"
        # The template is small and nobody writes to it, so its files are copied rather than its pages logged.
        copied = f" TEMPLATE {template} STRATEGY FILE_COPY" if template else ""
        await admin.execute(f"CREATE DATABASE {name}{copied}")
        return server.database(name)

    yield create
    await admin.close()


@pytest.fixture(scope="session")
async def reused_database(create_database: Callable[..., Any], server: Server) -> AsyncGenerator[ReusedDatabase]:
    """This worker's database."""
    async with _admin(server) as admin:
        reused = ReusedDatabase(create_database, functools.partial(_drop_database, admin))
        yield reused
        await reused.end()


@contextlib.asynccontextmanager
async def _admin(server: Server) -> AsyncGenerator[asyncpg.Connection[Any]]:
    admin = await asyncpg.connect(server.owner_url)
    yield admin
    await admin.close()


async def _drop_database(admin: asyncpg.Connection[Any], database: Database) -> None:
    await admin.execute(f"DROP DATABASE {database.name} WITH (FORCE)")


@pytest.fixture
async def database(
    request: pytest.FixtureRequest, reused_database: ReusedDatabase, create_database: Callable[..., Any], server: Server
) -> AsyncGenerator[Database]:
    """A migrated database for this test alone, as if it were new; with the marker ``own_database`` it is."""
    if request.node.get_closest_marker("own_database"):
        made: Database = await create_database()
        yield made
        async with _admin(server) as admin:
            await _drop_database(admin, made)
    else:
        async with reused_database.lend(request.node.nodeid) as lent:
            yield lent


@pytest.fixture
async def owner(database: Database) -> AsyncGenerator[asyncpg.Connection[Any]]:
    """A connection as the owner: may do anything, so use it to arrange and to look, not to act."""
    connection = await service_database.connect(database.owner_url)
    yield connection
    await connection.close()


@contextlib.asynccontextmanager
async def _pool(database: Database, role: str) -> AsyncGenerator[asyncpg.Pool[Any]]:
    pool = await service_database.create_pool(database.application_url, role)
    yield pool
    pool.terminate()


@pytest.fixture
async def application_pool(database: Database) -> AsyncGenerator[asyncpg.Pool[Any]]:
    """Connections as the API's role."""
    async with _pool(database, service_database.APPLICATION_ROLE) as pool:
        yield pool


@pytest.fixture
async def worker_pool(database: Database) -> AsyncGenerator[asyncpg.Pool[Any]]:
    """Connections as the worker's role."""
    async with _pool(database, service_database.WORKER_ROLE) as pool:
        yield pool


@pytest.fixture
async def reader_pool(database: Database) -> AsyncGenerator[asyncpg.Pool[Any]]:
    """Connections as the role of reports and audits."""
    async with _pool(database, service_database.READER_ROLE) as pool:
        yield pool


@pytest.fixture
async def ledger(application_pool: asyncpg.Pool[Any]) -> AsyncGenerator[Ledger]:
    """The ledger, with its group commit running."""
    from ledger import Ledger

    async with Ledger(application_pool) as ledger:
        yield ledger


# ---- Programs that may be missing


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """Finds a program by name, or skips the test and says which Debian package has it."""

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            pytest.skip(f"{name} is not installed: apt-get install {name}")
        return path

    return find


@pytest.fixture(scope="session")
async def browser(program: Callable[[str], str]) -> AsyncGenerator[Browser]:
    """Debian's Chromium; a test opens its own page in it. Playwright's other, synchronous face cannot share our loop."""
    async_api = pytest.importorskip("playwright.async_api", reason="playwright is not installed: make test installs it")
    # The same engine without a desktop browser's windows: a page costs a third of the processor time.
    path = shutil.which("chromium-headless-shell") or program("chromium")
    # Chromium's sandbox refuses to run as root, which containers and CI do; the others keep it from calling home.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    arguments += [
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
    ]
    async with async_api.async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        await browser.close()


# ---- Order, names and skips


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the garbage collector from what stays to the end: thousands of tests, and all that they import.

    What comes later it looks at seldom: a test is over before much of it is garbage.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(20_000, 20, 50)
        gc.enable()


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Long values are numbered: nobody reads them, and those drawn at random would tell the workers' lists of tests apart."""
    return argname if isinstance(val, bytes) or (isinstance(val, str) and len(val) > 40) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slow ones: otherwise one worker is busy with the last of them while the others have nothing left."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Under ``CI_STRICT`` a skipped test fails."""
    report = yield
    _forbid_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Under ``CI_STRICT`` a skipped file fails."""
    report = yield
    _forbid_skip(report)
    return report


def _forbid_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if os.environ.get("CI_STRICT") and report.outcome == "skipped" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"Skipped, and CI_STRICT forbids it: {report.longrepr}"
