"""The PostgreSQL that benchmarks run on: an embedded one of their own, with the settings of production."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from migrations.upgrade import upgrade
from service.embedded_postgres import EmbeddedPostgres


class Server:
    """A server in ``directory``, or the one behind ``url``, which must allow databases to be made."""

    def __init__(self, directory: Path, url: str = "") -> None:
        self._embedded = None if url else EmbeddedPostgres(directory)
        self._url = url

    def start(self) -> None:
        if self._embedded is not None:
            self._embedded.start()
            self._url = self._embedded.owner_url

    def stop(self) -> None:
        if self._embedded is not None:
            self._embedded.stop()

    async def database(self, name: str) -> str:
        """Make a database anew, migrated; return the owner's URL of it."""
        owner = await asyncpg.connect(self._url)
        try:
            await owner.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            await owner.execute(f'CREATE DATABASE "{name}"')
        finally:
            await owner.close()
        url = urlunsplit(urlsplit(self._url)._replace(path=f"/{name}"))
        await upgrade(url)
        return url
