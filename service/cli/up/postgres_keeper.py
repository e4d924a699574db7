"""Keeping the embedded PostgreSQL running and migrated for `rewards up`."""

from __future__ import annotations

import asyncio
import threading
import time

from service.cli.database_settings import with_embedded
from service.cli.up.terminal import say
from service.concurrency.backoff import backoff_s
from service.settings import Settings
from service.storage.database import DatabaseAway
from service.storage.embedded_postgres.errors import EmbeddedPostgresError, EmbeddedPostgresUnusable
from service.storage.embedded_postgres.server import EmbeddedPostgres

RETRY_MAX_S = 30.0


class PostgresKeeper:
    """Starts the embedded PostgreSQL again whenever it ends. A start runs in a thread, because it may take long."""

    def __init__(self, postgres: EmbeddedPostgres) -> None:
        self.postgres = postgres
        self.is_up = False
        self.is_full = False
        """Whether the server runs, and the last attempt to migrate found no room in it."""
        self._give_up = threading.Event()
        self._starting: threading.Thread | None = None
        self._failures = 0
        self._retry_at = 0.0
        self._last_failure = ""

    def first_start(self, settings: Settings) -> Settings:
        """The settings with the server's addresses. Raises `EmbeddedPostgresError` where no server can ever start."""
        try:
            found = self.postgres.start(give_up=self._give_up)
        except EmbeddedPostgresUnusable:
            raise
        except EmbeddedPostgresError as error:
            if not self.postgres.is_made:
                raise
            self._failed(error)
        else:
            self.is_up = True
            where = f"{self.postgres.directory}, port {self.postgres.port}"
            say(f"PostgreSQL   {'found running' if found else 'started'} in {where}{_over_what(self.postgres)}")
        return with_embedded(settings, self.postgres)

    def migrate(self, settings: Settings) -> None:
        """Migrate, or have it tried again: links are served even if the server is away or full."""
        from service.cli.migrate import ServerFull, migrate  # here, so that the children need not wait until it is loaded

        self.is_full = False
        try:
            asyncio.run(migrate(settings.owner_url, settings.database_url))
        except ServerFull as error:
            self.is_up, self.is_full = False, True
            self._failed(error)
        except (DatabaseAway, OSError) as error:
            self.is_up = False
            say(f"PostgreSQL went away while it was migrated: {error}")

    def look(self) -> bool:
        """Restart the server if it has ended. Returns whether it has just come back."""
        if self._starting is not None:
            if self._starting.is_alive():
                return False
            self._starting = None
            return self.is_up
        if self.is_up and self.postgres.running():
            return False
        if self.is_up:
            say("PostgreSQL ended; starting it again.")
            self.is_up = False
        if time.monotonic() >= self._retry_at:
            self._starting = threading.Thread(target=self._start, daemon=True)
            self._starting.start()
        return False

    def give_up(self) -> None:
        """Abort a start."""
        self._give_up.set()
        if self._starting is not None:
            self._starting.join()

    def _start(self) -> None:
        try:
            self.postgres.start(give_up=self._give_up)
        except Exception as error:
            # Whatever it is: links are served, and the next attempt may succeed.
            self._failed(error)
        else:
            self.is_up = True
            if not self.is_full:
                self._failures = 0
                self._last_failure = ""

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        wait_s = backoff_s(self._failures, first_s=0.5, max_s=RETRY_MAX_S)
        self._retry_at = time.monotonic() + wait_s
        # Each failure is printed once. The server's log has times in it, so only the first line is compared.
        failure = str(error).partition("\n")[0]
        if failure != self._last_failure and not self._give_up.is_set():
            self._last_failure = failure
            say(f"{error}\nLinks are served meanwhile, and it is tried again, every {RETRY_MAX_S:.0f} s in the end.")


def _over_what(postgres: EmbeddedPostgres) -> str:
    return f", over TCP alone: {postgres.tcp_alone_because}" if postgres.tcp_alone_because else ""
