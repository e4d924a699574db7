"""Bring a database to the newest revision. Safe to run again, and from two places at once.

An advisory lock lets one caller in at a time. All is one transaction: a revision that fails leaves nothing behind.

    roles      made first, as far as they are missing: they belong to the server, and a dump of a database comes without them
    revisions  those that are missing
    functions  the ledger's are re-created whole whenever one of their files has changed
    rights     given again, all of them, whenever they are not what this program gave: a dump may come without them too

What was installed last is in the comments of the two schemas: the functions' digest, and the rights' as the catalog has them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import asyncpg
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from ledger import schema

_LOCK = 0x72657761726473  # "rewards"
LOCK_TIMEOUT = "10s"

_VERSIONS = Path(__file__).with_name("versions")
_RIGHTS = Path(__file__).with_name("rights.sql")

RIGHTS_DIGEST = Path(__file__).with_name("rights_digest.sql").read_text()
"""The statement that says what rights there are, in one word."""

SCHEMA = "rewards"
"""The schema of the service's tables."""

RIGHTS_GIVEN = f"SELECT split_part(obj_description('{SCHEMA}'::regnamespace, 'pg_namespace'), ' ', 3)"
"""The statement that says the same word of the rights as they were given last."""


def newest_revision() -> str:
    """The revision a migrated database is at: revisions are numbered in one line, and files begin with their number."""
    return max(file.name for file in _VERSIONS.glob("[0-9]*_*.py")).partition("_")[0]


async def upgrade(owner_url: str, *, revision: str = "head") -> bool:
    """Migrate the database behind ``owner_url``; say whether there was anything to do.

    The login must be able to create schemas and roles. Each statement waits at most ten seconds for a lock.
    """
    engine = create_async_engine("postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(owner_url))
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(_upgrade, revision)
    finally:
        await engine.dispose()


def _upgrade(connection: Connection, revision: str) -> bool:
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
    connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
    for statement in schema.role_statements():
        connection.exec_driver_sql(statement)
    before = _revision(connection)
    # Every process asks which revision is the newest; only who migrates needs the nine megabytes.
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_VERSIONS.parent))
    command.upgrade(config, revision)
    # The rights name tables that only the newest revision has.
    refreshed = _refresh(connection, with_rights=revision == "head")
    return refreshed or _revision(connection) != before


def _revision(connection: Connection) -> str | None:
    known = connection.exec_driver_sql(f"SELECT to_regclass('{SCHEMA}.alembic_version')::text").scalar()
    if known is None:
        return None
    return connection.exec_driver_sql(f"SELECT version_num FROM {SCHEMA}.alembic_version").scalar()


def rights_statements() -> Iterator[str]:
    """The statements that give each role its rights on the service's tables."""
    yield from schema.statements(_RIGHTS.read_text())


def _refresh(connection: Connection, *, with_rights: bool) -> bool:
    """Install functions and rights unless all are there just as the files have them."""
    functions = f"functions {schema.functions_digest()}"
    rights = f"rights {hashlib.sha256(_RIGHTS.read_bytes()).hexdigest()}"
    given = f"{rights} {connection.exec_driver_sql(RIGHTS_DIGEST).scalar()}"
    if _comment(connection, "ledger") == functions and (not with_rights or _comment(connection, SCHEMA) == given):
        return False
    for statement in [*schema.function_statements(), *(rights_statements() if with_rights else ())]:
        connection.exec_driver_sql(statement)
    connection.exec_driver_sql(f"COMMENT ON SCHEMA ledger IS '{functions}'")
    if with_rights:
        given = f"{rights} {connection.exec_driver_sql(RIGHTS_DIGEST).scalar()}"
        connection.exec_driver_sql(f"COMMENT ON SCHEMA {SCHEMA} IS '{given}'")
    return True


def _comment(connection: Connection, name: str) -> str | None:
    return connection.exec_driver_sql(f"SELECT obj_description('{name}'::regnamespace, 'pg_namespace')").scalar()
