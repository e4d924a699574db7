"""Connections that one test closes and another opens again, as long as both use the worker's database.

A new one costs the server 15 to 30 ms of processor time: it compiles each function and reads the catalog again. What a session
has set, prepared, locked and made is taken back before it is opened again. Of a connection that is in a transaction, in use or
cancelling a statement nothing is kept.
"""

# pyright: reportAttributeAccessIssue=false, reportUnknownMemberType=false, reportArgumentType=false
# The stubs do not know the driver's inner parts.

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Generator, Iterable
from contextvars import ContextVar
from typing import Any

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from service.storage import database

KEPT_MAX = 6
"""So many connections with the same settings are kept: a test seldom has more at once."""

_RESET = """
RESET ALL; RESET ROLE; DEALLOCATE ALL; CLOSE ALL; UNLISTEN *; DISCARD TEMP; DISCARD SEQUENCES;
SELECT pg_advisory_unlock_all()
"""
_BROKEN = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)


# A pool and an engine encode JSON differently. Whoever is told the other way asks the server for all types again.
_for_engine: ContextVar[bool] = ContextVar("for_engine", default=False)


class ReusedConnections:
    """The connections to one database that were closed, by how and for whom they were opened."""

    def __init__(self) -> None:
        self._open: Callable[..., Awaitable[Any]] = database._open  # pyright: ignore[reportPrivateUsage]
        self._loop = asyncio.get_running_loop()
        self._kept: dict[Any, list[ReusedConnection]] = defaultdict(list)
        self._urls: tuple[str, ...] = ()

    @contextlib.contextmanager
    def of(self, *urls: str) -> Generator[None]:
        """Keep connections that the service opens to these URLs."""
        with pytest.MonkeyPatch.context() as patch:
            self._urls = urls
            patch.setattr(database, "_open", self.open)
            patch.setattr(database, "create_async_engine", _create_async_engine)
            yield

    async def open(self, url: str, *, server_settings: dict[str, str], **options: Any) -> asyncpg.Connection[Any]:
        """Open a connection, or take one that was closed."""
        if url not in self._urls or asyncio.get_running_loop() is not self._loop:
            return await self._open(url, server_settings=server_settings, **options)
        kept = self._kept[url, _for_engine.get(), *sorted(server_settings.items())]
        while kept:
            connection = kept.pop()
            with contextlib.suppress(*_BROKEN):
                await connection.reset_all()
                return connection
        options |= {"server_settings": server_settings, "connection_class": ReusedConnection}
        connection: ReusedConnection = await self._open(url, **options)
        connection.kept, connection.codecs = kept, {}
        return connection

    def pids(self) -> Iterable[int]:
        """The server's processes behind the connections that nobody has open."""
        return [connection.get_server_pid() for kept in self._kept.values() for connection in kept]

    def close(self) -> None:
        """Close them."""
        for kept in self._kept.values():
            while kept:
                kept.pop().give_up()


def _create_async_engine(url: str, *, async_creator: Callable[[], Awaitable[Any]], **options: Any) -> AsyncEngine:
    async def create() -> Any:
        token = _for_engine.set(True)
        try:
            return await async_creator()
        finally:
            _for_engine.reset(token)

    return create_async_engine(url, async_creator=create, **options)


class ReusedConnection(asyncpg.Connection):  # pyright: ignore[reportMissingTypeArgument]
    """A connection that is kept when it is closed."""

    kept: list[ReusedConnection]
    """Where it is put then."""
    codecs: dict[str, str]
    """What it was told of types, and by whom."""

    async def set_type_codec(self, typename: str, *, encoder: Any, **how: Any) -> None:
        """Say it once: each time the driver would ask the server for all types again."""
        if self.codecs.get(typename) != encoder.__qualname__:
            await super().set_type_codec(typename, encoder=encoder, **how)
            self.codecs[typename] = encoder.__qualname__

    async def set_builtin_type_codec(self, typename: str, *, codec_name: str, **how: Any) -> None:
        """Say it once."""
        if self.codecs.get(typename) != codec_name:
            await super().set_builtin_type_codec(typename, codec_name=codec_name, **how)
            self.codecs[typename] = codec_name

    async def close(self, *, timeout: float | None = None) -> None:
        """Keep it if nothing is under way."""
        if not self._keep():
            await super().close(timeout=timeout)

    def terminate(self) -> None:
        """Keep it if nothing is under way."""
        if not self._keep():
            super().terminate()

    def _keep(self) -> bool:
        if self.is_closed() or len(self.kept) >= KEPT_MAX or self._is_busy():
            return False
        self.kept.append(self._copy())
        self._aborted, self._protocol = True, None
        self._cleanup()
        return True

    def _is_busy(self) -> bool:
        holder = self._pool_holder and self._pool_holder()
        return bool(
            self._protocol.is_in_transaction()
            or self._protocol._is_cancelling()
            or self._stmt_exclusive_section._acquired
            or (holder and holder._in_use)
        )

    def _copy(self) -> ReusedConnection:
        """The same connection, of which nobody who has closed this one knows."""
        copy = ReusedConnection(self._protocol, self._transport, self._loop, self._addr, self._config, self._params)
        self._protocol.set_connection(copy)
        copy.kept, copy.codecs = self.kept, self.codecs
        return copy

    async def reset_all(self) -> None:
        """Take back what was set, prepared, locked and made. A connection of which that fails is closed."""
        try:
            await self.execute(_RESET, timeout=5)
        except BaseException:
            self.give_up()
            raise

    def give_up(self) -> None:
        """Really close it."""
        super().terminate()
