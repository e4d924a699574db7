"""Alembic's entry. The connection is given by ``migrations.upgrade``; with the ``alembic`` command it comes from settings."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
from alembic import context
from sqlalchemy import Connection

from migrations.target import metadata
from migrations.upgrade import SCHEMA


def _belongs_to_us(name: str | None, kind: str, _parents: Any) -> bool:
    return kind != "schema" or name == SCHEMA


def run(connection: Connection) -> None:
    """Run the revisions that are missing, on this connection and in its transaction."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table_schema=SCHEMA,
        include_schemas=True,
        include_name=_belongs_to_us,
    )
    context.run_migrations()


async def _run_from_command_line() -> None:
    from sqlalchemy.ext.asyncio import create_async_engine

    from service.settings import load

    settings = load()
    url = settings.owner_database_url or settings.database_url
    # To the driver as it is: SQLAlchemy knows no socket in a host's place.
    engine = create_async_engine("postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(url))
    async with engine.begin() as connection:
        await connection.run_sync(run)
    await engine.dispose()


_given: Connection | None = context.config.attributes.get("connection")
if _given is not None:
    run(_given)
else:
    asyncio.run(_run_from_command_line())
