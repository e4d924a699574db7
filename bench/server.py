"""The PostgreSQL that benchmarks run on: an embedded one of their own, with the settings of production.

It is started again with other settings where a benchmark asks for them: ``LOADING`` to fill large books fast (nothing is
measured under it), or fewer buffers and shorter rounds between checkpoints.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from service.cli.migrate import migrate
from service.storage.embedded_postgres.server import EmbeddedPostgres

PRODUCTION: Mapping[str, str] = {}
LOADING: Mapping[str, str] = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    # What is written in the transaction that emptied its table needs no log then.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "32GB",
    "maintenance_work_mem": "1GB",
    "work_mem": "256MB",
    "autovacuum": "off",
}

_TEMPLATE = "bench_template"


class Server:
    """A server in ``directory``, or the one behind ``url`` (a superuser's), which keeps the settings that it has.

    Its methods block, but for ``database``: from a coroutine, call them in a thread.
    """

    def __init__(self, directory: Path, url: str = "") -> None:
        self._embedded = None if url else EmbeddedPostgres(directory)
        self._url = url
        self._profile: Mapping[str, str] = PRODUCTION
        self._migrated = False

    @property
    def is_ours(self) -> bool:
        """Whether it can be started again with other settings."""
        return self._embedded is not None

    def start(self) -> None:
        if self._embedded is not None:
            self._embedded.start()
            self._url = self._embedded.owner_url

    def stop(self) -> None:
        if self._embedded is not None:
            self._embedded.stop()

    def has(self, profile: Mapping[str, str]) -> bool:
        """Whether it runs with these settings, or never will."""
        return self._embedded is None or self._profile == profile

    def restart(self, profile: Mapping[str, str]) -> None:
        """Run with these settings. All that was written before is on the disk then, whatever the settings were."""
        if self.has(profile) or self._embedded is None:
            return
        self._embedded.stop()
        if self._profile.get("fsync") == "off":
            os.sync()
        self._embedded.changed_settings = profile
        self._profile = profile
        self.start()

    async def database(self, name: str) -> str:
        """Make a database again, migrated, which the service's login may use; return the owner's URL of it."""
        owner = await asyncpg.connect(self._url)
        try:
            if not self._migrated:
                await owner.execute(f"DROP DATABASE IF EXISTS {_TEMPLATE} WITH (FORCE)")
                await owner.execute(f"CREATE DATABASE {_TEMPLATE}")
                await migrate(self.owner_url(_TEMPLATE), self.login_url(_TEMPLATE))
                self._migrated = True
            await owner.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            await owner.execute(f'CREATE DATABASE "{name}" TEMPLATE {_TEMPLATE}')
        finally:
            await owner.close()
        return self.owner_url(name)

    def owner_url(self, name: str) -> str:
        """The superuser's URL of a database. It is another one after a restart."""
        return _with_database(self._url, name)

    def login_url(self, name: str) -> str:
        """The URL that a service gets: one that may only take the service's roles, where there is such a login."""
        return _with_database(self._url if self._embedded is None else self._embedded.application_url, name)


def _with_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
