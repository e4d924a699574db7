"""Bring a database to the newest schema, with the roles and rights it needs, and let the service's login take the roles.

Safe to run again, and from two places at once: the second waits, and finds nothing to do. Killed in the middle it leaves
nothing behind, because it is one transaction. It mends a database that was restored without its roles or their rights.
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import click
from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError

from migrations.upgrade import upgrade
from service.cli.database_settings import load_with_database
from service.erasure.reapplying import NotErased, reapply
from service.settings import Settings, load
from service.storage import database

OLDEST_MAJOR_VERSION = 15


_OWNERS = """
SELECT DISTINCT relowner::regrole::text FROM pg_catalog.pg_class
JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace AND nspname = 'rewards'
"""


class MigrationRefused(Exception):
    """The database cannot be migrated as it is. The message says why."""


class ServerFull(MigrationRefused):
    """The server lacks connections, memory or disk for now."""


async def migrate(owner_url: str, login_url: str = "") -> bool:
    """Upgrade the database behind ``owner_url``; the user of ``login_url`` (default: the owner) may then serve from it.

    False when there was nothing to upgrade or to mend.
    """
    owner = await database.connect(owner_url)
    try:
        refuse_old(owner)
        changed = await upgrade(owner_url)
        await grant_login(owner, urlsplit(login_url).username)
    except (DBAPIError, asyncpg.PostgresError, CommandError) as error:
        raise await _refusal(owner, error) from error
    finally:
        await owner.close()
    return changed


def refuse_old(connection: asyncpg.Connection[Any]) -> None:
    """Raise `MigrationRefused` when the server is too old for us."""
    major = connection.get_server_version().major
    if major < OLDEST_MAJOR_VERSION:
        raise MigrationRefused(f"PostgreSQL {OLDEST_MAJOR_VERSION} or later is needed, this is {major}")


async def _refusal(owner: asyncpg.Connection[Any], error: Exception) -> Exception:
    """What to tell the operator."""
    if isinstance(error, CommandError):
        return MigrationRefused(
            f"The database was migrated by a newer version than this one, or it is not one of ours: {error}"
        )
    cause: BaseException = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    cause = cause.__cause__ or cause
    match cause:
        case asyncpg.LockNotAvailableError():
            why = "somebody holds a lock for longer than ten seconds; try again, or look at pg_stat_activity"
        case asyncpg.InsufficientPrivilegeError():
            user = await owner.fetchval("SELECT current_user::text")
            owners = ", ".join(row[0] for row in await owner.fetch(_OWNERS)) or "nobody yet"
            why = f"{user} may not do this: {cause}. What is there belongs to {owners}; run it as that role or a superuser"
        case asyncpg.InsufficientResourcesError() | asyncpg.PostgresSystemError():
            return ServerFull(f"Nothing was changed: the server lacks room: {cause}")
        case _ if database.is_away(cause):
            return database.DatabaseAway("it went away; nothing was changed")
        case _:
            why = f"PostgreSQL refuses: {cause}"
    return MigrationRefused(f"Nothing was changed: {why}")


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
    """Bring the database to the newest schema, and restore missing roles and rights.

    Safe to run again, and from two places at once.
    """
    settings = load() if url else load_with_database()
    changed = asyncio.run(migrate(url or settings.owner_url, settings.database_url))
    click.echo("Migrated." if changed else "Up to date.")
    if not url:
        erase_again(settings)


def erase_again(settings: Settings) -> None:
    """Erase again whom a backup brought back, and say so. Raises ``ClickException`` if that is not possible."""
    try:
        made = asyncio.run(reapply(settings))
    except NotErased as error:
        raise click.ClickException(f"{error}: do not serve this database. See {settings.erasures_path}") from None
    if made:
        click.echo(f"Erased again {made:,} customers who were erased after this backup was made.")
