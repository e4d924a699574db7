"""Bring a database to the newest revision. Safe to run again, and from two places at once.

An advisory lock lets one caller in at a time. All is one transaction: a revision that fails leaves nothing behind. The ledger's
functions are re-created whole whenever one of their files has changed, after the revisions.
"""

from __future__ import annotations

from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from ledger import schema
from migrations.target import SCHEMA

_LOCK = 0x72657761726473  # "rewards"
LOCK_TIMEOUT = "10s"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    return config


def newest_revision() -> str:
    """The revision a migrated database is at."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


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
    before = _revision(connection)
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
    return _refresh_functions(connection) or _revision(connection) != before


def _revision(connection: Connection) -> str | None:
    known = connection.exec_driver_sql(f"SELECT to_regclass('{SCHEMA}.alembic_version')::text").scalar()
    if known is None:
        return None
    return connection.exec_driver_sql(f"SELECT version_num FROM {SCHEMA}.alembic_version").scalar()


def _refresh_functions(connection: Connection) -> bool:
    """Re-create the ledger's functions if they differ from the files; the schema's comment says what is installed."""
    installed = connection.exec_driver_sql("SELECT obj_description('ledger'::regnamespace, 'pg_namespace')").scalar()
    wanted = f"functions {schema.functions_digest()}"
    if installed == wanted:
        return False
    for statement in schema.function_statements():
        connection.exec_driver_sql(statement)
    connection.exec_driver_sql(f"COMMENT ON SCHEMA ledger IS '{wanted}'")
    return True
