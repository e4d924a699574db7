"""How the service reaches PostgreSQL.

    metadata       every table of the schema ``rewards``; capabilities add theirs in ``tables.py``
    create_pool    plain asyncpg, for functions of the ledger
    KeptConnection one connection of its own, for a hot statement that is planned once
    create_engine  SQLAlchemy Core over the same driver, for configuration and reports

All connect with the same URL and take their role at connect time. Neither connects before it is first used, so a process can
start while the database is away.
"""

from __future__ import annotations

import contextlib
from typing import Any

import asyncpg
import msgspec
from sqlalchemy import MetaData, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ledger import CONNECTION_LOST

APPLICATION_ROLE = "rewards_application"
WORKER_ROLE = "rewards_worker"
READER_ROLE = "rewards_reader"

CONNECT_TIMEOUT_S = 5.0
STATEMENT_TIMEOUT_MS = 5_000
"""No statement and no idle transaction of ours lives longer: an open snapshot halves a book's throughput in half a minute."""


class DatabaseAway(ConnectionError):
    """No connection to the database could be opened."""


class DatabaseRefuses(DatabaseAway):
    """PostgreSQL answers and does not let us in: it lacks the database, the login or a role, or the password is another."""


_REFUSED = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InvalidParameterValueError,
    asyncpg.InsufficientPrivilegeError,
)

# Constraints are named as sentences where they are declared; the convention catches those that are not.
metadata = MetaData(
    schema="rewards",
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_belongs_to_%(referred_table_name)s",
        "uq": "%(table_name)s_%(column_0_N_name)s_is_unique",
        "ix": "%(table_name)s_by_%(column_0_N_name)s",
        "ck": "%(constraint_name)s",
    },
)


def _server_settings(role: str | None, statement_timeout_ms: int) -> dict[str, str]:
    settings = {
        "application_name": role or "rewards_owner",
        "statement_timeout": str(statement_timeout_ms),
        "idle_in_transaction_session_timeout": str(STATEMENT_TIMEOUT_MS),
        "timezone": "UTC",
        "datestyle": "ISO",
        # What is planned for arrays of any length looks dear enough to be compiled, which takes a hundred times as long as it.
        "jit": "off",
    }
    if role is not None:
        settings["role"] = role
    if role in {APPLICATION_ROLE, WORKER_ROLE}:
        # They look rows up by keys, always. What the planner knows of a table, or does not yet, must not make it read it whole.
        settings["enable_seqscan"] = "off"
    return settings


async def _use_msgspec_for_jsonb(connection: asyncpg.Connection[Any]) -> None:
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: b"\x01" + msgspec.json.encode(value),
        decoder=lambda data: msgspec.json.decode(data[1:]),
        format="binary",
    )


async def _leave_as_is(connection: asyncpg.Connection[Any]) -> None:
    """Take a connection back without a round trip: nothing of ours leaves session state behind."""


async def _open(*arguments: Any, **options: Any) -> asyncpg.Connection[Any]:
    try:
        return await asyncpg.connect(*arguments, **options)
    except OSError as error:
        # A socket file that is missing, a refused port and a time-out are all the same to a caller.
        raise DatabaseAway(type(error).__name__) from error
    except _REFUSED as error:
        raise DatabaseRefuses(str(error)) from error


async def connect(
    url: str, role: str | None = None, *, statement_timeout_ms: int = STATEMENT_TIMEOUT_MS, planned_once: bool = False
) -> asyncpg.Connection[Any]:
    """Open one connection outside a pool; ``role`` of ``None`` stays the login user (the owner's tools do).

    ``planned_once`` is for statements of which one plan does, whatever they are asked.
    """
    settings = _server_settings(role, statement_timeout_ms)
    if planned_once:
        settings["plan_cache_mode"] = "force_generic_plan"
    connection = await _open(url, server_settings=settings, timeout=CONNECT_TIMEOUT_S)
    await _use_msgspec_for_jsonb(connection)
    return connection


async def create_pool(url: str, role: str, *, size: int = 10) -> asyncpg.Pool[Any]:
    """Make a pool that opens its connections when they are first needed; the caller closes it."""
    return await asyncpg.create_pool(
        url,
        min_size=0,
        max_size=size,
        timeout=CONNECT_TIMEOUT_S,
        server_settings=_server_settings(role, STATEMENT_TIMEOUT_MS),
        connect=_open,
        init=_use_msgspec_for_jsonb,
        reset=_leave_as_is,
    )


class KeptConnection:
    """A connection of its own for a hot statement. It is opened when it is first needed, and again when it was lost.

    A statement that is always the same is planned once here, not each time: one whose plan must not depend on what it is asked.
    Nothing is taken from a pool and given back. One caller at a time.
    """

    def __init__(self, url: str, role: str) -> None:
        self._url = url
        self._role = role
        self._connection: asyncpg.Connection[Any] | None = None

    async def fetch(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        """The rows of a statement."""
        connection = self._connection
        if connection is None or connection.is_closed():
            connection = self._connection = await connect(self._url, self._role, planned_once=True)
        return await connection.fetch(query, *arguments)

    async def close(self) -> None:
        """Close the connection, if one is open."""
        if self._connection is not None:
            with contextlib.suppress(*_AWAY, asyncpg.InterfaceError):
                await self._connection.close(timeout=1)


def _encode_json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def create_engine(url: str, role: str, *, size: int = 4) -> AsyncEngine:
    """Make an engine over asyncpg; the caller disposes of it.

    The URL goes to the driver as it is, because SQLAlchemy would refuse parameters such as ``sslmode`` in it.
    """

    async def connect_raw() -> asyncpg.Connection[Any]:
        return await _open(url, server_settings=_server_settings(role, STATEMENT_TIMEOUT_MS), timeout=CONNECT_TIMEOUT_S)

    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect_raw,
        pool_size=size,
        max_overflow=0,
        pool_timeout=CONNECT_TIMEOUT_S,
        pool_pre_ping=True,
        hide_parameters=True,
        json_serializer=_encode_json,
        json_deserializer=msgspec.json.decode,
    )


_AWAY: tuple[type[BaseException], ...] = (
    DatabaseAway,
    ConnectionError,
    TimeoutError,
    *CONNECTION_LOST,
)


async def driver_of(connection: AsyncConnection) -> asyncpg.Connection[asyncpg.Record]:
    """The driver's connection, in the transaction that ``connection`` is in."""
    # SQLAlchemy begins the transaction with its first statement; only then is the driver's connection in one.
    await connection.execute(select(1))
    raw = await connection.get_raw_connection()
    driver: asyncpg.Connection[asyncpg.Record] = raw.driver_connection  # pyright: ignore[reportAssignmentType]
    assert driver.is_in_transaction()
    return driver


def is_away(error: BaseException) -> bool:
    """Say whether ``error`` means that the database could not be reached in time, also when SQLAlchemy has wrapped it."""
    cause: BaseException | None = error
    while cause is not None:
        # The driver says InterfaceError of a closed connection, and of wrong arguments too; the latter are ValueErrors.
        if isinstance(cause, _AWAY) or (isinstance(cause, asyncpg.InterfaceError) and not isinstance(cause, ValueError)):
            return True
        cause = cause.__cause__
    return False
