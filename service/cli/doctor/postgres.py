"""Whether the service could serve from the database, and what of the server's settings would make it faster or safer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg

from migrations.upgrade import newest_revision
from service.cli.doctor.finding import Finding, Verdict, advice, ok, wrong
from service.cli.migrate import MigrationRefused, refuse_old
from service.http.problems import Problem
from service.server.health import DatabaseUnsafe, DatabaseWatch, refuse_unsafe
from service.services import ENGINE_SIZE, POOL_SIZE
from service.settings import Settings
from service.storage import database

_ROLES = (database.APPLICATION_ROLE, database.WORKER_ROLE, database.READER_ROLE)
_UNUSABLE = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
_LOGIN = "SELECT session_user::text AS name, rolsuper FROM pg_catalog.pg_roles WHERE rolname = session_user"
_CONNECTIONS_LEFT = """
SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int - count(*)::int
FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend'
"""
_CONNECTIONS_NEEDED = POOL_SIZE + ENGINE_SIZE + 1
_SETTINGS_TO_CHANGE = Path(__file__).with_name("settings_to_change.sql").read_text()
_WHY: Mapping[str, str] = {
    "full_page_writes": "after a crash, pages may be half old and half new: switch it on",
    "data_checksums": "damage by a disk stays unseen: `pg_checksums --enable`",
    "autovacuum": "books get slower by the hour: switch it on",
    "shared_buffers": "a quarter of the server's memory reads less from its disk",
    "max_wal_size": "a tenth of the volume makes checkpoints rarer, and grants after them cheaper",
    "checkpoint_timeout": "after each checkpoint grants are dearer: 30min makes them rarer",
}


async def examine(settings: Settings) -> list[Finding]:
    """All there is to say of the database."""
    try:
        connection = await database.connect(settings.database_url)
    except _UNUSABLE as error:
        return [wrong("database", f"it cannot be used: {error.__cause__ or error}")]
    try:
        findings = [finding async for finding in _look(connection, settings)]
    except _UNUSABLE as error:
        findings = [wrong("database", f"it went away: {error}")]
    finally:
        await connection.close()
    return findings


async def _look(connection: asyncpg.Connection[Any], settings: Settings) -> AsyncIterator[Finding]:
    yield _version(connection, settings.database_url)
    commits = await _commits(connection)
    yield commits
    yield await _login(connection)
    if settings.owner_database_url:
        yield await _owner(settings.owner_database_url)
    roles = await _roles(settings.database_url)
    yield roles
    if roles.verdict is commits.verdict is Verdict.OK:  # else readiness says the same again
        yield await _readiness(settings.database_url)
    for finding in await _tuning(connection, settings.processes or 1):
        yield finding


def _version(connection: asyncpg.Connection[Any], url: str) -> Finding:
    try:
        refuse_old(connection)
    except MigrationRefused as refused:
        return wrong("database", str(refused))
    version = connection.get_server_version()
    return ok("database", f"PostgreSQL {version.major}.{version.minor} at {place(url)}")


def place(url: str) -> str:
    """Server and database that a URL leads to. A Unix socket's directory may be in the host's place, or an option."""
    parts = urlsplit(url)
    options = parse_qs(parts.query)
    host = unquote(parts.netloc.rpartition("@")[2]) or ",".join(options.get("host", []))
    return f"{host}{parts.path}"


async def _commits(connection: asyncpg.Connection[Any]) -> Finding:
    try:
        apart = await refuse_unsafe(connection)
    except DatabaseUnsafe as unsafe:
        return wrong("commits", str(unsafe))
    return ok("commits", f"fsync and synchronous_commit are on; the clocks are {apart.total_seconds() * 1_000:.0f} ms apart")


async def _login(connection: asyncpg.Connection[Any]) -> Finding:
    login = await connection.fetchrow(_LOGIN)
    assert login is not None
    if login["rolsuper"]:
        return advice("login", f"{login['name']} is a superuser: give the service a login of its own, which can forge nothing")
    return ok("login", f"{login['name']} is no superuser")


async def _owner(url: str) -> Finding:
    try:
        owner = await database.connect(url)
    except _UNUSABLE as error:
        return wrong("owner", f"REWARDS_OWNER_DATABASE_URL cannot be used: {error.__cause__ or error}")
    await owner.close()
    return ok("owner", "the login that migrates can connect")


async def _roles(url: str) -> Finding:
    try:
        for role in _ROLES:
            await (await database.connect(url, role)).close()
    except database.DatabaseRefuses as error:
        return wrong("roles", f"the login cannot take the service's roles ({error}): run `rewards migrate`")
    return ok("roles", f"the login takes {', '.join(_ROLES)}")


async def _readiness(url: str) -> Finding:
    """What `/health/ready` would say of schema and rights."""
    pool = await database.create_pool(url, database.APPLICATION_ROLE, size=1)
    watch = DatabaseWatch(pool)
    try:
        await watch.start()
        await watch.ready()
    except (DatabaseUnsafe, Problem) as refused:
        return wrong("schema", refused.detail if isinstance(refused, Problem) else str(refused))
    finally:
        await watch.stop()
        pool.terminate()
    return ok("schema", f"at revision {newest_revision()}, the newest; its rights are complete")


async def _tuning(connection: asyncpg.Connection[Any], processes: int) -> list[Finding]:
    """A finding for each of the server's settings that should be another; one for all, if none should."""
    findings = [
        advice("postgresql", f"{name} is {value}: {_WHY[name]}") for name, value in await connection.fetch(_SETTINGS_TO_CHANGE)
    ]
    left = await connection.fetchval(_CONNECTIONS_LEFT)
    needed = processes * _CONNECTIONS_NEEDED
    if left < needed:
        findings.append(advice("postgresql", f"{left} connections are left, the API opens {needed}: max_connections"))
    return findings or [ok("postgresql", f"its settings suit the service; {left} connections are left")]
