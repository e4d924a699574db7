"""Bring a database to the newest schema, and let the service's login take the service's roles.

Safe to run again, and from two places at once: the second waits, and finds nothing to do.
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import click

from migrations.upgrade import upgrade
from service import database
from service.cli.database_settings import load_with_database
from service.settings import load

OLDEST_MAJOR_VERSION = 15


class MigrationRefused(Exception):
    """The database cannot be migrated as it is. The message says why."""


async def migrate(owner_url: str, login_url: str = "") -> bool:
    """Upgrade the database behind ``owner_url``; the user of ``login_url`` (default: the owner) may then serve from it.

    False when there was nothing to upgrade.
    """
    owner = await database.connect(owner_url)
    try:
        major = owner.get_server_version().major
        if major < OLDEST_MAJOR_VERSION:
            raise MigrationRefused(f"PostgreSQL {OLDEST_MAJOR_VERSION} or later is needed, this is {major}")
        changed = await upgrade(owner_url)
        await grant_login(owner, urlsplit(login_url).username)
    finally:
        await owner.close()
    return changed


async def grant_login(owner: asyncpg.Connection[Any], login: str | None = None) -> None:
    """Let ``login`` (default: the connection's own user) connect in each role of the service."""
    name = login or await owner.fetchval("SELECT current_user::text")
    quoted = await owner.fetchval("SELECT pg_catalog.quote_ident($1)", name)
    if not await owner.fetchval("SELECT true FROM pg_catalog.pg_roles WHERE rolname = $1", name):
        raise MigrationRefused(f"There is no role {quoted}: CREATE ROLE {quoted} LOGIN NOINHERIT PASSWORD '...' makes one")
    async with owner.transaction():
        # Two grants of the same role at once would fail over each other.
        await owner.execute("SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('rewards: grant_login'))")
        for role in (database.APPLICATION_ROLE, database.WORKER_ROLE, database.READER_ROLE):
            # A superuser is a member of everything already.
            if not await owner.fetchval("SELECT pg_catalog.pg_has_role($1, $2, 'MEMBER')", name, role):
                await owner.execute(f"GRANT {role} TO {quoted}")


@click.command()
@click.option("--url", help="The owner's URL.  [default: REWARDS_OWNER_DATABASE_URL, else REWARDS_DATABASE_URL]")
def migrate_command(url: str | None) -> None:
    """Bring the database to the newest schema. Safe to run again, and from two places at once."""
    settings = load() if url else load_with_database()
    changed = asyncio.run(migrate(url or settings.owner_url, settings.database_url))
    click.echo("Migrated." if changed else "Up to date.")
