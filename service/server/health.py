"""Whether this process lives, and whether it may take requests.

    /health/live    the process answers
    /health/ready   the database is reachable, safe to keep books in, at our revision, and its roles have their rights; requests
                    are taken

A database that would lose an acknowledged commit is refused at start-up. One that is away then is looked at when it is back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec
import structlog
from litestar import get, head

from ledger import Ledger
from migrations.upgrade import RIGHTS_DIGEST, RIGHTS_GIVEN, newest_revision
from service.admission.in_flight import InFlight
from service.http.injection import Injected
from service.http.problems import RETRY_AFTER_S, Problem
from service.storage import disk_space
from service.storage.database import DatabaseRefuses, is_away

if TYPE_CHECKING:
    from service.services import Services

CLOCK_APART_MAX = timedelta(seconds=60)
_LOOK_AGAIN_S = 1.0
_RIGHTS_LOOKED_AT_EVERY_S = 10.0
_LACKS_RIGHTS = "the database lacks roles or rights, as after a restore without them; run `rewards migrate`"


class DatabaseUnsafe(Exception):
    """The database is set up so that it could lose or misdate what we acknowledge; the message says what to change."""


class Health(msgspec.Struct, frozen=True):
    """The answer of a healthy process."""

    status: str = "ok"
    """Always `ok`. An unhealthy process answers with a problem."""
    warnings: tuple[str, ...] = ()
    """What will stop the process unless somebody acts, such as a disk that is nearly full. For people; readiness only."""


class DatabaseWatch:
    """Looks at the database before anything is posted to it."""

    def __init__(self, pool: asyncpg.Pool[Any], directories: Mapping[str, Path] | None = None) -> None:
        """``directories`` are those whose disks must not fill up, by what they are for."""
        self._pool = pool
        self._directories = directories or {}
        self._revision = newest_revision()
        self._safe = False
        self._rights_seen_at = -_RIGHTS_LOOKED_AT_EVERY_S
        self._watcher: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Look once. Raises `DatabaseUnsafe`; a database that is away is looked for in the background."""
        if not await self._look():
            structlog.get_logger().warning("database_away_at_start")
            self._watcher = asyncio.create_task(self._look_until_seen())

    async def stop(self) -> None:
        """Stop looking."""
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)

    def require_safe(self) -> None:
        """Raise the problem ``database_unavailable`` until the database has been found safe."""
        if not self._safe:
            raise _not_ready("the database has not been reached yet")

    async def ready(self) -> tuple[str, ...]:
        """Raise the problem that says why this process is not ready; what it will lack soon, if it is."""
        warnings = disk_space.warnings(self._directories)
        try:
            await self._look_ready()
        except Problem as problem:
            # A full disk is the likely cause of a database that is away.
            raise Problem(problem.code, " ".join((problem.detail, *warnings)), headers=problem.headers) from problem
        return warnings

    async def _look_ready(self) -> None:
        self.require_safe()
        try:
            async with self._pool.acquire(timeout=2) as connection:
                revision = await connection.fetchval("SELECT version_num FROM rewards.alembic_version", timeout=2)
                has_rights = revision != self._revision or await self._has_rights(connection)
        except asyncpg.UndefinedTableError:
            raise _not_ready("there is nothing of ours in the database; run `rewards migrate`") from None
        except asyncpg.InsufficientPrivilegeError:
            raise _not_ready(_LACKS_RIGHTS) from None
        except DatabaseRefuses as error:
            raise _not_ready(_LACKS_RIGHTS if _is_about_roles(error) else f"PostgreSQL does not let us in: {error}") from None
        except Exception as error:
            if not is_away(error):
                raise
            raise _not_ready("the database cannot be reached") from error
        if revision != self._revision:
            raise _not_ready("the database is not at the newest revision; run `rewards migrate`")
        if not has_rights:
            raise _not_ready(_LACKS_RIGHTS)

    async def _has_rights(self, connection: Any) -> bool:
        """Whether the rights in the catalog are those that were given. Good ones are not looked at again for some seconds."""
        if time.monotonic() < self._rights_seen_at + _RIGHTS_LOOKED_AT_EVERY_S:
            return True
        if await connection.fetchval(RIGHTS_DIGEST, timeout=2) != await connection.fetchval(RIGHTS_GIVEN, timeout=2):
            return False
        self._rights_seen_at = time.monotonic()
        return True

    async def _look(self) -> bool:
        try:
            async with self._pool.acquire(timeout=5) as connection:
                await refuse_unsafe(connection)
        except DatabaseRefuses as error:
            if not _is_about_roles(error):
                raise
            raise DatabaseUnsafe("the login cannot take the service's role: run `rewards migrate` first") from error
        except Exception as error:
            if not is_away(error):
                raise
            return False
        self._safe = True
        return True

    async def _look_until_seen(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_AGAIN_S)
            try:
                if await self._look():
                    structlog.get_logger().info("database_reached")
                    return
            except (DatabaseUnsafe, DatabaseRefuses) as error:
                # Nobody waits for this exception: the process stays up, answers 503 and keeps saying why.
                structlog.get_logger().error("database_unsafe", why=str(error))


async def refuse_unsafe(connection: Any, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> timedelta:
    """Raise `DatabaseUnsafe` when an acknowledged commit could be lost, or when the clocks are too far apart.

    Else return how far apart they are, which is nothing when the database's time is between ours before and after.
    """
    before = now()
    row = await connection.fetchrow(
        "SELECT current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS synchronous_commit,"
        " clock_timestamp() AS now"
    )
    after = now()
    for name in ("fsync", "synchronous_commit"):
        if row[name] == "off":
            raise DatabaseUnsafe(f"PostgreSQL runs with {name}=off and could lose what it has acknowledged: switch it on")
    apart = max(before - row["now"], row["now"] - after, timedelta())
    if apart > CLOCK_APART_MAX:
        raise DatabaseUnsafe(f"the database's clock and ours are {apart.total_seconds():.0f} s apart: set both by NTP")
    return apart


def _is_about_roles(error: DatabaseRefuses) -> bool:
    return isinstance(error.__cause__, asyncpg.InvalidParameterValueError | asyncpg.InsufficientPrivilegeError)


def _not_ready(why: str) -> Problem:
    return Problem("database_unavailable", f"Not ready: {why}.", headers={"Retry-After": str(RETRY_AFTER_S)})


@get("/health/live", tags=["health"], summary="Liveness")
async def live() -> Health:
    """Answer 200 while the process runs, whatever else is broken."""
    return Health()


@get("/health/ready", tags=["health"], summary="Readiness")
async def ready(services: Injected[Services]) -> Health:
    """Answer 200 if the database is reachable, configured safely and at the newest revision, and 503 otherwise.

    It is 503 `overloaded` while this process sheds load: too much is in flight, or waits for the books.
    """
    refuse_overload(services.in_flight, services.ledger)
    return Health(warnings=await services.database_watch.ready())


@head("/health/live", include_in_schema=False)
async def live_in_short() -> None:
    """As ``live``, for who looks at the status alone."""


@head("/health/ready", include_in_schema=False)
async def ready_in_short(services: Injected[Services]) -> None:
    """As ``ready``, for who looks at the status alone."""
    refuse_overload(services.in_flight, services.ledger)
    await services.database_watch.ready()


def refuse_overload(in_flight: InFlight, ledger: Ledger) -> None:
    """Raise the problem ``overloaded`` while this process takes nothing more from anybody."""
    if in_flight.is_full:
        raise _refuses("too much is in flight")
    if ledger.is_full:
        raise _refuses("too much is waiting for the books")


def _refuses(why: str) -> Problem:
    return Problem(
        "overloaded", f"Not ready: the process is shedding load, {why}.", headers={"Retry-After": str(RETRY_AFTER_S)}
    )


route_handlers = [live, ready, live_in_short, ready_in_short]
